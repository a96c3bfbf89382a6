"""Stacks of sub-images as .npz files, the input of training and encoding."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np

from rvaejax.errors import FormatError, ImageError, MissingFileError
from rvaejax.io.arrays import NpzArrays
from rvaejax.io.files import atomic_path
from rvaejax.io.raw import scalar
from rvaejax.types import SubImages

log = logging.getLogger(__name__)

KNOWN = ("images", "frame", "xy", "label", "species", "atom", "pixel_size_nm", "channels", "spectra")


def read_subimages(path: str | os.PathLike[str]) -> SubImages:
    """A stack of sub-images.

    The file holds `images` (n, h, w) or (n, h, w, c), square, or signals (n, length) or (n, 1, length, c), of any real
    or integer type; and, where known, `frame` (n,), `xy` (n, 2) [px of the frame], `label` (n,), `species` (n,), `atom`
    (n,), `pixel_size_nm`, `channels` (c,), `spectra` (n, length).
    Other arrays are left unread, and logged.

    Raises:
        MissingFileError: there is no such file.
        FormatError: not an .npz file, no `images`, pickled objects, or arrays of different length.
        ImageError: `images` has the wrong shape or type, is empty, or has pixels that are NaN or infinite.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingFileError(f"{file}: no such file; check the path")
    arrays = NpzArrays(file)
    if "images" not in arrays:
        held = ", ".join(sorted(arrays.headers)) or "nothing"
        raise FormatError(f"{file}: no array 'images' (it holds {held}); save the stack (n, h, w) under that name")
    extra = sorted(set(arrays.headers) - set(KNOWN))
    if extra:
        log.info("%s: arrays that are not used: %s", file, ", ".join(extra))
    images = _images(arrays, file)
    n, channels = len(images), images.shape[-1]
    xy = _rows(arrays, "xy", (n, 2), np.full((n, 2), np.nan)).astype(np.float64)
    names = tuple(str(c) for c in arrays["channels"]) if "channels" in arrays else ()
    pixel_size = scalar(arrays["pixel_size_nm"], "pixel_size_nm", str(file)) if "pixel_size_nm" in arrays else np.nan
    return SubImages(
        images=images,
        frame=_rows(arrays, "frame", (n,), np.zeros(n)).astype(np.int64),
        x=xy[:, 0],
        y=xy[:, 1],
        species=_rows(arrays, "species", (n,), np.full(n, "")),
        atom=_rows(arrays, "atom", (n,), np.full(n, -1)).astype(np.int64),
        pixel_size_nm=pixel_size if np.isfinite(pixel_size) and pixel_size > 0 else None,
        channels=names if len(names) == channels else _channel_names(channels),
        label=_rows(arrays, "label", (n,), np.zeros(n)) if "label" in arrays else None,
        spectra=arrays["spectra"] if "spectra" in arrays else None,
    )


def write_subimages(path: str | os.PathLike[str], subimages: SubImages) -> None:
    """Writes the stack as a compressed .npz file that `read_subimages` reads; `dropped` is not kept."""
    arrays = {
        "images": np.asarray(subimages.images),
        "frame": np.asarray(subimages.frame),
        "xy": np.column_stack([subimages.x, subimages.y]),
        "species": np.asarray(subimages.species, dtype=np.str_),
        "atom": np.asarray(subimages.atom),
        "channels": np.asarray(subimages.channels, dtype=np.str_),
    }
    if subimages.pixel_size_nm is not None:
        arrays["pixel_size_nm"] = np.asarray(subimages.pixel_size_nm)
    if subimages.label is not None:
        arrays["label"] = np.asarray(subimages.label)
    if subimages.spectra is not None:
        arrays["spectra"] = np.asarray(subimages.spectra)
    with atomic_path(path) as temporary, open(temporary, "wb") as handle:
        np.savez_compressed(handle, **arrays)  # type: ignore[arg-type]


def _images(arrays: NpzArrays, file: Path) -> np.ndarray:
    shape, dtype = arrays.headers["images"]
    if dtype.kind not in "biufO":
        raise ImageError(f"{file}: images are {dtype}; give real or integer pixels")
    if len(shape) not in (2, 3, 4) or 0 in shape:
        raise ImageError(
            f"{file}: images have shape {shape}; give at least one, as (n, h, w), (n, h, w, c), or signals (n, length)"
        )
    if len(shape) > 2 and shape[1] not in (1, shape[2]):
        raise ImageError(f"{file}: images are {shape[1]} x {shape[2]} px; sub-images must be square")
    images = arrays["images"]
    if dtype.kind == "f" and not np.isfinite(images).all():
        rows = int((~np.isfinite(images)).reshape(len(images), -1).any(axis=1).sum())
        raise ImageError(f"{file}: {rows} images have pixels that are NaN or infinite; leave them out")
    images = images[:, None] if images.ndim == 2 else images
    return images if images.ndim == 4 else images[..., None]


def _rows(arrays: NpzArrays, key: str, shape: tuple[int, ...], default: np.ndarray) -> np.ndarray:
    if key not in arrays:
        return default
    array = arrays[key]
    if array.shape != shape:
        raise FormatError(f"{arrays.path}: {key} has shape {array.shape}, the images ask for {shape}; make them agree")
    return array


def _channel_names(channels: int) -> tuple[str, ...]:
    return ("intensity",) if channels == 1 else tuple(f"channel {i}" for i in range(channels))
