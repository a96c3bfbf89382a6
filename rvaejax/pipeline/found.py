"""What a run is made of before anything is learned: maps, atoms, windows, and how they lie in the run's folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from rvaejax.atoms.centres import grid_centres, table_centres
from rvaejax.atoms.localise import find_atoms
from rvaejax.atoms.subimages import check_window, cut_subimages, window_side
from rvaejax.config import to_dict
from rvaejax.errors import NoAtomsError
from rvaejax.io.files import atomic_path, write_text
from rvaejax.io.maps import read_maps, write_maps
from rvaejax.io.tables import read_atoms, write_atoms
from rvaejax.pipeline.config import RunConfig
from rvaejax.pipeline.figures import KEPT_FRAMES
from rvaejax.pipeline.resume import fingerprint, was_begun
from rvaejax.plotting.maps import three_frames
from rvaejax.segmentation.pixel_size import known_pixel_size
from rvaejax.segmentation.predict import segment
from rvaejax.segmentation.weights import load_segmenter
from rvaejax.types import EMPTY, Atoms, Maps, Movie, SubImages


def settled(movie: Movie, config: RunConfig) -> Movie:
    """The movie with its pixel size known, into which the window fits.

    Raises:
        PixelSizeError: nobody says the pixel size.
        ImageError: the frames are smaller than a window.
    """
    px, source = known_pixel_size(movie)
    check_window(config.window_nm, movie.size, px, movie.name)
    return replace(movie, pixel_size_nm=px, pixel_size_source=source)


def find(movie: Movie, config: RunConfig) -> tuple[Maps, Atoms]:
    """Maps and atoms of a movie; no atoms are an error only where windows are to be centred on them."""
    maps = segment(movie, segmenter=load_segmenter(config.segmenter))
    try:
        return maps, find_atoms(maps)
    except NoAtomsError:
        if config.centres == "atoms":
            raise
        none = np.zeros(0)
        return maps, Atoms(none.astype(int), none, none, none.astype("U2"), none, none, maps.input_pixel_size_nm)


def points(movie: Movie, config: RunConfig) -> Atoms | None:
    """What windows are centred on where it is not atoms."""
    pixel_size_nm = movie.pixel_size_nm
    if config.centres == "atoms" or pixel_size_nm is None:
        return None
    if config.centres == "grid":
        return grid_centres(len(movie), movie.size, window_side(config.window_nm, pixel_size_nm), pixel_size_nm)
    return table_centres(Path(config.centres), len(movie), pixel_size_nm)


def cut(movie: Movie, maps: Maps, atoms: Atoms, centres: Atoms | None, config: RunConfig) -> SubImages:
    """The windows of a run: around its atoms, or around other points where there are such."""
    cut_from = maps if config.source == "maps" else movie
    which: tuple[str, ...] = ("C", "Si") if centres is None else ()
    return cut_subimages(
        cut_from,
        atoms if centres is None else centres,
        window_nm=config.window_nm,
        window_px_nm=config.window_px_nm,
        centres=which,
    )


def stored(out: Path, movie: Movie, config: RunConfig) -> tuple[Maps, Atoms] | None:
    """Maps and atoms of the interrupted run, if it came that far.

    Raises:
        ConfigError: it was started with other options, or on another movie.
    """
    if not was_begun(out, sections(movie, config)):
        return None
    return read_maps(out / "maps.h5"), read_atoms(out / "atoms.csv")


def sections(movie: Movie, config: RunConfig) -> dict[str, Any]:
    """What a resumed run must have in common with the interrupted one."""
    ends = (np.asarray(movie.frames[t]) for t in sorted({0, len(movie) // 2, len(movie) - 1}))
    known = {"frames": len(movie), "size": list(movie.size), "checksum": fingerprint(ends)}
    return {"run": to_dict(config), "movie": {"name": movie.name, **known}}


def write_input(
    folder: Path, movie: Movie, maps: Maps, atoms: Atoms, config: RunConfig, further: Mapping[str, Any] = EMPTY
) -> None:
    """What later stages and a later `report` need; config.yaml comes last, as the sign that all of it is there."""
    write_maps(folder / "maps.h5", maps)
    write_atoms(folder / "atoms.csv", atoms)
    kept = three_frames(atoms.frame if len(atoms) else np.arange(len(movie)))
    frames = np.stack([np.asarray(movie.frames[t], np.float32) for t in kept])
    with atomic_path(folder / KEPT_FRAMES) as path:
        dose = np.zeros(0) if movie.dose is None else np.asarray(movie.dose, float)
        seconds = movie.frame_time_s or np.nan
        np.savez_compressed(path, frames=frames, index=np.asarray(kept), frame_time_s=seconds, dose=dose)
    known = sections(movie, config)
    known["movie"] |= {
        "pixel_size_nm": atoms.pixel_size_nm,
        "pixel_size_source": movie.pixel_size_source,
    }
    write_text(folder / "config.yaml", yaml.safe_dump({**known, **further}, sort_keys=False))
