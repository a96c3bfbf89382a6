"""Change points against every possible division, and on curves whose changes are known."""

import itertools

import numpy as np
import pytest

from rvaejax.analysis.changes import change_points, noise_sd


def residual(y, piece):
    t = np.arange(len(y))
    design = np.ones((len(y), 1)) if piece == "level" else np.column_stack([np.ones(len(y)), t])
    return float(((y - design @ np.linalg.lstsq(design, y)[0]) ** 2).sum())


def exhaustive(y, piece, shortest):
    """The least penalised sum of squares of all divisions, noise 1."""
    n, p = len(y), 1 if piece == "level" else 2
    best = np.inf
    for k in range(n // shortest):
        for cuts in itertools.combinations(range(1, n), k):
            edges = [0, *cuts, n]
            if min(np.diff(edges)) < shortest:
                continue
            left = sum(residual(y[a:b], piece) for a, b in itertools.pairwise(edges))
            best = min(best, left + k * (p * y.shape[1] + 1) * np.log(n))
    return best


@pytest.mark.parametrize("piece", ["level", "line"])
@pytest.mark.parametrize("seed", range(4))
def test_no_division_is_better(piece, seed):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(13, 2)) + 4 * (np.arange(13) >= rng.integers(4, 9))[:, None]
    found = change_points(y, piece=piece, shortest=3, sd=np.ones(2))
    penalty = len(found.starts) * ((1 if piece == "level" else 2) * 2 + 1) * np.log(13)
    assert ((y - found.fitted) ** 2).sum() + penalty == pytest.approx(exhaustive(y, piece, 3))


def test_a_jump_and_a_change_of_rate_are_found_and_a_steady_loss_is_none():
    t = np.arange(60.0)
    loss = 100 - 0.5 * t
    faster = loss - np.where(t > 30, 1.0 * (t - 30), 0)
    found = {"steady": 0, "faster": 0, "jump": 0}
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(0, 0.5, 60)
        found["steady"] += not len(change_points((loss + noise)[:, None]).starts)
        starts = change_points((faster + noise)[:, None]).starts
        found["faster"] += len(starts) == 1 and abs(starts[0] - 30) <= 3
        found["jump"] += change_points((loss + 5 * (t >= 20) + noise)[:, None]).starts.tolist() == [20]
    assert min(found.values()) >= 17, found


def test_white_noise_rarely_changes():
    rng = np.random.default_rng(1)
    wrong = [
        len(change_points(rng.normal(size=(50, 1)), piece=p).starts) > 0 for p in ("level", "line") for _ in range(100)
    ]
    assert np.mean(wrong) < 0.12  # the noise's level is estimated from 50 points


def test_noise_is_told_from_slopes_and_jumps():
    rng = np.random.default_rng(2)
    t = np.arange(400.0)
    y = np.column_stack([0.3 * t + rng.normal(0, 2, 400), 50.0 * (t > 200) + rng.normal(0, 2, 400)])
    np.testing.assert_allclose(noise_sd(y), 2, rtol=0.2)


@pytest.mark.parametrize(
    "values", [np.zeros((0, 1)), np.zeros((3, 1)), np.full((30, 1), 2.0), np.full((30, 1), np.nan)]
)
def test_short_constant_and_missing_curves_have_no_changes(values):
    assert not len(change_points(values).starts)


def test_a_curve_too_short_for_two_pieces_is_one_line():
    y = np.array([0.0, 1.1, 1.9, 3.0, 4.1, 10.0])
    found = change_points(y[:, None])
    assert not len(found.starts)
    np.testing.assert_allclose(found.fitted[:, 0], np.polyval(np.polyfit(np.arange(6), y, 1), np.arange(6)))
