"""How alike the components of a decomposition are: as they are, and up to rotation (the paper's Fig. S1)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage, stats

from rvaejax.analysis.copies import disc, turned, without_corners

K1, K2 = 0.01, 0.03
SIGMA = 1.5  # px
TURNS = 72
COPY = 0.95  # structural similarity beyond which two components show one thing


class Similarity(NamedTuple):
    """The similarity of each pair of components.

    Attributes:
        plain: (k, k) structural similarity as they are; 1 on the diagonal.
        turned: (k, k) its largest value over rotations of one of the two.
    """

    plain: Float[np.ndarray, "k k"]
    turned: Float[np.ndarray, "k k"]

    @property
    def mean(self) -> tuple[float, float]:
        """Means over all pairs of different components: as they are, and up to rotation."""
        return _off_diagonal(self.plain), _off_diagonal(self.turned)

    @property
    def copies(self) -> float:
        """Share of the pairs that show one thing: up to rotation more than `COPY` alike."""
        k = len(self.turned)
        return float((self.turned[~np.eye(k, dtype=bool)] > COPY).mean()) if k > 1 else float("nan")


def _off_diagonal(matrix: np.ndarray) -> float:
    k = len(matrix)
    return float(matrix[~np.eye(k, dtype=bool)].mean()) if k > 1 else float("nan")


def mean_and_interval(values: Float[np.ndarray, " n"], level: float = 0.95) -> tuple[float, float]:
    """The mean of independent draws, and half the width of its confidence interval; infinite for a single draw.

    Args:
        values: of each draw; for two methods on the same draws their differences.
        level: of confidence.

    Source: Student, Biometrika 6, 1 (1908).
    """
    values = np.asarray(values, float)
    n = len(values)
    if n < 2:
        return float(values.mean()), float("inf")
    return float(values.mean()), float(stats.t.ppf((1 + level) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n))


def component_similarity(images: Float[np.ndarray, "k h w c"], *, turns: int = TURNS) -> Similarity:
    r"""Structural similarity of every pair of components, and the same up to rotation.

    .. math:: \mathrm{SSIM}(a, b) = \Big\langle \frac{(2 \mu_a \mu_b + c_1)(2 \sigma_{ab} + c_2)}
              {(\mu_a^2 + \mu_b^2 + c_1)(\sigma_a^2 + \sigma_b^2 + c_2)} \Big\rangle, \qquad
              S(a, b) = \max_\theta \mathrm{SSIM}(R_\theta a, b)

    mu, sigma² and sigma_ab are means, variances and covariance under a Gaussian of 1.5 px; c_1 = (0.01 L)²,
    c_2 = (0.03 L)², L the range of all components together; the brackets average over the pixels that stay inside the
    window however it is turned, and over channels. S is made symmetric by the mean of S(a, b) and S(b, a). Two
    components that show one thing at two angles have S near 1, however different they look.

    Args:
        images: the components.
        turns: rotations tried, equally spaced over the whole turn.

    Source: Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, IEEE Trans. Image Process. 13, 600 (2004).
    """
    k, span = len(images), float(np.ptp(images)) if len(images) else 1.0
    inside = disc(images.shape[1]).astype(bool)
    still = without_corners(images).astype(np.float64)
    plain = ssim(still, still, span or 1.0, inside)
    best = plain.copy()
    for angle in 2 * np.pi * np.arange(1, turns) / turns:
        copies = turned(images, np.full(k, angle)).astype(np.float64)
        best = np.maximum(best, ssim(copies, still, span or 1.0, inside))
    return Similarity(plain, (best + best.T) / 2)


def ssim(
    first: Float[np.ndarray, "k h w c"],
    second: Float[np.ndarray, "m h w c"],
    span: float,
    inside: Bool[np.ndarray, "h w"],
) -> Float[np.ndarray, "k m"]:
    """Mean structural similarity of each pair over the pixels `inside`; see `component_similarity`."""
    c1, c2 = (K1 * span) ** 2, (K2 * span) ** 2
    mean_a, mean_b = _blurred(first)[:, None], _blurred(second)[None]
    var_a = _blurred(first**2)[:, None] - mean_a**2
    var_b = _blurred(second**2)[None] - mean_b**2
    both = _blurred(first[:, None] * second[None]) - mean_a * mean_b
    value = (2 * mean_a * mean_b + c1) * (2 * both + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    return value[:, :, inside].mean((2, 3))


def _blurred(images: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_filter(images, SIGMA, axes=(-3, -2), truncate=3.5)
