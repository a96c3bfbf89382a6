"""Masks: a whole number per pixel, 0 for the background, 1, 2, ... for the species.

What is taken from a mask are positions: **each connected blob of one class (pixels that share an edge) is one atom of
that species, at the blob's centroid.** So it does not matter how large somebody draws the discs, as long as they do not
touch.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped
from PIL import Image, UnidentifiedImageError
from scipy import ndimage

from rvaejax.errors import FormatError
from rvaejax.io.movies import read_movie
from rvaejax.io.raw import one_line

log = logging.getLogger(__name__)

MERGED = 1.8  # a blob this many times as large as the median of its class is probably two


def mask_atoms(
    mask: Shaped[np.ndarray, "h w"], species: Sequence[str], name: str
) -> tuple[Float[np.ndarray, "n 2"], np.ndarray]:
    """Position (x, y) [px] and species of each blob in a mask: connected pixels of one class, at their centroid.

    Raises:
        FormatError: the mask is not of whole numbers, or has a class that is not known.
    """
    values = np.unique(mask)
    if values.dtype.kind not in "biuf" or not np.array_equal(values, np.round(values)):
        raise FormatError(f"{name}: the mask holds {values[values != np.round(values)][0]:g}; masks are whole numbers")
    wrong = values[(values < 0) | (values > len(species))]
    if len(wrong):
        classes = ", ".join(f"{number} {symbol}" for number, symbol in enumerate(("background", *species)))
        raise FormatError(f"{name}: the mask holds class {wrong[0]:g}, which is unknown; classes are {classes}")
    positions, symbols = [np.zeros((0, 2))], []
    for number, symbol in enumerate(species, 1):
        blobs, count = ndimage.label(mask == number)
        if not count:
            continue
        index = np.arange(1, count + 1)
        positions.append(np.asarray(ndimage.center_of_mass(blobs > 0, blobs, index))[:, ::-1])
        symbols += [symbol] * count
        areas = np.bincount(blobs.ravel())[1:]
        large = int((areas > MERGED * np.median(areas)).sum())
        if large:
            said = "%s: %d of %d %s blobs are unusually large; discs that touch count as one atom"
            log.warning(said, name, large, count, symbol)
    return np.concatenate(positions), np.array(symbols, dtype=np.str_)


def read_mask(path: Path) -> np.ndarray:
    """The numbers in a mask; of an image with a palette the numbers, not the colours."""
    try:
        if path.suffix.lower() == ".png":
            with Image.open(path) as image:
                if image.mode == "P":
                    return np.array(image)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise FormatError(f"{path}: not a readable image ({one_line(error)}); save it again as PNG or TIFF") from error
    return np.asarray(read_movie(path).frames[0])
