"""The noise of a frame, told from what the fit leaves: how it grows with brightness, and how pixels share it."""

from __future__ import annotations

import numpy as np
import scipy.fft
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


def correlation_gain(residual: Float[np.ndarray, "n k k"], inside: Float[np.ndarray, "n k k"], core: float) -> float:
    r"""By how much correlated noise widens the variance of a position, over what its variance per pixel tells.

    .. math:: \sum_\delta \rho(\delta) a(\delta), \quad
        a(\delta) = (1 - \delta^2 / 4 \sigma^2) \exp(-\delta^2 / 4 \sigma^2)

    A position is the frame's product with the slope of a spot. So the noise's autocorrelation counts by that of the
    slope of a Gaussian, the mean over both axes; and only what is odd about an atom's place pulls at it, not rings and
    tails that the profile misses.

    Args:
        residual: what the fit leaves around atoms.
        inside: 1 for pixels that count, else 0.
        core: standard deviation of a spot [px].
    """
    both = inside * inside[:, ::-1, ::-1]
    odd = both * (residual - residual[:, ::-1, ::-1])  # of white noise twice the variance
    size = scipy.fft.next_fast_len(2 * residual.shape[1] - 1, real=True)

    def correlated(values: Float[np.ndarray, "n k k"]) -> Float[np.ndarray, "size size"]:
        power = np.abs(scipy.fft.rfft2(values, (size, size))) ** 2
        return scipy.fft.irfft2(power.sum(0), (size, size))

    pairs = correlated(both)
    shift = np.fft.fftfreq(size, 1 / size)
    squared = (shift[:, None] ** 2 + shift[None] ** 2) / (4 * core**2)
    slope = np.where(pairs > 0.5, (1 - squared) * np.exp(-squared), 0.0)
    pulled = float((correlated(odd) / np.maximum(pairs, 1.0) * slope).sum()) / 2
    white = float((inside * residual**2).sum()) / max(float(inside.sum()), 1.0)
    return max(1.0, pulled / max(white, 1e-30))
