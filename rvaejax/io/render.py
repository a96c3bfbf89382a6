"""Atoms drawn as blobs: the frames of a movie of which only a table of coordinates is left."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

HEIGHTS: Mapping[str, float] = {"C": 1.0, "Si": 2.0}
"""Height of a blob; silicon is the brighter one in an annular dark field image."""
SIGMA_OF_SPACING = 0.18
"""Width of a blob, standard deviation over the distance between neighbours."""
LONE_SIGMA = 1.6
"""Width [px] where no atom has a neighbour."""
REACH = 4.0
"""Standard deviations at which a blob ends (at 3e-4 of its height)."""


def blob_sigma(frame: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    """Standard deviation of the blobs [px]: 0.18 of the median distance to the nearest neighbour in the same frame."""
    distances = []
    for number in np.unique(frame):
        points = np.column_stack([x[frame == number], y[frame == number]])
        if len(points) > 1:
            distances.append(cKDTree(points).query(points, k=2)[0][:, 1])
    positive = np.concatenate(distances) if distances else np.zeros(0)
    positive = positive[positive > 0]
    return SIGMA_OF_SPACING * float(np.median(positive)) if len(positive) else LONE_SIGMA


def render(
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " n"],
    height: Float[np.ndarray, " n"],
    sigma: float,
    size: tuple[int, int],
) -> Float[np.ndarray, "h w"]:
    """The largest of the blobs at each pixel: max_i height_i exp(-|r - r_i|² / 2 sigma²), zero beyond 4 sigma.

    The maximum, not the sum, so that an atom listed twice is not twice as bright.

    Args:
        x: positions to the right [px], pixel centres at whole numbers.
        y: positions down [px].
        height: of each blob.
        sigma: standard deviation of a blob [px].
        size: (h, w) of the image [px].
    """
    reach = int(np.ceil(REACH * sigma))
    offsets = np.arange(-reach, reach + 1)
    rows = np.round(y).astype(np.int64)[:, None] + offsets
    cols = np.round(x).astype(np.int64)[:, None] + offsets
    gy = np.exp(-0.5 * ((rows - y[:, None]) / sigma) ** 2)
    gx = np.exp(-0.5 * ((cols - x[:, None]) / sigma) ** 2)
    values = (height[:, None, None] * gy[:, :, None] * gx[:, None, :]).astype(np.float32)
    padded = np.zeros((size[0] + 2 * reach, size[1] + 2 * reach), np.float32)
    at = (
        np.clip(rows + reach, 0, padded.shape[0] - 1)[:, :, None],
        np.clip(cols + reach, 0, padded.shape[1] - 1)[:, None, :],
    )
    np.maximum.at(padded, at, values)
    return padded[reach : reach + size[0], reach : reach + size[1]]
