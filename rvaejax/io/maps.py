"""Probability maps on disk: HDF5, 8 bit, one chunk per frame, written and read frame by frame."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np

from rvaejax.errors import FormatError, MissingFileError
from rvaejax.io.files import atomic_path
from rvaejax.io.raw import LazyFrames, one_line
from rvaejax.types import Atoms, Frames, Maps

LEVELS = 255
_ATOM_FIELDS = ("frame", "x", "y", "score", "sd")


def write_maps(path: str | os.PathLike[str], maps: Maps) -> None:
    """Writes maps.h5: `probabilities` (t, h, w, c) as round(255 p), gzip, and what belongs to them as attributes.

    An ensemble's `uncertainty` (t, h, w) is stored in the same way. The frames that the maps are of are not stored.
    Frames are taken one at a time, so that maps which are computed when asked for never lie in memory together.
    """
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        stored = _write_frames(file, "probabilities", maps.probabilities)
        if maps.uncertainty is not None:
            _write_frames(file, "uncertainty", maps.uncertainty)
        stored.attrs["unit"] = f"probability times {LEVELS}"
        stored.attrs["axes"] = "frame, y, x, species"
        stored.attrs["species"] = list(maps.species)
        stored.attrs["pixel_size_nm"] = maps.pixel_size_nm
        stored.attrs["input_size"] = maps.input_size
        stored.attrs["input_pixel_size_nm"] = maps.input_pixel_size_nm
        stored.attrs["name"] = maps.name
        file.attrs["format"] = "rvaejax maps 1"
        if maps.atoms is not None:
            _write_atoms(file.create_group("atoms"), maps.atoms)


def read_maps(path: str | os.PathLike[str]) -> Maps:
    """The maps of a maps.h5; each frame is read when asked for, as float32 in [0, 1], to within 1/510.

    Raises:
        MissingFileError: there is no such file.
        FormatError: not such a file.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingFileError(f"{file}: no such file; check the path")
    try:
        with h5py.File(file, "r") as stored:
            dataset = stored["probabilities"]
            attributes = dict(dataset.attrs)
            atoms = _read_atoms(stored["atoms"]) if "atoms" in stored else None
            shape = dataset.shape
            disagreement = stored["uncertainty"].shape if "uncertainty" in stored else None
        height, width = (int(n) for n in attributes["input_size"])
        return Maps(
            probabilities=LazyFrames(shape, lambda i: _frame(file, "probabilities", i), np.float32),
            species=tuple(str(s) for s in attributes["species"]),
            pixel_size_nm=float(attributes["pixel_size_nm"]),
            input_size=(height, width),
            input_pixel_size_nm=float(attributes["input_pixel_size_nm"]),
            name=str(attributes["name"]),
            atoms=atoms,
            uncertainty=disagreement and LazyFrames(disagreement, lambda i: _frame(file, "uncertainty", i), np.float32),
        )
    except (OSError, KeyError) as error:
        raise FormatError(f"{file}: not a readable file of maps ({one_line(error)}); segment again") from error


def _write_frames(file: h5py.File, name: str, frames: Frames) -> h5py.Dataset:
    shape = tuple(frames.shape)
    chunks = (1, *shape[1:])
    stored = file.create_dataset(name, shape, np.uint8, chunks=chunks, compression="gzip", compression_opts=4)
    for index in range(shape[0]):
        stored[index] = np.round(LEVELS * np.clip(np.asarray(frames[index]), 0, 1)).astype(np.uint8)
    return stored


def _frame(file: Path, name: str, index: int) -> np.ndarray:
    try:
        with h5py.File(file, "r") as stored:
            return stored[name][index].astype(np.float32) / np.float32(LEVELS)
    except (OSError, KeyError) as error:
        raise FormatError(f"{file}: frame {index} cannot be read ({one_line(error)}); segment again") from error


def _write_atoms(group: h5py.Group, atoms: Atoms) -> None:
    for name in _ATOM_FIELDS:
        group[name] = np.asarray(getattr(atoms, name))
    group["species"] = np.array([str(s).encode() for s in atoms.species], dtype="S8")
    group.attrs["pixel_size_nm"] = atoms.pixel_size_nm


def _read_atoms(group: h5py.Group) -> Atoms:
    columns = {name: group[name][()] for name in _ATOM_FIELDS}
    return Atoms(
        **columns, species=group["species"][()].astype(np.str_), pixel_size_nm=float(group.attrs["pixel_size_nm"])
    )
