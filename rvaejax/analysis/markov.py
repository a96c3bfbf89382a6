"""Transitions between states of atoms, counted along trajectories, with credible intervals and dwell times."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy import stats

from rvaejax.analysis.trajectories import Steps
from rvaejax.types import Atoms, Tracks

PRIOR = 0.5  # pseudo-count of every transition: the prior of H. Jeffreys
LEVEL = 0.95


class Transitions(NamedTuple):
    """A Markov chain of states, from one frame to the next.

    Attributes:
        states: (k,) names.
        counts: (k, k) transitions from the state of the row to that of the column.
        probability: (k, k) posterior mean; each row adds up to 1.
        low, high: (k, k) ends of the equal-tailed credible intervals.
        dwell: (k,) expected frames in a state before it is left, 1 / (1 - p_ii).
        dwell_low, dwell_high: (k,) ends of its credible intervals.
    """

    states: Shaped[np.ndarray, " k"]
    counts: Int[np.ndarray, "k k"]
    probability: Float[np.ndarray, "k k"]
    low: Float[np.ndarray, "k k"]
    high: Float[np.ndarray, "k k"]
    dwell: Float[np.ndarray, " k"]
    dwell_low: Float[np.ndarray, " k"]
    dwell_high: Float[np.ndarray, " k"]


def transitions(state: Shaped[np.ndarray, " n"], steps: Steps, *, level: float = LEVEL) -> Transitions:
    r"""The transition matrix of any state that atoms have, from steps of one frame.

    Each row of the matrix is a categorical distribution with the prior Dirichlet(1/2, ..., 1/2) and the posterior
    Dirichlet(1/2 + n_i); the marginal of p_ij is

    .. math:: \mathrm{Beta}(\tfrac12 + n_{ij},\ \tfrac{k - 1}{2} + \sum_{j' \ne j} n_{ij'}).

    Args:
        state: of each row of the `Atoms` table: coordination, class of a mixture, species; NaN or "" for none.
        steps: of the trajectories (`steps`); those over several frames are left out.
        level: of the credible intervals.

    Source: the conjugate analysis of a multinomial; A. Gelman et al., Bayesian Data Analysis (2013), section 3.4.
    """
    known = _known(state)
    kept = (steps.frames == 1) & known[steps.before] & known[steps.after]
    states, number = np.unique(state[known], return_inverse=True)
    code = np.full(len(state), -1)
    code[known] = number
    k = len(states)
    cell = code[steps.before[kept]] * k + code[steps.after[kept]]
    counts = np.bincount(cell, minlength=k * k).reshape(k, k)
    alpha = counts + PRIOR
    total = alpha.sum(1, keepdims=True)
    tails = (1 - level) / 2, (1 + level) / 2
    if k < 2:  # a single state is never left
        ones = np.ones((k, k))
        return Transitions(states, counts, ones, ones, ones, *(np.full(k, np.inf) for _ in range(3)))
    low, high = (stats.beta.ppf(tail, alpha, total - alpha) for tail in tails)
    stay, own = np.diag(alpha), total[:, 0]
    # 1 / (1 - p) of p ~ Beta(a, b): its mean is (a + b - 1) / (b - 1), and there is none for b up to 1
    leave = own - stay
    mean = np.where(leave > 1, (own - 1) / np.maximum(leave - 1, 1e-12), np.inf)
    ends = (1 / (1 - stats.beta.ppf(tail, stay, leave)) for tail in tails)
    return Transitions(states, counts, alpha / total, low, high, mean, *ends)


class Dwells(NamedTuple):
    """Runs of frames that atoms spent in one state.

    Attributes:
        state: (r,) which.
        frames: (r,) for how long.
        whole: (r,) whether the run was seen from its beginning to its end; others lasted at least as long.
    """

    state: Shaped[np.ndarray, " r"]
    frames: Int[np.ndarray, " r"]
    whole: Bool[np.ndarray, " r"]


def dwells(atoms: Atoms, tracks: Tracks, state: Shaped[np.ndarray, " n"]) -> Dwells:
    """How long atoms stay in each state; a run ends where its state changes, and is cut short where a frame is missed.

    Runs that touch the trajectory's ends or a missed frame are not whole. Beside the dwell times of `transitions`
    these show whether the chain has a memory: without one, whole runs are distributed geometrically.
    """
    order = np.lexsort((atoms.frame, tracks.track))
    track, frame, value = tracks.track[order], atoms.frame[order], np.asarray(state)[order]
    if not len(order):
        return Dwells(value, np.zeros(0, int), np.zeros(0, bool))
    joined = (track[1:] == track[:-1]) & (frame[1:] - frame[:-1] == 1)
    starts = np.concatenate([[True], ~(joined & (value[1:] == value[:-1]))])
    first = np.flatnonzero(starts)
    last = np.concatenate([first[1:] - 1, [len(order) - 1]])
    # a beginning or an end is seen where the state differs in the neighbouring frame of the same trajectory
    begun = np.concatenate([[False], joined])[first]
    ended = np.concatenate([joined, [False]])[last]
    known = _known(value)
    begun &= known[np.maximum(first - 1, 0)]
    ended &= known[np.minimum(last + 1, len(order) - 1)]
    kept = known[first]
    return Dwells(value[first][kept], (frame[last] - frame[first] + 1)[kept], (begun & ended)[kept])


def _known(state: Shaped[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    values = np.asarray(state)
    return (
        ~np.isnan(values)
        if values.dtype.kind == "f"
        else values != ""
        if values.dtype.kind == "U"
        else values == values
    )
