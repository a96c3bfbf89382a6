"""Transition matrices from chains that are known; coverage of the intervals; dwell times."""

import numpy as np
import pytest

from rvaejax.analysis.markov import dwells, transitions
from rvaejax.analysis.trajectories import steps
from rvaejax.types import Atoms, Tracks

P = np.array([[0.9, 0.1, 0.0], [0.05, 0.8, 0.15], [0.3, 0.0, 0.7]])


def chains(atoms, frames, seed):
    """Atoms that walk between three states, as a table with trajectories."""
    rng = np.random.default_rng(seed)
    state = np.zeros((frames, atoms), int)
    state[0] = rng.integers(0, 3, atoms)
    for t in range(1, frames):
        state[t] = (rng.random(atoms)[:, None] > P[state[t - 1]].cumsum(1)).sum(1)
    frame, track = np.divmod(np.arange(frames * atoms), atoms)
    one = np.ones(len(frame))
    table = Atoms(frame, 9.0 * track, one, np.full(len(frame), "C"), one, 0 * one, 0.016)
    return table, Tracks(track, np.arange(frames), np.zeros((frames, 2))), state.ravel()


def test_the_matrix_of_a_known_chain_lies_in_its_intervals():
    inside = []
    for seed in range(40):
        atoms, tracks, state = chains(20, 15, seed)
        found = transitions(state, steps(atoms, tracks))
        np.testing.assert_allclose(found.probability.sum(1), 1)
        assert found.counts.sum() == 20 * 14
        assert ((found.low < found.probability) & (found.probability < found.high)).all()
        inside.append(((found.low <= P) & (P <= found.high))[P > 0])
    assert 0.90 < np.mean(inside) < 0.99  # 95 % stated


def test_dwell_times_of_a_long_chain():
    atoms, tracks, state = chains(60, 400, 1)
    found = transitions(state, steps(atoms, tracks))
    np.testing.assert_allclose(found.dwell, 1 / (1 - np.diag(P)), rtol=0.08)
    assert ((found.dwell_low < found.dwell) & (found.dwell < found.dwell_high)).all()
    runs = dwells(atoms, tracks, state)
    assert runs.frames.sum() == len(state)  # every sighting belongs to one run
    for k in range(3):  # whole runs are cut at the movie's ends, so their mean is a little short
        assert runs.frames[runs.whole & (runs.state == k)].mean() == pytest.approx(1 / (1 - P[k, k]), rel=0.1)


def test_gaps_and_unknown_states_are_no_transitions():
    frame = np.array([0, 1, 2, 4, 5])
    one = np.ones(5)
    atoms = Atoms(frame, one, one, np.full(5, "C"), one, one, 0.016)
    tracks = Tracks(np.zeros(5, int), frame, np.zeros((5, 2)))
    state = np.array([1.0, 1.0, np.nan, 2.0, 1.0])
    found = transitions(state, steps(atoms, tracks))
    assert found.states.tolist() == [1, 2] and found.counts.tolist() == [[1, 0], [1, 0]]
    runs = dwells(atoms, tracks, state)
    assert runs.frames.tolist() == [2, 1, 1] and not runs.whole.any()


def test_one_state_and_no_steps():
    atoms, tracks, _ = chains(3, 1, 0)
    found = transitions(np.array(["C", "C", "C"]), steps(atoms, tracks))
    assert found.counts.tolist() == [[0]] and found.probability.tolist() == [[1.0]] and np.isinf(found.dwell).all()
