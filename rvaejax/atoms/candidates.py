"""Pairs of atoms that may be the same one, with what each would cost: the cheapest way to link all, and its margin."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from rvaejax.atoms.matching import Pairs, cheapest_pairs


class Candidates(NamedTuple):
    """Pairs that may be one atom, what each costs, and what it costs to leave a row of either side alone.

    Attributes:
        i, j: (p,) rows of the first and of the second side.
        cost: (p,) of each pair [nm²].
        alone_i, alone_j: (n,), (m,) of leaving each row alone [nm²].
    """

    i: Int[np.ndarray, " p"]
    j: Int[np.ndarray, " p"]
    cost: Float[np.ndarray, " p"]
    alone_i: Float[np.ndarray, " n"]
    alone_j: Float[np.ndarray, " m"]

    def select(self, rows: Bool[np.ndarray, " p"]) -> Candidates:
        """The pairs in a mask; who may be left alone stays."""
        return self._replace(i=self.i[rows], j=self.j[rows], cost=self.cost[rows])

    def cheapest(self) -> Pairs:
        """The one-to-one pairs of least total cost."""
        return cheapest_pairs(self.i, self.j, self.cost, self.alone_i, self.alone_j)

    def price(self, i: Int[np.ndarray, " k"], j: Int[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
        """What it costs to link rows i and j, or to leave both alone where that is cheaper or they are no candidates.

        Row -1 is nobody: nothing to pay for it, and the other one is left alone.
        """
        left = np.where(i >= 0, self.alone_i[i], 0.0), np.where(j >= 0, self.alone_j[j], 0.0)
        apart = left[0] + left[1]
        if not len(self.i):
            return apart
        m = len(self.alone_j)
        key = self.i * m + self.j
        order = np.argsort(key)
        wanted = np.where((i >= 0) & (j >= 0), i * m + j, -1)
        at = order[np.minimum(np.searchsorted(key, wanted, sorter=order), len(order) - 1)]
        return np.minimum(np.where(key[at] == wanted, self.cost[at], np.inf), apart)

    def margin(self, pairs: Pairs) -> Float[np.ndarray, " k"]:
        """How much dearer than `pairs` the cheapest other way is in which each of them has another partner.

        Looked at is each candidate (a, b) that is no pair: a's partner and b's are then linked with each other or left
        alone. Ways in which more links change are not, and may be cheaper. Infinite where a pair has no other
        candidate.
        """
        image, origin = np.full(len(self.alone_i), -1), np.full(len(self.alone_j), -1)
        image[pairs[0]], origin[pairs[1]] = pairs[1], pairs[0]
        other = image[self.i] != self.j
        a, b = self.i[other], self.j[other]
        to, by = image[a], origin[b]
        dearer = self.cost[other] + self.price(by, to) - self.price(a, to) - self.price(by, b)
        least = np.full(len(self.alone_i), np.inf)
        np.minimum.at(least, a[to >= 0], dearer[to >= 0])
        np.minimum.at(least, by[by >= 0], dearer[by >= 0])
        return least[pairs[0]]
