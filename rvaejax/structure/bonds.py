"""Bonds between atoms of a planar sheet, from their positions, and how many each atom has."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.spatial import cKDTree

from rvaejax.errors import ConfigError

# Longest bond of an atom of a species [nm]; of a pair the longer counts. Midway between the first neighbours of
# graphene (0.142 nm; C-Si 0.178 nm) and the second (0.246 nm; 0.230 nm in a pentagon).
BONDED_NM: Mapping[str, float] = MappingProxyType({"C": 0.19, "Si": 0.22})


def bonds(
    xy: Float[np.ndarray, "n 2"],
    species: Shaped[np.ndarray, " n"],
    *,
    longest_nm: Mapping[str, float] = BONDED_NM,
    box: Float[np.ndarray, " 2"] | None = None,
) -> Int[np.ndarray, "b 2"]:
    """Pairs of bonded atoms (i < j), none of which cross.

    Two atoms are bonded when they are nearer than the longer of their two species' cut-offs. Of two bonds that cross
    the longer goes, so that the graph is planar and has rings.

    Args:
        xy: positions [nm].
        species: chemical symbols.
        longest_nm: cut-off of each species [nm].
        box: sides of a periodic box [nm]; positions are wrapped into it.

    Raises:
        ConfigError: a species has no cut-off, or the box is too small for one image of each neighbour.
    """
    unknown = sorted(set(np.unique(species).tolist()) - set(longest_nm))
    if unknown:
        raise ConfigError(f"no longest bond is known for {unknown[0]!r}; give longest_nm a value for it")
    if len(xy) < 2:
        return np.zeros((0, 2), int)
    names, kind = np.unique(species, return_inverse=True)
    reach = np.array([longest_nm[str(name)] for name in names])[kind]
    if box is not None and not (np.asarray(box) > 4 * reach.max()).all():
        raise ConfigError(f"a periodic box of {np.asarray(box).tolist()} nm is too small for bonds of {reach.max()} nm")
    tree = cKDTree(xy if box is None else np.mod(xy, box), boxsize=box)
    pairs = tree.query_pairs(float(reach.max()), output_type="ndarray")
    length = np.hypot(*displacement(xy, pairs, box).T)
    near = length < np.maximum(reach[pairs[:, 0]], reach[pairs[:, 1]])
    return _uncrossed(xy, pairs[near], length[near], box)


def displacement(
    xy: Float[np.ndarray, "n 2"], pairs: Int[np.ndarray, "b 2"], box: Float[np.ndarray, " 2"] | None = None
) -> Float[np.ndarray, "b 2"]:
    """Vector from the first to the second atom of each pair [nm]; the nearest image in a periodic box."""
    d = xy[pairs[:, 1]] - xy[pairs[:, 0]]
    return d if box is None else d - box * np.round(d / box)


def coordination(n: int, pairs: Int[np.ndarray, "b 2"]) -> Int[np.ndarray, " n"]:
    """Number of bonds of each of `n` atoms."""
    return np.bincount(pairs.ravel(), minlength=n)


def neighbour_table(n: int, pairs: Int[np.ndarray, "b 2"], width: int) -> Int[np.ndarray, "n width"]:
    """The bonded neighbours of each of `n` atoms, padded with -1; those beyond `width` are left out."""
    start, end = np.concatenate([pairs, pairs[:, ::-1]]).T
    order = np.argsort(start, kind="stable")
    start, end = start[order], end[order]
    slot = np.arange(len(start)) - np.searchsorted(start, start)
    table = np.full((n, width), -1)
    fits = slot < width
    table[start[fits], slot[fits]] = end[fits]
    return table


def _uncrossed(xy: np.ndarray, pairs: np.ndarray, length: np.ndarray, box: np.ndarray | None) -> np.ndarray:
    """The pairs without the longer of each two that cross."""
    if len(pairs) < 2:
        return pairs
    d = displacement(xy, pairs, box)
    middle = xy[pairs[:, 0]] + d / 2
    tree = cKDTree(middle if box is None else np.mod(middle, box), boxsize=box)
    # the middles of two bonds that cross are nearer than half the sum of their lengths, and mostly much nearer
    p, q = tree.query_pairs(0.75 * float(length.max()), output_type="ndarray").T
    apart = (pairs[p][:, :, None] != pairs[q][:, None, :]).all((1, 2))
    p, q = p[apart], q[apart]
    offset = middle[q] - middle[p]
    offset = offset if box is None else offset - box * np.round(offset / box)
    turn = _cross(d[p], d[q])
    with np.errstate(divide="ignore", invalid="ignore"):
        along_p, along_q = _cross(offset, d[q]) / turn, _cross(offset, d[p]) / turn
        cross = (np.abs(along_p) < 0.5) & (np.abs(along_q) < 0.5)
    longer = np.where(length[p] >= length[q], p, q)[cross]
    return np.delete(pairs, longer, axis=0)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
