"""Where the movie of a reproduction comes from: a file, the authors' array, or a simulation with known truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Integer

from rvaejax.atoms.localise import find_atoms
from rvaejax.errors import FormatError, ImageError, MissingFileError
from rvaejax.io.movies import read_movie
from rvaejax.io.raw import LazyFrames, one_line
from rvaejax.pipeline.paper.config import QUICK_SIZE_PX, PaperOptions
from rvaejax.pipeline.simulated import read_truth, save_simulated, truth_path
from rvaejax.segmentation.pixel_size import known_pixel_size
from rvaejax.simulate.config import SPECIES, MovieConfig
from rvaejax.simulate.movie import simulate_movie
from rvaejax.simulate.truth import Truth
from rvaejax.types import Atoms, Maps, Movie

SILICON_LIGHT = 2.0  # brightness of Si over C in frames that are drawn from probabilities


class Source(NamedTuple):
    """The movie, and what is known of it.

    Attributes:
        movie: its frames.
        about: what it is, in words.
        known: makes maps and atoms, where they are not to be found by the segmenter.
        truth: of a simulated movie.
    """

    movie: Movie
    about: str
    known: Callable[[], tuple[Maps, Atoms]] | None = None
    truth: Truth | None = None


def given(options: PaperOptions) -> Source | None:
    """The movie that the options name; None where it is to be simulated.

    Raises:
        InputError: the file cannot be read, or is not what it should be.
    """
    if options.movie is not None:
        movie = read_movie(options.movie, pixel_size_nm=options.px_nm)
        what = "the coordinates of its atoms; frames are drawn from them" if movie.atoms is not None else "its frames"
        return Source(thinned(movie, options.frames), f"{movie.name}, from {what}")
    if options.authors_array is not None:
        return authors(options.authors_array, options)
    return None


def simulated(folder: Path, options: PaperOptions) -> Source:
    """A movie like the paper's, kept in the folder with its truth; simulated where it is not there."""
    path = folder / "movie.npz"
    if not (path.is_file() and truth_path(path).is_file()):
        size = QUICK_SIZE_PX if options.small else MovieConfig.size_px
        config = MovieConfig(frames=options.frames or MovieConfig.frames, size_px=size)
        save_simulated(path, simulate_movie(config, key=jax.random.key(options.seed)))
    movie = read_movie(path)
    assert movie.pixel_size_nm is not None  # the file has it
    truth = read_truth(truth_path(path), movie.pixel_size_nm)
    return Source(movie, "a simulated movie like the paper's, with known truth", truth=truth)


def authors(path: Path, options: PaperOptions) -> Source:
    """The authors' array: experimental frames (one channel), or their network's output (C, Si, background).

    Raises:
        MissingFileError: there is no such file.
        FormatError: not a plain .npy file.
        ImageError: neither one channel nor three.
    """
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file; the data are at doi.org/10.5281/zenodo.4279127")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise FormatError(f"{path}: not a readable .npy file of numbers ({one_line(error)})") from error
    array = array[..., None] if array.ndim == 3 else array
    if array.ndim != 4 or array.shape[3] not in (1, 3) or array.dtype.kind not in "fiu":
        raise ImageError(f"{path}: an array {array.shape}; meant are frames (t, h, w, 1) or class maps (t, h, w, 3)")
    shape, name = array.shape[:3], path.name.removesuffix(path.suffix)
    decoded = array.shape[3] == 3
    frames = LazyFrames(shape, lambda i: _light(array[i]), np.float32)
    movie = thinned(Movie(frames, options.px_nm, "option" if options.px_nm else "", name=name), options.frames)
    if not decoded:
        return Source(movie, f"{name}, the authors' frames")
    px, source = known_pixel_size(movie)
    movie = replace(movie, pixel_size_nm=px, pixel_size_source=source)
    kept = kept_frames(len(array), options.frames)
    classes = LazyFrames(
        (len(kept), *shape[1:], 2), lambda i: np.clip(np.asarray(array[kept[i]][..., :2], np.float32), 0, 1)
    )
    maps = Maps(classes, SPECIES, px, movie.size, px, name)
    return Source(movie, f"{name}, the authors' maps of C and Si", lambda: (maps, find_atoms(maps)))


def thinned(movie: Movie, count: int | None) -> Movie:
    """So many of the movie's frames, evenly spaced, or all."""
    kept = kept_frames(len(movie), count)
    if len(kept) == len(movie):
        return movie
    read: Callable[[int], np.ndarray] = lambda i: np.asarray(movie.frames[int(kept[i])])  # noqa: E731
    atoms = movie.atoms
    if atoms is not None:
        atoms = atoms.select(np.isin(atoms.frame, kept))
        atoms = replace(atoms, frame=np.searchsorted(kept, atoms.frame))
    dose = None if movie.dose is None else np.add.reduceat(movie.dose, kept)
    time = None if movie.frame_time_s is None else movie.frame_time_s * (kept[1] - kept[0] if len(kept) > 1 else 1)
    frames = LazyFrames((len(kept), *movie.size), read, np.float32)
    return replace(movie, frames=frames, atoms=atoms, dose=dose, frame_time_s=time)


def kept_frames(total: int, count: int | None) -> Integer[np.ndarray, " k"]:
    """Numbers of the frames that are used."""
    return np.unique(np.linspace(0, total - 1, min(count or total, total)).round().astype(int))


def _light(frame: np.ndarray) -> np.ndarray:
    """A frame of intensities: as it is, or drawn from the probabilities of C and Si."""
    values = np.asarray(frame, np.float32)
    return values[..., 0] if values.shape[-1] == 1 else values[..., 0] + SILICON_LIGHT * values[..., 1]
