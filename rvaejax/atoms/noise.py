"""The noise of a frame, told from what the fit leaves: how it grows with brightness, and how pixels share it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.optimize import nnls


def noise_of_counts(
    model: Float[np.ndarray, " k"], residual: Float[np.ndarray, " k"], bins: int = 12
) -> tuple[float, float, float]:
    """Variance of a pixel as a straight line over its brightness: counting and read-out noise of an unknown gain."""
    low, high = np.percentile(model, [2, 98])
    bright = np.clip(model, low, high)
    place = np.clip(((bright - low) / max(high - low, 1e-30) * bins).astype(int), 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    used = count > 20
    if not used.any():
        return float((residual**2).mean()), 0.0, float(low)
    variance = np.bincount(place, residual**2, bins)[used] / count[used]
    mean = np.bincount(place, bright, bins)[used] / count[used] - low
    design = np.column_stack([np.ones(len(mean)), mean])
    precision = np.sqrt(count[used]) / np.maximum(variance, 1e-30)  # of a mean of squares
    scale = precision.max()
    (offset, slope), _ = nnls(design * (precision / scale)[:, None], variance * precision / scale)
    return float(offset), float(slope), float(low)


def variance_of_differences(image: Float[np.ndarray, "h w"]) -> float:
    """The noise's variance from second differences, which a smooth image has not."""
    difference = image[1:, 1:] + image[:-1, :-1] - image[1:, :-1] - image[:-1, 1:]
    variance = (1.4826 * np.median(np.abs(difference - np.median(difference)))) ** 2 / 4
    return max(float(variance), 1e-6 * float(image.var()), 1e-20)


def correlation_gain(residual: Float[np.ndarray, "n k k"], inside: Float[np.ndarray, "n k k"]) -> float:
    """By how much correlated noise widens what is averaged over many pixels: the sum of its autocorrelation."""
    r = residual * inside
    total = 0.0
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        total += 2 * float((r * np.roll(r, (dy, dx), (1, 2))).sum())
    return max(1.0, 1.0 + total / max(float((r**2).sum()), 1e-30))
