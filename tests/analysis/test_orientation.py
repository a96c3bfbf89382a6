"""Grains out of a mixture that is known."""

import numpy as np
import pytest

from rvaejax.analysis.circular import circular_difference
from rvaejax.analysis.orientation import GRID, density, orientation_peaks


@pytest.mark.parametrize("fold", [3, 6])
def test_the_density_is_a_sum_of_wrapped_kernels(fold):
    rng = np.random.default_rng(2)
    angle, period, width = rng.uniform(0, 7, 50), 2 * np.pi / fold, 0.04
    place = np.arange(GRID) * period / GRID
    binned = np.floor(np.mod(angle, period) / period * GRID) * period / GRID
    away = np.abs(circular_difference(place[:, None], binned[None], fold))
    assert np.allclose(density(angle, fold, width), np.exp(-0.5 * (away / width) ** 2).mean(1), atol=1e-6)


def _powder(centres, shares, n, spread, fold=6, seed=0):
    rng = np.random.default_rng(seed)
    which = rng.choice(len(centres), n, p=shares)
    turns = rng.integers(0, fold, n) * 2 * np.pi / fold
    return np.asarray(centres)[which] + spread * rng.standard_normal(n) + turns


@pytest.mark.parametrize("centres", [[0.1, 0.5], [0.02, 0.95], [0.3, 0.45]])
def test_grains_of_a_known_mixture_are_recovered(centres):
    angle = _powder(centres, [0.7, 0.3], 4000, np.radians(1.5))
    found = orientation_peaks(angle)
    assert len(found) == 2
    for peak, centre, share in zip(found, centres, [0.7, 0.3], strict=True):
        assert abs(circular_difference(peak.angle, centre, 6)) < np.radians(0.5)
        assert peak.share == pytest.approx(share, abs=0.03)


def test_one_crystal_is_one_grain_and_a_small_share_none():
    assert len(orientation_peaks(_powder([0.4], [1.0], 2000, 0.03))) == 1
    angle = _powder([0.2, 0.7], [0.8, 0.2], 4000, 0.02)
    assert len(orientation_peaks(angle)) == 2
    assert len(orientation_peaks(angle, least=0.25)) == 1


def test_turning_everything_turns_the_peaks():
    angle = _powder([0.15, 0.6], [0.6, 0.4], 3000, 0.02)
    plain, turned = orientation_peaks(angle), orientation_peaks(angle + 0.8)
    for a, b in zip(plain, turned, strict=True):
        assert circular_difference(b.angle - 0.8, a.angle, 6) == pytest.approx(0, abs=np.radians(0.2))
        assert a.share == pytest.approx(b.share, abs=0.02)


def test_sublattices_are_apart_by_60_degrees_with_fold_3():
    angle = _powder([0.2, 0.2 + np.pi / 3], [0.5, 0.5], 2000, 0.03, fold=3)
    found = orientation_peaks(angle, fold=3)
    assert len(found) == 2
    assert abs(circular_difference(found[0].angle, found[1].angle, 3)) == pytest.approx(np.pi / 3, abs=0.01)


def test_no_angles_have_no_peaks():
    assert orientation_peaks(np.zeros(0)) == []
