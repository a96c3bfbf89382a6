"""Where lattice atoms are after a dopant went through them: it hops by exchanging places with a neighbour."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from rvaejax.atoms.matching import Pairs

LONGEST = 8  # exchanges between two sightings
AT_SITE_NM = 0.12  # a dopant farther than this from where any lattice atom was has not exchanged places with one
DETOUR = 1.5  # a second way of no more than so many times the first one's cost is as good as it


def after_exchanges(
    xy: Float[np.ndarray, "n 2"],
    lattice: Bool[np.ndarray, " n"],
    pairs: Pairs,
    after: Float[np.ndarray, "m 2"],
    bonded_nm: float,
) -> tuple[Float[np.ndarray, "n 2"], Bool[np.ndarray, " n"]]:
    """Where each atom is expected after the hops of the dopants, and for which of them there was a second way.

    A substitutional dopant exchanges places with a bonded atom at a time (T. Susi et al., Phys. Rev. Lett. 113, 115501
    (2014)). Found at the old place of another atom, it has gone there along bonds, and each atom on its way has moved
    one place back. The way is the one of the least sum of squared bond lengths.

    Args:
        xy: positions before [nm].
        lattice: which of them are of the lattice; the others are dopants.
        pairs: links of rows of `xy` with rows of `after`, the dopants' among them.
        after: positions afterwards [nm].
        bonded_nm: longest bond [nm].

    Returns:
        Positions, the dopants' unchanged; and whether an atom lies on one of two ways that are as good, so that nobody
        can tell whether it moved.
    """
    expected, doubtful = xy.copy(), np.zeros(len(xy), bool)
    rows = np.flatnonzero(~lattice[pairs[0]])
    if not len(rows):
        return expected, doubtful
    tree = cKDTree(xy)
    i, j = tree.query_pairs(bonded_nm, output_type="ndarray").T
    length = ((xy[i] - xy[j]) ** 2).sum(1)
    both = np.concatenate([i, j]), np.concatenate([j, i])
    for dopant, place in zip(pairs[0][rows], pairs[1][rows], strict=True):
        apart, end = tree.query(after[place])
        if end == dopant or apart > AT_SITE_NM or not lattice[end]:
            continue
        way, cost = _way(len(xy), both, np.tile(length, 2), dopant, end)
        for here, back in zip(way[1:], way[:-1], strict=True):
            expected[here] = xy[back]
        inner = np.isin(both[0], way[1:-1]) | np.isin(both[1], way[1:-1])
        if len(way) > 2:
            second = _way(len(xy), (both[0][~inner], both[1][~inner]), np.tile(length, 2)[~inner], dopant, end)
            if len(second[0]) and second[1] <= DETOUR * cost:
                doubtful[way[1:]] = doubtful[second[0][1:]] = True
    return expected, doubtful


def _way(
    n: int, bonds: tuple[np.ndarray, np.ndarray], cost: np.ndarray, start: int, end: int
) -> tuple[list[int], float]:
    """Atoms from one to another along the cheapest bonds, none where there is no such way; and its cost."""
    graph = coo_array((cost, bonds), shape=(n, n)).tocsr()
    limit = LONGEST * float(cost.max(initial=0.0))
    total, before = dijkstra(graph, indices=start, return_predecessors=True, limit=limit)
    if not np.isfinite(total[end]):
        return [], np.inf
    way = [int(end)]
    while way[-1] != start:
        way.append(int(before[way[-1]]))
    return way[::-1], float(total[end])
