"""Scores of found atoms, against the definition written out and against every possible assignment."""

import itertools

import numpy as np
import pytest

from rvaejax.analysis.scores import match, match_atoms, score_atoms
from rvaejax.types import Atoms

PX = 0.02
SIZE = (100, 140)


def _atoms(xy, species=None, frame=None, sd=None):
    xy = np.asarray(xy, float).reshape(-1, 2)
    n = len(xy)
    species = np.full(n, "C") if species is None else np.asarray(species)
    frame = np.zeros(n, int) if frame is None else np.asarray(frame)
    return Atoms(frame, xy[:, 0], xy[:, 1], species, np.ones(n), np.full(n, 0.3) if sd is None else sd, PX)


def _best(true, found, tolerance):
    """Most pairs, then least distance, by trying every injection of the shorter side."""
    best = (0, 0.0)
    short, long = (true, found) if len(true) <= len(found) else (found, true)
    for columns in itertools.permutations(range(len(long)), len(short)):
        d = np.hypot(*(short - long[list(columns)]).T)
        near = d <= tolerance
        best = max(best, (int(near.sum()), -float(d[near].sum())))
    return best


@pytest.mark.parametrize("seed", range(12))
def test_the_assignment_is_the_best_of_all(seed):
    rng = np.random.default_rng(seed)
    true, found = rng.uniform(0, 6, (rng.integers(1, 6), 2)), rng.uniform(0, 6, (rng.integers(1, 7), 2))
    rows, columns = match(true, found, 2.0)
    assert len(set(rows)) == len(set(columns)) == len(rows)
    distance = np.hypot(*(true[rows] - found[columns]).T)
    assert (distance <= 2.0).all()
    pairs, total = _best(true, found, 2.0)
    assert len(rows) == pairs and -distance.sum() == pytest.approx(total)


def _definition(truth, found, tolerance, border, size):
    """Counts of the definition, one atom at a time: pairs count where their true atom is inside the border."""
    hits = n_true = n_found = same = 0
    squares = []
    for t in sorted(set(truth.frame) | set(found.frame)):
        a = [i for i in range(len(truth)) if truth.frame[i] == t]
        b = [i for i in range(len(found)) if found.frame[i] == t]
        axy = np.column_stack([truth.x[a], truth.y[a]])
        bxy = np.column_stack([found.x[b], found.y[b]])
        inside = [
            (xy >= border).all(1) & (xy[:, 0] <= size[1] - 1 - border) & (xy[:, 1] <= size[0] - 1 - border)
            for xy in (axy, bxy)
        ]
        partner = {int(j): int(i) for i, j in zip(*match(axy, bxy, tolerance), strict=True)}
        n_true += inside[0].sum()
        n_found += sum(inside[0][partner[j]] if j in partner else inside[1][j] for j in range(len(b)))
        for j, i in partner.items():
            if inside[0][i]:
                hits += 1
                squares.append(((axy[i] - bxy[j]) ** 2).sum())
                same += truth.species[a[i]] == found.species[b[j]]
    return (
        hits / max(n_found, 1),
        hits / max(n_true, 1),
        np.sqrt(np.mean(squares)),
        same / max(hits, 1),
        n_true,
        n_found,
    )


@pytest.mark.parametrize("seed", range(6))
def test_the_scores_are_the_definitions(seed):
    rng = np.random.default_rng(seed)
    n = 60
    xy = np.column_stack([rng.uniform(0, 139, n), rng.uniform(0, 99, n)])
    truth = _atoms(xy, rng.choice(["C", "Si"], n), np.sort(rng.integers(0, 3, n)))
    keep = rng.random(n) < 0.8
    extra = np.column_stack([rng.uniform(0, 139, 10), rng.uniform(0, 99, 10)])
    found = _atoms(
        np.concatenate([xy[keep] + rng.normal(0, 1.5, (keep.sum(), 2)), extra]),
        np.concatenate([truth.species[keep], rng.choice(["C", "Si"], 10)]),
        np.concatenate([truth.frame[keep], rng.integers(0, 4, 10)]),
    )
    scores = score_atoms(truth, found, size=SIZE)
    precision, recall, rms, same, n_true, n_found = _definition(truth, found, 0.05 / PX, 8, SIZE)
    assert (scores.n_true, scores.n_found) == (n_true, n_found)
    assert scores.precision == pytest.approx(precision, abs=1e-4)
    assert scores.recall == pytest.approx(recall, abs=1e-4)
    assert scores.f1 == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-4)
    assert scores.rmse_pm == pytest.approx(1000 * PX * rms, abs=0.01)
    assert scores.species_accuracy == pytest.approx(same, abs=1e-4)


def test_a_stated_uncertainty_that_is_true_scores_one():
    rng = np.random.default_rng(0)
    xy = np.stack(np.meshgrid(np.arange(10, 130, 4.0), np.arange(10, 90, 4.0)), -1).reshape(-1, 2)
    sd = rng.uniform(0.1, 0.5, len(xy))
    found = _atoms(xy + sd[:, None] * rng.standard_normal(xy.shape), sd=sd)
    assert score_atoms(_atoms(xy), found, size=SIZE).sd_ratio == pytest.approx(1, abs=0.05)
    doubled = _atoms(np.column_stack([found.x, found.y]), sd=2 * sd)
    assert score_atoms(_atoms(xy), doubled, size=SIZE).sd_ratio == pytest.approx(0.5, abs=0.03)


def test_frames_are_not_mixed():
    truth, found = _atoms([[50, 50]], frame=[0]), _atoms([[50, 50]], frame=[1])
    scores = score_atoms(truth, found, size=SIZE)
    assert (scores.precision, scores.recall, scores.f1) == (0, 0, 0) and np.isnan(scores.rmse_pm)
    assert all(len(rows) == 0 for rows in match_atoms(truth, found))


def test_an_atom_across_the_border_from_its_partner_counts_with_it():
    truth, found = _atoms([[8.1, 50], [7.9, 20]]), _atoms([[7.8, 50], [8.3, 20]])
    scores = score_atoms(truth, found, size=SIZE)
    assert (scores.n_true, scores.n_found, scores.f1) == (1, 1, 1.0)


def test_nothing_true_and_nothing_found():
    nothing = _atoms(np.zeros((0, 2)))
    assert score_atoms(nothing, nothing, size=SIZE).f1 == 0
    assert match(np.zeros((0, 2)), np.ones((3, 2)), 1.0)[0].tolist() == []
