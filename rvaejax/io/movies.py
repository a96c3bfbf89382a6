"""Movies out of files: one function for every format, frames read lazily, and one word on the pixel size."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from rvaejax.errors import FormatError, MissingFileError
from rvaejax.io.arrays import read_npy, read_npz
from rvaejax.io.coordinates import read_coordinates
from rvaejax.io.hdf5 import read_hdf5
from rvaejax.io.images import read_folder, read_image
from rvaejax.io.pixel_size import settle
from rvaejax.io.raw import RawMovie
from rvaejax.io.tiff import read_tiff
from rvaejax.types import Movie

log = logging.getLogger(__name__)

READERS: Mapping[str, Callable[[Path], RawMovie]] = {
    ".npy": read_npy,
    ".npz": read_npz,
    ".tif": read_tiff,
    ".tiff": read_tiff,
    ".png": read_image,
    ".jpg": read_image,
    ".jpeg": read_image,
    ".h5": read_hdf5,
    ".hdf5": read_hdf5,
    ".csv": read_coordinates,
    ".csv.gz": read_coordinates,
}


def read_movie(path: str | os.PathLike[str], pixel_size_nm: float | None = None) -> Movie:
    """A movie (or an image, a movie of one frame) from a file, or from a folder of images in natural order.

    Args:
        path: .npy, .npz, .tif, .png, .jpg, .h5, .hdf5, a table of coordinates (.csv, .csv.gz), or a folder of images.
        pixel_size_nm: size of a pixel [nm]; it wins over what the file says.

    Returns:
        The movie, its frames read when asked for. `pixel_size_nm` is None where neither the file nor the caller knows.

    Raises:
        MissingFileError: there is no such file, or it cannot be opened.
        FormatError: the format is not known, or the file is empty, damaged or holds no image.
        ImageError: the image has the wrong number of axes, is complex, or is in colour.
        PixelSizeError: the pixel size makes no sense.
    """
    file = Path(path)
    raw = _read(file)
    size_nm, source = settle(raw.pixel_size_nm, pixel_size_nm, str(file))
    atoms = raw.atoms
    if atoms is not None and size_nm is not None:
        atoms = dataclasses.replace(atoms, pixel_size_nm=size_nm)
    movie = Movie(
        frames=raw.frames,
        pixel_size_nm=size_nm,
        pixel_size_source=source,
        frame_time_s=raw.frame_time_s,
        dose=raw.dose,
        name=file.name[: len(file.name) - len(_suffix(file))] if file.is_file() else file.resolve().name,
        metadata=raw.metadata,
        atoms=atoms,
    )
    log.info("%s: %d frames of %d x %d px, pixel size %s", file, len(movie), *movie.size, _said(size_nm, source))
    return movie


def _read(file: Path) -> RawMovie:
    if file.is_dir():
        return read_folder(file, _read)
    suffix = _suffix(file)
    try:
        with open(file, "rb") as handle:
            empty = not handle.read(1)
    except OSError as error:
        why = "no such file" if isinstance(error, FileNotFoundError) else error.strerror or "cannot be opened"
        raise MissingFileError(f"{file}: {why}; check the path") from error
    if suffix not in READERS:
        raise FormatError(f"{file}: format {suffix or '(no suffix)'} is not known; read are {', '.join(READERS)}")
    if empty:
        raise FormatError(f"{file}: the file is empty; copy it again from where it came")
    return READERS[suffix](file)


def _suffix(file: Path) -> str:
    return ".csv.gz" if file.name.lower().endswith(".csv.gz") else file.suffix.lower()


def _said(size_nm: float | None, source: str) -> str:
    return "not known yet" if size_nm is None else f"{size_nm:g} nm (from the {source})"
