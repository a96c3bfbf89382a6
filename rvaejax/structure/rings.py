"""Rings of a planar bond graph: the faces that its bonds enclose.

Every bond is two half-bonds, one for each direction. At its far end each turns into the next bond clockwise; this map
is a permutation of the half-bonds, and its cycles are the faces (the rotation system of an embedded graph; see
Mohar and Thomassen, Graphs on Surfaces, 2001, chapter 3). Faces on the inside come out counter-clockwise, the outer
rim of each piece clockwise. The cycles are ranked by pointer doubling, so nothing loops over atoms.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from rvaejax.structure.bonds import displacement

LARGEST_RING = 12  # atoms; the ring around a single vacancy that has not closed has twelve, larger faces are holes


class Faces(NamedTuple):
    """The faces of a planar bond graph, one after another.

    Attributes:
        atoms: (m,) the atoms around every face, counter-clockwise as displayed where the face is on the inside.
        face: (m,) number of the face that each entry of `atoms` belongs to; ascending.
        size: (f,) atoms around each face.
        area: (f,) area [nm²]; negative for the outer rim of a piece.
        closed: (f,) whether the face closes upon itself; one that runs through a periodic box does not.
    """

    atoms: Int[np.ndarray, " m"]
    face: Int[np.ndarray, " m"]
    size: Int[np.ndarray, " f"]
    area: Float[np.ndarray, " f"]
    closed: Bool[np.ndarray, " f"]

    def rings(self, largest: int = LARGEST_RING) -> Bool[np.ndarray, " f"]:
        """Which faces are rings: on the inside and of at most `largest` atoms."""
        return (self.area > 0) & self.closed & (self.size <= largest)

    def holes(self, largest: int = LARGEST_RING) -> Bool[np.ndarray, " f"]:
        """Which faces are holes: on the inside and of more than `largest` atoms."""
        return (self.area > 0) & self.closed & (self.size > largest)


def faces(
    xy: Float[np.ndarray, "n 2"], pairs: Int[np.ndarray, "b 2"], box: Float[np.ndarray, " 2"] | None = None
) -> Faces:
    """All faces of the bond graph.

    Chains that end nowhere are no part of any ring and are left out first.

    Args:
        xy: positions [nm], x to the right, y down.
        pairs: bonds that do not cross (`bonds`).
        box: sides of a periodic box [nm].
    """
    pairs = _without_chains(len(xy), pairs)
    if not len(pairs):
        none = np.zeros(0, int)
        return Faces(none, none, none, np.zeros(0), np.zeros(0, bool))
    start = np.concatenate([pairs[:, 0], pairs[:, 1]])
    d = displacement(xy, pairs, box)
    d = np.concatenate([d, -d])
    following = _next_half_bond(start, d)
    root, rank, place = _ranked_cycles(following, d)
    order = np.lexsort((rank, root))
    root, face = np.unique(root[order], return_inverse=True)
    d, place = d[order], place[order]
    # y points down, so a counter-clockwise turn on the display is negative in (x, y)
    area = -0.5 * np.bincount(face, place[:, 0] * d[:, 1] - place[:, 1] * d[:, 0])
    gap = np.hypot(np.bincount(face, d[:, 0]), np.bincount(face, d[:, 1]))
    return Faces(start[order], face, np.bincount(face), area, gap < 1e-6 + 0.5 * np.hypot(*d.T).min())


def ring_sizes(n: int, found: Faces, largest: int = LARGEST_RING) -> Int[np.ndarray, "n sizes"]:
    """How many rings of each size an atom belongs to: column k counts its rings of k atoms, up to `largest`."""
    inside = found.rings(largest)[found.face]
    cell = found.atoms[inside] * (largest + 1) + found.size[found.face[inside]]
    return np.bincount(cell, minlength=n * (largest + 1)).reshape(n, largest + 1)


def ring_range(counts: Int[np.ndarray, "n sizes"]) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """The smallest and the largest ring of each atom from its `ring_sizes`; 0 where it is in none."""
    some = counts > 0
    smallest = some.argmax(1)
    largest = counts.shape[1] - 1 - some[:, ::-1].argmax(1)
    return smallest, np.where(some.any(1), largest, 0)


def _without_chains(n: int, pairs: np.ndarray) -> np.ndarray:
    """The bonds that are left when atoms with a single bond go, again and again."""
    while len(pairs):
        dangling = np.bincount(pairs.ravel(), minlength=n) == 1
        loose = dangling[pairs].any(1)
        if not loose.any():
            break
        pairs = pairs[~loose]
    return pairs


def _next_half_bond(start: np.ndarray, d: np.ndarray) -> np.ndarray:
    """The half-bond that follows each one around the face on its left (as displayed)."""
    m = len(start)
    angle = np.arctan2(-d[:, 1], d[:, 0])
    order = np.lexsort((angle, start))
    place = np.empty(m, int)
    place[order] = np.arange(m)
    first = np.searchsorted(start[order], start)
    count = np.bincount(start)[start]
    # coming in along a half-bond, its reverse leaves from where it ends; the next bond clockwise from that one
    clockwise = order[first + (place - first - 1) % count]
    reverse = (np.arange(m) + m // 2) % m
    return clockwise[reverse]


def _ranked_cycles(following: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each element of a permutation: the least element of its cycle, its rank from there, and the path to it."""
    m = len(following)
    root, jump, size = np.arange(m), following.copy(), 1
    while size < m:  # the least element among the next 2, 4, 8, ...
        least = np.minimum(root, root[jump])
        if np.array_equal(least, root) and np.array_equal(root[following], root):
            break
        root, jump, size = least, jump[jump], 2 * size
    # distance to the end of the cycle, once it is cut before its least element
    end = following == root
    jump = np.where(end, np.arange(m), following)
    left, path = (~end).astype(int), np.where(end[:, None], 0.0, d)
    while True:
        further = jump[jump]
        if np.array_equal(further, jump):
            break
        left, path, jump = left + left[jump], path + path[jump], further
    return root, left[root] - left, path[root] - path
