"""Latents on disk: LATENTS.npz (arrays alone) and latents.h5 (with the atom that each row belongs to)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from jaxtyping import Float, Integer, Shaped

from rvaejax.errors import FormatError, MissingFileError
from rvaejax.io.arrays import NpzArrays
from rvaejax.io.files import atomic_path
from rvaejax.io.raw import one_line
from rvaejax.types import ContentOrder, Latents, SubImages

FIELDS = ("angle", "angle_sd", "shift", "content", "content_sd")
OPTIONAL = ("scale", "class_probability")
ORDER = ("deviation", "crystallinity_own", "crystallinity")

DESCRIPTIONS = {
    "angle": ("rad", "rotation of the content, counter-clockwise on the displayed image"),
    "angle_sd": ("rad", "its standard deviation"),
    "shift": ("px of the sub-image", "shift (x, y) of the content, x to the right, y down, after the rotation"),
    "content": ("1", "content latents, in the order of their Kullback-Leibler divergence"),
    "content_sd": ("1", "their standard deviations"),
    "scale": ("1", "factor by which the content is enlarged"),
    "class_probability": ("1", "probability of each class"),
    "deviation": ("sd of the crystal", "distance of the content from the crystal's"),
    "crystallinity_own": ("1", "from 0 to 1, by the distance of the content from the crystal's"),
    "crystallinity": ("1", "the same averaged over the site and its bonded neighbours"),
    "frame": ("1", "frame number, from 0"),
    "x_px": ("px of the input frame", "centre, to the right"),
    "y_px": ("px of the input frame", "centre, down"),
    "species": ("", "chemical symbol of the central atom"),
    "atom": ("1", "row of the central atom in atoms.csv, from 0; -1 where there is none"),
}
"""Unit and meaning of every dataset of latents.h5."""


class LatentRows(NamedTuple):
    """Latents and where each row comes from.

    Attributes:
        latents: n rows.
        frame: (n,) frame number.
        x, y: (n,) centre of the sub-image [px of the input frame].
        species: (n,) chemical symbol of the central atom.
        atom: (n,) row of the central atom in the table of atoms, -1 where there is none.
        pixel_size_nm: size of a sub-image's pixel [nm], or None.
        order: deviation from the crystal and crystallinity of each row, or None.
    """

    latents: Latents
    frame: Integer[np.ndarray, " n"]
    x: Float[np.ndarray, " n"]
    y: Float[np.ndarray, " n"]
    species: Shaped[np.ndarray, " n"]
    atom: Integer[np.ndarray, " n"]
    pixel_size_nm: float | None = None
    order: ContentOrder | None = None


def write_latents(path: str | os.PathLike[str], latents: Latents) -> None:
    """Writes LATENTS.npz: angle, angle_sd, shift, content, content_sd (units as in `Latents`).

    `scale` and `class_probability` are added where there are such.
    """
    with atomic_path(path) as temporary, open(temporary, "wb") as handle:
        np.savez_compressed(handle, **_arrays(latents))  # type: ignore[arg-type]


def _arrays(latents: Latents) -> dict[str, np.ndarray]:
    found = {name: getattr(latents, name) for name in (*FIELDS, *OPTIONAL)}
    return {name: np.asarray(value) for name, value in found.items() if value is not None}


def read_latents(path: str | os.PathLike[str]) -> Latents:
    """The latents of a LATENTS.npz.

    Raises:
        MissingFileError: there is no such file.
        FormatError: not an .npz file, an array is missing, or their lengths differ.
    """
    file = _existing(path)
    arrays = NpzArrays(file)
    missing = [name for name in FIELDS if name not in arrays]
    if missing:
        raise FormatError(f"{file}: no array {missing[0]!r}; a file of latents holds {', '.join(FIELDS)}")
    return _checked({name: arrays[name] for name in (*FIELDS, *OPTIONAL) if name in arrays}, file)


def write_latents_h5(
    path: str | os.PathLike[str], latents: Latents, subimages: SubImages, order: ContentOrder | None = None
) -> None:
    """Writes latents.h5: the latents of each sub-image with its frame, centre, species and atom, units as attributes.

    With `order` come how far each is from the crystal, and its crystallinity.

    Raises:
        ValueError: the numbers of latents and sub-images differ.
    """
    for what, rows in (("latents", latents), ("orders", order)):
        if rows is not None and len(rows) != len(subimages):
            raise ValueError(f"{len(rows)} {what} for {len(subimages)} sub-images")
    species = [str(s).encode() for s in subimages.species]
    columns = {
        **_arrays(latents),
        **({} if order is None else {name: np.asarray(getattr(order, name)) for name in ORDER}),
        "frame": np.asarray(subimages.frame),
        "x_px": np.asarray(subimages.x),
        "y_px": np.asarray(subimages.y),
        "species": np.array(species, dtype=f"S{max((len(s) for s in species), default=1) or 1}"),
        "atom": np.asarray(subimages.atom),
    }
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["format"] = "rvaejax latents 1"
        if subimages.pixel_size_nm is not None:
            file.attrs["subimage_pixel_size_nm"] = subimages.pixel_size_nm
        for name, values in columns.items():
            packed = {"compression": "gzip"} if values.size else {}
            dataset = file.create_dataset(name, data=values, **packed)
            dataset.attrs["unit"], dataset.attrs["description"] = DESCRIPTIONS[name]


def read_latents_h5(path: str | os.PathLike[str]) -> LatentRows:
    """The rows of a latents.h5.

    Raises:
        MissingFileError: there is no such file.
        FormatError: not such a file, a dataset is missing, or their lengths differ.
    """
    file = _existing(path)
    try:
        with h5py.File(file, "r") as stored:
            missing = [name for name in DESCRIPTIONS if name not in stored and name not in (*OPTIONAL, *ORDER)]
            if missing:
                raise FormatError(f"{file}: no dataset {missing[0]!r}; encode the sub-images again")
            columns = {name: stored[name][()] for name in DESCRIPTIONS if name in stored}
            pixel_size = stored.attrs.get("subimage_pixel_size_nm")
    except OSError as error:
        raise FormatError(f"{file}: not a readable HDF5 file ({one_line(error)}); encode again") from error
    latents = _checked({name: columns[name] for name in (*FIELDS, *OPTIONAL) if name in columns}, file)
    return LatentRows(
        latents=latents,
        frame=columns["frame"],
        x=columns["x_px"],
        y=columns["y_px"],
        species=columns["species"].astype(np.str_),
        atom=columns["atom"],
        pixel_size_nm=None if pixel_size is None else float(pixel_size),
        order=_order(columns, len(latents), file),
    )


def _order(columns: dict[str, np.ndarray], n: int, file: Path) -> ContentOrder | None:
    """What a file says of the crystal; None of a file that was written without it."""
    found = {name: columns[name] for name in ORDER if name in columns}
    if not found:
        return None
    if len(found) < len(ORDER) or any(values.shape != (n,) for values in found.values()):
        raise FormatError(f"{file}: {', '.join(ORDER)} are not all there with {n} rows; encode again")
    return ContentOrder(**found)


def _existing(path: str | os.PathLike[str]) -> Path:
    file = Path(path)
    if not file.is_file():
        raise MissingFileError(f"{file}: no such file; check the path")
    return file


def _checked(arrays: dict[str, np.ndarray], file: Path) -> Latents:
    n = arrays["angle"].shape[:1]
    content = arrays["content"]
    wanted = {"angle": n, "angle_sd": n, "shift": (*n, 2), "content": (*n, *content.shape[-1:])}
    wanted["content_sd"] = wanted["content"]
    if "scale" in arrays:
        wanted["scale"] = n
    if "class_probability" in arrays:
        wanted["class_probability"] = (*n, *arrays["class_probability"].shape[-1:])
    for name, shape in wanted.items():
        if arrays[name].shape != shape:
            raise FormatError(f"{file}: {name} has shape {arrays[name].shape} where {shape} is meant; encode again")
    return Latents(**arrays)
