"""Angles on the circle, against brute force, closed forms and SciPy."""

import numpy as np
import pytest
from scipy import stats

from rvaejax.analysis.circular import (
    circular_difference,
    circular_mean,
    circular_median,
    circular_sd,
    concentration,
    fold_angle,
)


@pytest.mark.parametrize("fold", [1, 3, 6])
def test_differences_are_the_shortest_way_round(fold):
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-10, 10, (2, 200))
    period = 2 * np.pi / fold
    ways = (a - b)[:, None] + period * np.arange(-30, 31)[None] * fold / fold
    shortest = ways[np.arange(200), np.abs(ways).argmin(1)]
    found = circular_difference(a, b, fold)
    assert np.allclose(found, shortest, atol=1e-9) and np.abs(found).max() <= period / 2


@pytest.mark.parametrize("fold", [1, 3, 6])
def test_the_mean_is_where_the_squared_distance_is_least(fold):
    """For narrow distributions the direction of the resultant is the mean of the unwrapped angles."""
    rng = np.random.default_rng(1)
    period = 2 * np.pi / fold
    for centre in rng.uniform(-period / 2, period / 2, 5):
        spread = rng.normal(0, 0.02, 400)
        angle = centre + spread + period * rng.integers(-3, 4, 400)
        assert circular_difference(circular_mean(angle, fold), centre + spread.mean(), fold) == pytest.approx(
            0, abs=1e-4
        )
        assert concentration(angle, fold) == pytest.approx(np.exp(-0.5 * (fold * 0.02) ** 2), abs=2e-3)


@pytest.mark.parametrize("fold", [1, 6])
def test_the_median_stays_where_the_crystal_is_whatever_a_third_of_the_sites_do(fold):
    rng = np.random.default_rng(2)
    period = 2 * np.pi / fold
    for centre in (-0.49 * period, 0.1 * period, 0.5 * period):
        crystal = centre + rng.normal(0, 0.005, 401)
        others = centre + rng.uniform(0.1, 0.4, 200) * period  # all to one side
        both = np.concatenate([crystal, others]) + period * rng.integers(-2, 3, 601)
        exact = centre + np.median(np.concatenate([crystal, others]) - centre)
        assert circular_difference(circular_median(both, fold), exact, fold) == pytest.approx(0, abs=1e-9)
        off = np.abs([circular_difference(f(both, fold), centre, fold) for f in (circular_median, circular_mean)])
        assert off[0] < 0.01 < 0.03 * period < off[1]


def test_concentration_is_one_for_a_crystal_and_none_for_a_powder():
    assert concentration(0.3 + np.arange(5) * np.pi / 3, 6) == pytest.approx(1)
    assert concentration(np.linspace(0, 2 * np.pi, 360, endpoint=False), 6) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("fold", [1, 2, 5])
def test_mean_spread_and_concentration_are_scipys(fold):
    angle = np.random.default_rng(3).vonmises(0.4, 2.0, 300)
    high = 2 * np.pi / fold
    mean = stats.circmean(angle, high=high)
    assert circular_difference(circular_mean(angle, fold), mean, fold) == pytest.approx(0, abs=1e-12)
    assert circular_sd(angle, fold) == pytest.approx(stats.circstd(angle, high=high), rel=1e-9)
    assert 1 - concentration(angle, fold) == pytest.approx(stats.circvar(angle, high=high), rel=1e-9)


@pytest.mark.parametrize("sd", [0.05, 0.5, 1.0])
def test_the_spread_of_a_wrapped_normal_is_that_of_the_normal(sd):
    angle = 100 + sd * stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    assert circular_sd(angle) == pytest.approx(sd, rel=1e-3)


def test_every_angle_may_have_a_symmetry_of_its_own():
    angle = np.array([0.3, -0.3, 2.9, -2.9])
    fold = np.array([1, 3, 4, 0])
    one_by_one = [float(fold_angle(a, int(n))) for a, n in zip(angle, fold, strict=True)]
    assert np.allclose(fold_angle(angle, fold), one_by_one)
    shifted = angle + np.where(fold > 0, 2 * np.pi / np.maximum(fold, 1), 1.234)
    assert np.allclose(circular_difference(shifted, angle, fold), 0, atol=1e-12)
    assert circular_difference(1.0, 0.0, 0) == 0  # what looks the same at every angle has no angle to be wrong


def test_pi_stays_and_minus_pi_does_not():
    assert fold_angle(np.array([np.pi, -np.pi]), 1).tolist() == [np.pi, np.pi]
