"""The grains that a distribution of angles shows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from rvaejax.analysis.circular import circular_difference

GRID = 720  # points of the density over one period


class Peak(NamedTuple):
    """One mode of a distribution of angles modulo a period.

    Attributes:
        angle: where it is [rad].
        share: of the atoms within half-way to the next modes.
    """

    angle: float
    share: float


def density(angle: Float[np.ndarray, " n"], fold: int, width: float) -> Float[np.ndarray, " grid"]:
    """Kernel density of angles modulo 2 pi / fold on `GRID` points of one period, with Gaussian kernels [rad]."""
    period = 2 * np.pi / fold
    counts, _ = np.histogram(np.mod(angle, period), bins=GRID, range=(0, period))
    step = period / GRID
    d = np.minimum(np.arange(GRID), GRID - np.arange(GRID)) * step
    kernel = np.exp(-0.5 * (d / width) ** 2)
    return np.fft.irfft(np.fft.rfft(counts) * np.fft.rfft(kernel), GRID) / max(len(angle), 1)


def orientation_peaks(
    angle: Float[np.ndarray, " n"], fold: int = 6, *, width: float = np.deg2rad(1.5), least: float = 0.08
) -> list[Peak]:
    """Modes of the angles modulo 2 pi / fold, the strongest first: on graphene with fold 6, one for each grain.

    The three bonds of a site repeat after 120 degrees, the two sublattices are 60 degrees apart: modulo 60 degrees
    a crystal has one angle.

    Args:
        angle: of each atom [rad].
        fold: symmetry.
        width: of the density's kernels [rad].
        least: modes with a smaller share of the atoms are left out.
    """
    period = 2 * np.pi / fold
    f = density(angle, fold, width)
    top = np.flatnonzero((f > np.roll(f, 1)) & (f >= np.roll(f, -1)) & (f > 0.15 * f.max()))
    centres = (top + 0.5) * period / GRID
    if not len(centres):
        return []
    away = np.abs(circular_difference(np.asarray(angle)[:, None], centres[None, :], fold))
    nearest = away.argmin(1)
    shares = np.bincount(nearest, minlength=len(centres)) / len(angle)
    found = [Peak(float(c), float(s)) for c, s in zip(centres, shares, strict=True) if s >= least]
    return sorted(found, key=lambda peak: -peak.share)
