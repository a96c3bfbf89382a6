"""Images in HDF5 files: the dataset `image_data` beside JSON `metadata`, or the only image that the file holds."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rvaejax.errors import FormatError
from rvaejax.io.raw import LazyFrames, RawMovie, is_colour, movie_shape, one_line, scalar, to_grey

PREFERRED = ("image_data", "frames", "movie", "images", "image")


def read_hdf5(path: Path) -> RawMovie:
    """A dataset (h, w) or (t, h, w), read frame by frame.

    The dataset is `image_data` (or another name of `PREFERRED`), else the only one with 2 or 3 axes. Pixel size from
    the attribute `pixel_size_nm` or `px_nm` of the dataset or of the file, else from the entry "scan size" [nm] of the
    JSON text `metadata`, divided by the width; "NA" there says nothing.

    Raises:
        FormatError: not an HDF5 file, or no such dataset.
        ImageError: see `rvaejax.io.raw.movie_shape`.
    """
    try:
        with h5py.File(path, "r") as file:
            dataset = _image(file, path)
            size = movie_shape(dataset.shape, dataset.dtype, f"{path} ({dataset.name})")
            attributes = {**file.attrs, **dataset.attrs}
            described = _description(file)
            name, dtype = dataset.name, dataset.dtype
    except OSError as error:
        raise FormatError(f"{path}: not a readable HDF5 file ({one_line(error)}); save it again") from error
    return RawMovie(
        frames=LazyFrames(size, lambda i: _frame(path, name, i), dtype),
        pixel_size_nm=_pixel_size(attributes, described, size[2], str(path)),
        frame_time_s=_attribute(attributes, ("frame_time_s",), str(path)),
        metadata={**attributes, **described},
    )


def _frame(path: Path, name: str, index: int) -> np.ndarray:
    try:
        with h5py.File(path, "r") as file:
            dataset = file[name]
            if is_colour(dataset.shape):
                return to_grey(dataset[()], str(path))
            return dataset[()] if dataset.ndim == 2 else dataset[index]
    except (OSError, KeyError) as error:
        raise FormatError(f"{path}: frame {index} cannot be read ({one_line(error)}); the file is damaged") from error


def _image(file: h5py.File, path: Path) -> h5py.Dataset:
    datasets: list[h5py.Dataset] = []
    file.visititems(lambda _, item: datasets.append(item) if isinstance(item, h5py.Dataset) else None)
    for name in PREFERRED:
        for dataset in datasets:
            if dataset.name.rsplit("/", 1)[-1] == name:
                return dataset
    numeric = [d for d in datasets if d.shape and d.dtype.kind in "biufc"]
    images = [d for d in numeric if d.ndim in (2, 3)]
    if len(images) == 1:
        return images[0]
    if len(numeric) == 1:
        return numeric[0]  # so that the error says what is wrong with the only array there is
    names = ", ".join(d.name for d in (images or datasets)[:8]) or "nothing"
    what = "no image in this file" if not images else "several datasets could be the image"
    raise FormatError(f"{path}: {what} (it holds {names}); name the dataset (h, w) or (t, h, w) 'image_data'")


def _description(file: h5py.File) -> dict[str, Any]:
    """The JSON text `metadata`, a dataset or an attribute, as a dictionary; empty where there is none."""
    if "metadata" in file and isinstance(file["metadata"], h5py.Dataset) and file["metadata"].shape == ():
        text = file["metadata"][()]
    else:
        text = file.attrs.get("metadata", "")
    try:
        found = json.loads(text)
    except (TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _attribute(attributes: Mapping[str, Any], names: tuple[str, ...], path: str) -> float | None:
    for name in names:
        if name in attributes:
            return scalar(attributes[name], name, path)
    return None


def _pixel_size(attributes: Mapping[str, Any], described: Mapping[str, Any], width: int, path: str) -> float | None:
    found = _attribute(attributes, ("pixel_size_nm", "px_nm"), path)
    if found is not None:
        return found
    scan = re.match(r"\s*([0-9.]+(?:[eE][-+]?\d+)?)\s*(?:nm)?\s*$", str(described.get("scan size", "")))
    try:
        return float(scan[1]) / width if scan else None
    except ValueError:
        return None
