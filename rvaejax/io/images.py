"""PNG and JPEG images, and folders of images as movies."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from rvaejax.errors import FormatError, ImageError
from rvaejax.io.raw import LazyFrames, RawMovie, one_line, to_grey

FOLDER_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".npy")
JPEG_TOLERANCE = 3.0
"""Grey levels by which the channels of a grey JPEG may differ: its colour transform rounds."""


def read_image(path: Path) -> RawMovie:
    """One PNG or JPEG image, 8 or 16 bit, grey (also when stored as RGB, with a palette or with constant opacity).

    Raises:
        FormatError: not an image, or cut short.
        ImageError: a colour image, or one whose opacity varies.
    """
    pixels = _pixels(path)
    lossy = path.suffix.lower() in (".jpg", ".jpeg")
    grey = to_grey(pixels, str(path), JPEG_TOLERANCE if lossy else 0.0)
    return RawMovie(LazyFrames((1, *grey.shape), lambda _: grey, grey.dtype))  # type: ignore[arg-type]


def _pixels(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            if image.mode in ("P", "PA", "CMYK", "YCbCr", "HSV", "LAB"):
                transparent = image.mode == "PA" or "transparency" in image.info
                return np.array(image.convert("RGBA" if transparent else "RGB"))
            return np.array(image)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise FormatError(f"{path}: not a readable image ({one_line(error)}); save it again as PNG or TIFF") from error


def natural_order(path: Path) -> list[tuple[int, int, str]]:
    """Sort key by which frame_2 comes before frame_10."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def read_folder(folder: Path, read_one: Callable[[Path], RawMovie]) -> RawMovie:
    """A folder of images of one size as a movie, in natural order of their names.

    Args:
        folder: the folder; only its images count, sub-folders do not.
        read_one: reads one of its images.

    Raises:
        FormatError: the folder holds no images.
        ImageError: an image holds several frames, or (when it is read) differs in size from the first.
    """
    files = [p for p in folder.iterdir() if p.suffix.lower() in FOLDER_SUFFIXES and not p.name.startswith(".")]
    if not files:
        raise FormatError(f"{folder}: no images in this folder; it should hold {', '.join(FOLDER_SUFFIXES)} files")
    files.sort(key=natural_order)
    first = read_one(files[0])
    size = first.frames.shape[1:]

    def frame(index: int) -> np.ndarray:
        raw = first if index == 0 else read_one(files[index])
        if raw.frames.shape != (1, *size):
            raise ImageError(
                f"{files[index]}: {raw.frames.shape} where {files[0].name} has {(1, *size)}; "
                "all images of a folder must be single frames of one size"
            )
        return raw.frames[0]

    frame(0)
    metadata = {**first.metadata, "files": [p.name for p in files]}
    return first._replace(frames=LazyFrames((len(files), *size), frame), metadata=metadata)  # type: ignore[arg-type]
