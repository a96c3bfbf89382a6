"""Windows resampled onto (orientation, radius) by a fixed linear map, bilinear and exact under quarter turns."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


def polar_points(size: int, orientations: int, radii: int | None) -> Float[np.ndarray, "k r 2"]:
    """Positions (x, y) [px from the window's centre] of the polar samples.

    Point (k, j) lies at radius r_j in the direction 2 pi k / K, counter-clockwise on the displayed image (y down).
    Content that is turned by 2 pi / K therefore moves by one along k. The first quarter is computed, the others are its
    quarter turns, so that a quarter turn of the window permutes the samples exactly.
    """
    count = (size + 1) // 2 if radii is None else radii
    radius = (np.arange(count) + 0.5) * ((size - 1) / 2) / (count - 0.5)
    theta = 2 * np.pi * np.arange(orientations // 4) / orientations
    first = np.stack([np.outer(np.cos(theta), radius), -np.outer(np.sin(theta), radius)], axis=-1)
    quarters = [first]
    for _ in range(3):
        x, y = quarters[-1][..., 0], quarters[-1][..., 1]
        quarters.append(np.stack([y, -x], axis=-1))
    return np.concatenate(quarters)


def polar_taps(
    points: Float[np.ndarray, "k r 2"], size: tuple[int, int]
) -> tuple[Int[np.ndarray, "points 4"], Float[np.ndarray, "points 4"]]:
    """The four pixels (numbers in the flattened window) that each point is interpolated from, and their weights."""
    h, w = size
    x = np.clip(points[..., 0].ravel() + (w - 1) / 2, 0, w - 1)
    y = np.clip(points[..., 1].ravel() + (h - 1) / 2, 0, h - 1)
    x0, y0 = np.minimum(np.floor(x), w - 2).astype(int), np.minimum(np.floor(y), h - 2).astype(int)
    fx, fy = x - x0, y - y0
    first = y0 * w + x0
    taps = np.stack([first, first + 1, first + w, first + w + 1], axis=-1)
    weights = np.stack([(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx], axis=-1)
    return taps.astype(np.int32), weights.astype(np.float32)


def polar_features(
    images: Float[Array, "b h w c"], taps: Int[np.ndarray, "points 4"], weights: Float[np.ndarray, "points 4"], k: int
) -> Float[Array, "b k features"]:
    """The polar samples of each window, the k orientations first, radii and channels together as features."""
    b, h, w, c = images.shape
    flat = images.reshape(b, h * w, c)
    samples = sum(flat[:, taps[:, i]] * jnp.asarray(weights[None, :, i, None], images.dtype) for i in range(4))
    return samples.reshape(b, k, -1)  # type: ignore[union-attr]
