"""Lengths and angles of the bonds of each atom."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from rvaejax.structure.bonds import coordination, displacement, neighbour_table

MOST_BONDS = 4


def bond_lengths(
    xy: Float[np.ndarray, "n 2"], pairs: Int[np.ndarray, "b 2"], box: Float[np.ndarray, " 2"] | None = None
) -> Float[np.ndarray, " b"]:
    """Length of each bond [nm].

    Args:
        xy: positions [nm].
        pairs: bonds.
        box: sides of a periodic box [nm].
    """
    return np.hypot(*displacement(xy, pairs, box).T)


def mean_bond_length(n: int, pairs: Int[np.ndarray, "b 2"], length: Float[np.ndarray, " b"]) -> Float[np.ndarray, " n"]:
    """Mean length of the bonds of each of `n` atoms [nm]; NaN where there are none."""
    total = np.bincount(pairs.ravel(), np.repeat(length, 2), minlength=n)
    number = coordination(n, pairs)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def bond_angles(
    xy: Float[np.ndarray, "n 2"], pairs: Int[np.ndarray, "b 2"], box: Float[np.ndarray, " 2"] | None = None
) -> Float[np.ndarray, "n 4"]:
    """Angles between neighbouring bonds of each atom, all around it [rad]; their sum is a whole turn.

    An atom with k bonds has k angles (two bonds: the inner and the outer one), the rest is NaN; with one bond or none
    there is no angle. Bonds beyond the fourth are left out.

    Args:
        xy: positions [nm].
        pairs: bonds.
        box: sides of a periodic box [nm].
    """
    n = len(xy)
    table = neighbour_table(n, pairs, MOST_BONDS)
    d = xy[table] - xy[:, None]
    if box is not None:
        d -= box * np.round(d / box)
    phi = np.where(table >= 0, np.arctan2(-d[..., 1], d[..., 0]), np.inf)
    phi = np.sort(phi, axis=1)
    number = (table >= 0).sum(1)
    following = np.concatenate([phi[:, 1:], np.full((n, 1), np.inf)], axis=1)
    last = np.arange(MOST_BONDS) == number[:, None] - 1
    following = np.where(last, phi[:, :1] + 2 * np.pi, following)
    there = (np.arange(MOST_BONDS) < number[:, None]) & (number[:, None] > 1)
    return np.subtract(following, phi, out=np.full((n, MOST_BONDS), np.nan), where=there)
