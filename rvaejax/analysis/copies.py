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
    line = np.arange(images.shape[1]) - (images.shape[1] - 1) / 2
    y, x = np.meshgrid(line, line, indexing="ij")
    out = np.empty(images.shape, np.float32)
    for i, turn in enumerate(angle):
        cos, sin = np.cos(turn), np.sin(turn)
        # the pixel at (x, y) shows what was at the place that the turn brings there (y points down)
        out[i] = _sampled(images[i], x * cos - y * sin, x * sin + y * cos)
    return without_corners(out)


def centred(images: Shaped[np.ndarray, "n h w c"], shift: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n h w c"]:
    """Each window moved back by its own shift (x, y) [px] by cubic splines; beyond the border the edge goes on."""
    line = np.arange(images.shape[1]) - (images.shape[1] - 1) / 2
    y, x = np.meshgrid(line, line, indexing="ij")
    out = np.empty(images.shape, np.float32)
    for i, (dx, dy) in enumerate(shift):
        out[i] = _sampled(images[i], x + dx, y + dy)
    return out


def _sampled(image: Shaped[np.ndarray, "h w c"], x: np.ndarray, y: np.ndarray) -> Float[np.ndarray, "h w c"]:
    """The image at the places (x, y) [px from its centre]."""
    middle = (image.shape[0] - 1) / 2
    channels = np.moveaxis(np.asarray(image, np.float32), -1, 0)
    drawn = [ndimage.map_coordinates(c, [y + middle, x + middle], order=3, mode="nearest") for c in channels]
    return np.stack(drawn, axis=-1)


def moved(images: Shaped[np.ndarray, "n h w c"], dx: int, dy: int) -> Shaped[np.ndarray, "n h w c"]:
    """Moved by whole pixels; at the side that is left empty the edge goes on."""
    size = images.shape[1]
    rows, columns = (np.clip(np.arange(size) - d, 0, size - 1) for d in (dy, dx))
    return images[:, rows][:, :, columns]


def turned_vectors(vectors: Float[np.ndarray, "n 2"], angle: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 2"]:
    """Vectors (x, y) [px] turned by `angle` [rad]."""
    cos, sin, x, y = np.cos(angle), np.sin(angle), vectors[:, 0], vectors[:, 1]
    return np.stack([x * cos + y * sin, -x * sin + y * cos], axis=-1)
