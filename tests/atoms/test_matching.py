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


def test_costs_that_are_equal_but_for_rounding_come_to_an_end():
    """Rows that bid for one column against each other, each by no more than the last digit: this went on for ever."""
    i, j = np.array([0, 1, 2, 2, 3, 4]), np.array([0, 0, 1, 2, 0, 2])
    cost = [0.17545757062354697, 0.17413091589115706, 0.0269423275561679]
    cost = np.array([*cost, 0.02722935151196046, 0.17413091589115706, 0.009986464939230983])
    alone_i, alone_j = np.full(5, 0.018), np.array([0.1875, 0.018, 0.018])
    rows, columns = cheapest_pairs(i, j, cost, alone_i, alone_j)
    whole = np.full((5, 3), np.inf)
    whole[i, j] = cost
    rest = np.delete(alone_i, rows).sum() + np.delete(alone_j, columns).sum()
    assert whole[rows, columns].sum() + rest == pytest.approx(least_cost(whole, alone_i, alone_j))
    # and so do rows whose two columns differ by a hair
    n = 30
    i, j = np.repeat(np.arange(3 * n), 2), np.ravel([[2 * (k // 3), 2 * (k // 3) + 1] for k in range(3 * n)])
    near = np.where(j % 2, 0.5, np.nextafter(0.5, 1))
    rows, columns = cheapest_pairs(i, j, near, np.ones(3 * n), np.ones(2 * n))
    assert len(rows) == 2 * n and len(set(columns.tolist())) == 2 * n


def test_nothing_to_pair():
    none = np.zeros(0, int)
    rows, columns = cheapest_pairs(none, none, np.zeros(0), np.ones(3), np.ones(2))
    assert len(rows) == len(columns) == 0
