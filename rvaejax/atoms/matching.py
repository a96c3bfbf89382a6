"""One-to-one pairs between two sets at the least total cost, when most pairs are out of the question."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

LEVELS = 1 << 20  # of costs, from 0 to the largest: fewer than 2^33 of them sum to a whole number that a double holds
Pairs = tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]]


def cheapest_pairs(
    i: Int[np.ndarray, " p"],
    j: Int[np.ndarray, " p"],
    cost: Float[np.ndarray, " p"],
    alone_i: Float[np.ndarray, " n"],
    alone_j: Float[np.ndarray, " m"],
) -> Pairs:
    r"""The one-to-one pairs of least total cost, each cost to within a millionth of the largest.

    .. math:: \min \sum_{(i, j)\,\text{paired}} c_{ij} + \sum_{i\,\text{alone}} a_i + \sum_{j\,\text{alone}} b_j

    Args:
        i: row of the first set,
        j: and row of the second that may be paired with it; each combination at most once.
        cost: of each of them, at least 0.
        alone_i: what it costs to leave each row of the first set alone.
        alone_j: the same of the second set.

    Returns:
        Rows of the first and of the second set that are paired, ascending in the first.

    Source: the sparse linear assignment of R. Jonker and A. Volgenant, Computing 38, 325 (1987), after each row has
    been given a partner of its own that stands for being alone.
    """
    n, m = len(alone_i), len(alone_j)
    worth = cost < alone_i[i] + alone_j[j]
    i, j, cost = i[worth], j[worth], cost[worth]
    if not len(i):
        return np.zeros(0, int), np.zeros(0, int)
    # those that only each other could be paired with need no search, and rows without any partner none either
    sole = (np.bincount(i, minlength=n)[i] == 1) & (np.bincount(j, minlength=m)[j] == 1)
    left, right = i[sole], j[sole]
    a, b = np.unique(i[~sole]), np.unique(j[~sole])
    if len(a):
        i, j, cost = np.searchsorted(a, i[~sole]), np.searchsorted(b, j[~sole]), cost[~sole]
        rows, columns = _search(i, j, cost, alone_i[a], alone_j[b])
        left, right = np.concatenate([left, a[rows]]), np.concatenate([right, b[columns]])
    order = np.argsort(left)
    return left[order], right[order]


def _search(i: np.ndarray, j: np.ndarray, cost: np.ndarray, alone_i: np.ndarray, alone_j: np.ndarray) -> Pairs:
    """Each row has a stand-in on the other side, and stand-ins of a possible pair may pair with each other for free."""
    n, m = len(alone_i), len(alone_j)
    rows = np.concatenate([i, np.arange(n), n + np.arange(m), n + j])
    columns = np.concatenate([j, m + np.arange(n), np.arange(m), m + i])
    weight = np.concatenate([cost, alone_i, alone_j, np.zeros(len(i))])
    # Whole numbers: where costs are equal but for rounding, the search goes on outbidding by the last digit for ever.
    # Zeros do not count as entries: all are lifted alike, and every full matching has the same number of them.
    weight = np.round(weight * (LEVELS / weight.max())) + 1
    full = coo_array((weight, (rows, columns)), shape=(n + m, n + m)).tocsr()
    rows, columns = min_weight_full_bipartite_matching(full)
    paired = (rows < n) & (columns < m)
    return rows[paired], columns[paired]
