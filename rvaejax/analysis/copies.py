"""Copies of sub-images that are turned or moved by a known amount.

Angles are counter-clockwise on the displayed image; shifts are (x, y), x to the right, y down.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Shaped
from scipy import ndimage


def quarter_turned(images: Shaped[np.ndarray, "n h w c"], quarters: int) -> Shaped[np.ndarray, "n h w c"]:
    """Turned by quarters of a circle: the same pixels in other places."""
    return np.rot90(images, quarters, axes=(1, 2))


def disc(size: int) -> Float[np.ndarray, "size size"]:
    """1 for pixels that stay inside a window of `size` px however it is turned, 0 for the corners."""
    line = np.arange(size) - (size - 1) / 2
    return (np.hypot(line[:, None], line[None]) <= (size - 1) / 2).astype(np.float32)


def without_corners(images: Shaped[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n h w c"]:
    """Each window with its corners at the mean of the rest, so that what a turn brings in from outside says nothing."""
    inside = disc(images.shape[1])[None, :, :, None]
    images = np.asarray(images, np.float32)
    mean = (images * inside).sum((1, 2), keepdims=True) / inside.sum()
    return inside * images + (1 - inside) * mean


def turned(images: Shaped[np.ndarray, "n h w c"], angle: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n h w c"]:
    """Each window turned by its own angle [rad] by cubic splines, without corners."""
    n, size = len(images), images.shape[1]
    line = np.arange(size) - (size - 1) / 2
    y, x = np.meshgrid(line, line, indexing="ij")
    cos, sin = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    # the pixel at (x, y) shows what was at the place that the turn brings there (y points down)
    rows = x * sin + y * cos + (size - 1) / 2
    columns = x * cos - y * sin + (size - 1) / 2
    out = np.empty(images.shape, np.float32)
    for i in range(n):
        for c in range(images.shape[3]):
            image = np.asarray(images[i, ..., c], np.float32)
            out[i, ..., c] = ndimage.map_coordinates(image, [rows[i], columns[i]], order=3, mode="nearest")
    return without_corners(out)


def moved(images: Shaped[np.ndarray, "n h w c"], dx: int, dy: int) -> Shaped[np.ndarray, "n h w c"]:
    """Moved by whole pixels; at the side that is left empty the edge goes on."""
    size = images.shape[1]
    rows, columns = (np.clip(np.arange(size) - d, 0, size - 1) for d in (dy, dx))
    return images[:, rows][:, :, columns]


def turned_vectors(vectors: Float[np.ndarray, "n 2"], angle: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 2"]:
    """Vectors (x, y) [px] turned by `angle` [rad]."""
    cos, sin, x, y = np.cos(angle), np.sin(angle), vectors[:, 0], vectors[:, 1]
    return np.stack([x * cos + y * sin, -x * sin + y * cos], axis=-1)
