"""One-to-one pairs of least cost, against every possibility."""

import itertools

import numpy as np
import pytest

from rvaejax.atoms.matching import cheapest_pairs


def least_cost(cost, alone_i, alone_j):
    """The cost of the best of all partial one-to-one pairings, tried one by one."""
    n, m = cost.shape
    best = np.inf
    for k in range(min(n, m) + 1):
        for rows in itertools.combinations(range(n), k):
            for columns in itertools.permutations(range(m), k):
                paired = cost[list(rows), list(columns)].sum() if k else 0.0
                rest = np.delete(alone_i, rows).sum() + np.delete(alone_j, columns).sum()
                best = min(best, paired + rest)
    return best


@pytest.mark.parametrize("seed", range(12))
def test_no_pairing_is_cheaper(seed):
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 6, 2)
    cost = np.where(rng.random((n, m)) < 0.6, rng.random((n, m)), np.inf)
    cost[rng.random((n, m)) < 0.1] = 0.0  # costs of nothing are no missing entries
    alone_i, alone_j = 0.6 * rng.random(n), 0.6 * rng.random(m)
    i, j = np.nonzero(np.isfinite(cost))
    rows, columns = cheapest_pairs(i, j, cost[i, j], alone_i, alone_j)
    assert len(set(rows.tolist())) == len(rows) and len(set(columns.tolist())) == len(columns)
    rest = np.delete(alone_i, rows).sum() + np.delete(alone_j, columns).sum()
    assert cost[rows, columns].sum() + rest == pytest.approx(least_cost(cost, alone_i, alone_j))


def test_nothing_to_pair():
    none = np.zeros(0, int)
    rows, columns = cheapest_pairs(none, none, np.zeros(0), np.ones(3), np.ones(2))
    assert len(rows) == len(columns) == 0
