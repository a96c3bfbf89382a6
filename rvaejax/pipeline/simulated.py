"""Simulated movies and images as files, with their truth beside them."""

from __future__ import annotations

import csv
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from rvaejax.errors import FormatError
from rvaejax.io.files import atomic_path, check_output_file
from rvaejax.io.raw import one_line
from rvaejax.simulate.config import SPECIES, ImagingConfig, MovieConfig, SheetConfig
from rvaejax.simulate.dataset import labelled_image
from rvaejax.simulate.imaging import class_labels
from rvaejax.simulate.movie import SimulatedMovie, simulate_movie
from rvaejax.simulate.truth import Truth, frame_truth, join_truth
from rvaejax.structure.rings import LARGEST_RING
from rvaejax.types import Atoms, Movie

RINGS = (5, 6, 7, 8)  # sizes of rings that have a column of their own


def truth_path(path: Path) -> Path:
    """Where the truth of a simulated file lies: beside it, `_truth.csv` for its suffix."""
    return path.with_name(f"{path.stem}_truth.csv")


def write_movie(path: Path, config: MovieConfig, *, seed: int, overwrite: bool = False) -> Path:
    """Simulates a movie into `path` (.npz) and returns the path of its truth."""
    check_output_file(path, overwrite)
    check_output_file(truth_path(path), overwrite)
    return save_simulated(path, simulate_movie(config, key=jax.random.key(seed)))


def write_images(path: Path, config: MovieConfig, *, seed: int, overwrite: bool = False) -> Path:
    """Simulates independent images, with `labels` (0 background, 1 C, 2 Si) in the file, and returns the truth's path.

    Only frames, size and pixel of `config` count; specimen, dose and blemishes are drawn as for training.
    """
    check_output_file(path, overwrite)
    check_output_file(truth_path(path), overwrite)
    sheet = SheetConfig(field_nm=config.size_px * config.pixel_size_nm)
    imaging = ImagingConfig(size_px=config.size_px, pixel_size_nm=config.pixel_size_nm)
    make = jax.jit(lambda key: labelled_image(sheet, imaging, key=key))
    images, labels, rows = [], [], []
    for t in range(config.frames):
        made = jax.device_get(make(jax.random.fold_in(jax.random.key(seed), t)))
        images.append(made.image)
        labels.append(np.asarray(class_labels(jnp.asarray(made.labels)), np.uint8))
        atoms = np.flatnonzero(made.sheet.mask)
        xy, species = made.sheet.xy[atoms], np.asarray(SPECIES)[made.sheet.species[atoms]]
        rows.append(frame_truth(t, atoms, xy, species, config.size_px, config.pixel_size_nm))
    save_frames(path, Movie(np.stack(images), config.pixel_size_nm), labels=np.stack(labels))
    return write_truth(truth_path(path), join_truth(rows))


def save_simulated(path: Path, simulated: SimulatedMovie) -> Path:
    """Writes the frames (.npz) and, beside them, the truth; returns the truth's path."""
    save_frames(path, simulated.movie)
    return write_truth(truth_path(path), simulated.truth)


def save_frames(path: Path, movie: Movie, **arrays: np.ndarray) -> None:
    """Writes frames as .npz with their pixel size, and further arrays."""
    frames = np.stack([np.asarray(movie.frames[t], np.float32) for t in range(len(movie))])
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, frames=frames, pixel_size_nm=movie.pixel_size_nm, **arrays)  # type: ignore[arg-type]


def write_truth(path: Path, truth: Truth) -> Path:
    """Writes one row per atom and frame: frame, position [px and nm], species, and what is true of it."""
    atoms, nm = truth.atoms, truth.atoms.pixel_size_nm
    columns = {
        "frame": atoms.frame,
        "x_px": np.round(atoms.x, 4),
        "y_px": np.round(atoms.y, 4),
        "x_nm": np.round(atoms.x * nm, 6),
        "y_nm": np.round(atoms.y * nm, 6),
        "species": atoms.species,
        "identity": truth.identity,
        "coordination": truth.coordination,
        "orientation_rad": np.round(truth.orientation, 5),
        "kind": truth.kind,
        "smallest_ring": truth.smallest_ring,
        "largest_ring": truth.largest_ring,
        **{f"rings_{size}": truth.rings[:, size] for size in RINGS},
        "crystallinity": np.round(truth.crystallinity, 4),
    }
    with atomic_path(path) as temporary, open(temporary, "w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def read_truth(path: Path, pixel_size_nm: float) -> Truth:
    """The truth that was written beside a simulated movie, to the digits that are written.

    Of rings of other sizes than `RINGS` it only says whether they are an atom's smallest or largest.

    Args:
        path: the table.
        pixel_size_nm: of the movie.

    Raises:
        FormatError: not such a table.
    """
    try:
        with open(path, newline="", encoding="utf-8") as handle:
            header, *lines = csv.reader(handle)
        text = dict(zip(header, np.array(lines, "U24").reshape(-1, len(header)).T, strict=True))
        species, kind = text.pop("species"), text.pop("kind")
        number = {name: values.astype(float) for name, values in text.items()}
        x, y, orientation, order = (number[name] for name in ("x_px", "y_px", "orientation_rad", "crystallinity"))
        names = ("frame", "identity", "coordination", "smallest_ring", "largest_ring")
        frame, identity, coordination, *ends = (number[name].astype(int) for name in names)
        rings = np.zeros((len(x), LARGEST_RING + 1), int)
        for end in ends:
            rings[np.flatnonzero(end), end[end > 0]] = 1
        for size in RINGS:
            rings[:, size] = number[f"rings_{size}"]
    except (KeyError, ValueError, IndexError) as error:
        raise FormatError(f"{path}: not the truth of a simulated movie ({one_line(error)})") from error
    one = np.ones(len(x))
    atoms = Atoms(frame, x, y, species, one, 0 * one, pixel_size_nm)
    return Truth(atoms, identity, coordination, orientation, kind, rings, order)
