"""Statistics of angles: differences, means and spreads on the circle, raw or modulo a symmetry.

The one room for them (Mardia and Jupp, Directional Statistics, 2000). `fold` = N means modulo 2 pi / N; it may be an
array, one symmetry per angle, and 0 stands for a site that looks the same at every angle: all angles are then one.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Integer

Fold = int | Integer[np.ndarray, "..."]
STEPS = 10  # of the median: each leaves no more than what lay across the cut of the circle


def circular_mean(angle: Float[np.ndarray, " n"], fold: int = 1) -> float:
    """Mean direction modulo 2 pi / fold [rad], in (-pi / fold, pi / fold]."""
    return float(np.angle(np.exp(1j * fold * angle).mean()) / fold)


def circular_median(angle: Float[np.ndarray, " n"], fold: int = 1) -> float:
    """Direction that has half of the others on either side, modulo 2 pi / fold [rad], in (-pi / fold, pi / fold].

    Found from the mean on, by the median of the differences; what points anywhere hardly moves it. NaN of no angles.
    """
    if not len(angle):
        return float("nan")
    middle = circular_mean(angle, fold)
    for _ in range(STEPS):
        middle += float(np.median(circular_difference(angle, middle, fold)))
    return float(circular_difference(middle, 0.0, fold))


def circular_difference(
    a: Float[np.ndarray, "..."] | float, b: Float[np.ndarray, "..."] | float, fold: Fold = 1
) -> Float[np.ndarray, "..."]:
    """A - b modulo 2 pi / fold [rad], in (-pi / fold, pi / fold]; 0 where fold is 0."""
    return np.asarray(np.angle(np.exp(1j * fold * (np.asarray(a) - np.asarray(b)))) / np.maximum(fold, 1))


def concentration(angle: Float[np.ndarray, " n"], fold: int = 1) -> float:
    """|mean exp(i fold angle)|: 1 where all angles agree modulo 2 pi / fold, 0 where they are spread evenly."""
    return float(abs(np.exp(1j * fold * np.asarray(angle)).mean()))


def circular_sd(angle: Float[np.ndarray, " n"], fold: int = 1) -> float:
    """Circular standard deviation sqrt(-2 ln R) / fold [rad]: that of the wrapped normal of the same R."""
    return float(np.sqrt(-2 * np.log(np.clip(concentration(angle, fold), 1e-300, 1.0))) / fold)


def fold_angle(angle: Float[np.ndarray, "..."], fold: Fold) -> Float[np.ndarray, "..."]:
    """Angles [rad] modulo 2 pi / fold, in [0, 2 pi / fold); with fold 1, in (-pi, pi]; with fold 0, 0."""
    period = 2 * np.pi / np.maximum(fold, 1)
    folded = np.mod(angle, period)
    folded = np.where(folded >= period, 0.0, folded)  # a tiny negative angle rounds up to the period
    raw = -np.mod(-np.asarray(angle) + np.pi, 2 * np.pi) + np.pi
    return np.where(np.equal(fold, 1), raw, np.where(np.equal(fold, 0), 0.0, folded))
