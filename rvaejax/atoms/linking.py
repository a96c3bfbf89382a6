"""Which atom of a frame is which of those seen before: by distance, by the way a dopant took, by the bonds kept."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy.spatial import cKDTree

from rvaejax.atoms.candidates import Candidates
from rvaejax.atoms.config import TrackingConfig
from rvaejax.atoms.exchange import after_exchanges
from rvaejax.atoms.matching import Pairs

SETTLED = 0.25  # of the reach: a link shorter than this that keeps its bonds is not asked again
KEPT = 0.5  # of a bond; a link that breaks less than this keeps them all
ROUNDS = 2  # of linking by the bonds kept, each with the neighbours' links of the round before
NEIGHBOURS = 4
NONE = np.zeros(0, int)


class Sites(NamedTuple):
    """Atoms on one side of the links: those that wait, or those of a frame.

    Attributes:
        xy: (n, 2) where they are, without drift [nm].
        species: (n,) chemical symbols.
        lattice: (n,) whether they are of the lattice's species.
        missing: (n,) whether they were missing from the frame before.
    """

    xy: Float[np.ndarray, "n 2"]
    species: Shaped[np.ndarray, " n"]
    lattice: Bool[np.ndarray, " n"]
    missing: Bool[np.ndarray, " n"]


class Links(NamedTuple):
    """Rows of both sides that are the same atom.

    Attributes:
        before, after: (k,) rows, ascending in the first.
        sure: (k,) whether no other way to link them is nearly as cheap.
    """

    before: Int[np.ndarray, " k"]
    after: Int[np.ndarray, " k"]
    sure: Bool[np.ndarray, " k"]


def link(before: Sites, after: Sites, config: TrackingConfig) -> Links:
    """The one-to-one links of least total cost, in three steps.

    First by distance alone. Then lattice atoms that lie on the way of a dopant that hopped are expected one place
    back: it moves by exchanging places with them. Last, links that are not plainly right are asked again, and each
    bond that one would break costs: an atom keeps most of its neighbours, whatever it does.

    Args:
        before: atoms that were seen in one of the last frames.
        after: those of this frame.
        config: reaches and costs.
    """
    if not len(before.xy) or not len(after.xy):
        return Links(NONE, NONE, np.zeros(0, bool))
    candidates = _candidates(before, after, config)
    pairs = candidates.cheapest()
    expected, doubtful = after_exchanges(before.xy, before.lattice, pairs, after.xy, config.bonded_nm)
    moved = before._replace(xy=expected)
    if (expected != before.xy).any():
        candidates = _candidates(moved, after, config)
        pairs = candidates.cheapest()
    bonds = _bonds(moved, before.xy, after, pairs, config)
    found = _by_bonds(moved, after, candidates, pairs, bonds, config)
    return found._replace(sure=found.sure & ~doubtful[found.before])


def _candidates(before: Sites, after: Sites, config: TrackingConfig) -> Candidates:
    """All pairs within reach at the costs of `TrackingConfig`."""
    was = before.lattice
    i, j, length = _near(before.xy, after.xy, was, after.lattice, config)
    same = before.species[i] == after.species[j]
    reach = np.where(was[i], config.reach_nm, config.dopant_reach_nm)
    possible = length <= np.where(same, reach, config.change_nm)
    alone = 0.5 * config.reach_nm**2, 0.75 * config.dopant_reach_nm**2
    change = alone[0] + 0.65 * config.dopant_reach_nm**2
    cost = length**2 + np.where(same, 0.0, change)
    # a vacancy that wanders leaves one place empty and fills another: who was missing already is missed more easily
    alone_before = np.where(was, *alone) * np.where(before.missing, config.still_missing, 1.0)
    return Candidates(i[possible], j[possible], cost[possible], alone_before, np.where(after.lattice, *alone))


def _near(
    before: np.ndarray, after: np.ndarray, was: np.ndarray, lattice: np.ndarray, config: TrackingConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs within reach and their distance: of all atoms within the lattice's, of the others within theirs."""

    def pairs(a: np.ndarray, b: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if not len(a) or not len(b):
            return NONE, NONE, np.zeros(0)
        found = cKDTree(before[a]).sparse_distance_matrix(cKDTree(after[b]), reach, output_type="ndarray")
        return a[found["i"]], b[found["j"]], found["v"]

    common = max(config.reach_nm, config.change_nm)
    i, j, length = pairs(np.arange(len(before)), np.arange(len(after)), common)
    far_i, far_j, far = pairs(np.flatnonzero(~was), np.flatnonzero(~lattice), config.dopant_reach_nm)
    beyond = far > common
    return (
        np.concatenate([i, far_i[beyond]]),
        np.concatenate([j, far_j[beyond]]),
        np.concatenate([length, far[beyond]]),
    )


class _Bonds(NamedTuple):
    """Neighbours on both sides, and where the bonds of those before are expected to lead.

    Attributes:
        place: (n, 2) expected positions, those of dopants after their hops: they leave their bonds behind [nm].
        after: (m, 2) positions in the frame [nm].
        near_before, near_after: neighbours of each atom, -1 where there are fewer.
        counted: (n,) atoms of the lattice that gave way to no dopant; the others keep no bonds.
        counted_after: (m,) atoms of the lattice.
        change_nm: change of length that breaks a bond.
    """

    place: Float[np.ndarray, "n 2"]
    after: Float[np.ndarray, "m 2"]
    near_before: Int[np.ndarray, "n 4"]
    near_after: Int[np.ndarray, "m 4"]
    counted: Bool[np.ndarray, " n"]
    counted_after: Bool[np.ndarray, " m"]
    change_nm: float

    def lost(self, i: np.ndarray, j: np.ndarray, pairs: Pairs) -> Float[np.ndarray, " p"]:
        """Bonds that atom i would lose if it were j, the mean of those before and those after, with given links."""
        image, origin = np.full(len(self.place), -1), np.full(len(self.after), -1)
        image[pairs[0]], origin[pairs[1]] = pairs[1], pairs[0]
        seen = _broken(i, j, self.place, self.near_before, image, self.after, self.change_nm)
        back = _broken(j, i, self.after, self.near_after, origin, self.place, self.change_nm)
        return np.where(self.counted[i] & self.counted_after[j], 0.5 * (seen + back), 0.0)


def _bonds(before: Sites, were: np.ndarray, after: Sites, pairs: Pairs, config: TrackingConfig) -> _Bonds:
    """Bonds between where atoms were, for atoms that are expected at `before`."""
    place, dopants = before.xy.copy(), ~before.lattice[pairs[0]]
    place[pairs[0][dopants]] = after.xy[pairs[1][dopants]]
    near, near_after = _neighbours(were, config.bonded_nm), _neighbours(after.xy, config.bonded_nm)
    counted = before.lattice & (before.xy == were).all(1)
    return _Bonds(place, after.xy, near, near_after, counted, after.lattice, config.bond_change_nm)


def _by_bonds(
    before: Sites, after: Sites, candidates: Candidates, pairs: Pairs, bonds: _Bonds, config: TrackingConfig
) -> Links:
    """Links that are not plainly right asked again, at a price for each bond that they break."""
    i, j = pairs
    short = np.hypot(*(before.xy[i] - after.xy[j]).T) < SETTLED * config.reach_nm
    settled = short & (before.species[i] == after.species[j]) & (bonds.lost(i, j, pairs) < KEPT)
    fixed = i[settled], j[settled]
    asked_i, asked_j = np.ones(len(before.xy), bool), np.ones(len(after.xy), bool)
    asked_i[fixed[0]] = asked_j[fixed[1]] = False
    asked = candidates.select(asked_i[candidates.i] & asked_j[candidates.j])
    price = config.broken * config.reach_nm**2
    # who goes or comes breaks bonds too; who was missing already may still have them
    leaving, coming = config.alone * price * (before.lattice & ~before.missing), config.alone * price * after.lattice
    priced = asked
    for _ in range(ROUNDS):
        priced = Candidates(
            asked.i,
            asked.j,
            asked.cost + price * bonds.lost(asked.i, asked.j, pairs),
            asked.alone_i + leaving,
            asked.alone_j + coming,
        )
        i, j = priced.cheapest()
        pairs = np.concatenate([fixed[0], i]), np.concatenate([fixed[1], j])
    sure = np.ones(len(pairs[0]), bool)
    sure[len(fixed[0]) :] = (priced.margin((i, j)) > config.margin * config.reach_nm**2) & (
        priced.price(i, j) < asked.alone_i[i] + asked.alone_j[j]
    )
    order = np.argsort(pairs[0])
    return Links(pairs[0][order], pairs[1][order], sure[order])


def _neighbours(xy: np.ndarray, reach: float) -> Int[np.ndarray, "n 4"]:
    """The nearest atoms within reach of each one, -1 where there are fewer."""
    k = min(NEIGHBOURS, len(xy) - 1)
    table = np.full((len(xy), NEIGHBOURS), -1)
    if k > 0:
        length, found = cKDTree(xy).query(xy, k=k + 1, distance_upper_bound=reach)
        table[:, :k] = np.where(np.isfinite(length[:, 1:]), found[:, 1:], -1)
    return table


def _broken(
    i: np.ndarray, j: np.ndarray, a: np.ndarray, near: np.ndarray, image: np.ndarray, b: np.ndarray, change_nm: float
) -> Float[np.ndarray, " p"]:
    """How many of its bonds atom i of side a would break if it were j of side b, where its neighbours' images are.

    A bond is broken by as much as its length changes: the square of that over `change_nm`, at most 1.
    """
    k = near[i]
    to = np.where(k >= 0, image[k], -1)
    was = np.hypot(*np.moveaxis(a[k] - a[i][:, None], -1, 0))
    now = np.hypot(*np.moveaxis(b[to] - b[j][:, None], -1, 0))
    lost = np.where(to == j[:, None], 1.0, np.minimum(1.0, ((now - was) / change_nm) ** 2))
    return np.where(to >= 0, lost, 0.0).sum(1)
