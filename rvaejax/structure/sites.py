"""What each atom of a sheet is: coordination, rings, orientation, crystallinity, kind of site."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from rvaejax.structure.bonds import bonds, coordination, neighbour_table
from rvaejax.structure.order import crystallinity, orientation
from rvaejax.structure.rings import faces, ring_sizes

BENT_RAD = np.deg2rad(14.0)  # bond angles farther from 120 degrees than this make a site a defect
DEFECT_RINGS = (3, 4, 5, 7, 8, 9)  # atoms around a ring that makes its atoms defects; a vacancy's ring of 12 does not
KINDS = ("bulk", "defect", "edge", "Si")


class Sites(NamedTuple):
    """What is true of each atom.

    Attributes:
        coordination: (n,) bonded neighbours.
        rings: (n, 13) column k counts the rings of k atoms that the atom belongs to (`ring_sizes`).
        orientation: (n,) direction of the three bonds [rad, modulo 2 pi / 3], counter-clockwise as displayed; NaN
            where there are not three.
        crystallinity: (n,) from 0 to 1, 1 in perfect graphene.
        kind: (n,) "bulk" (three C at about 120 degrees, no pentagon or heptagon), "edge" (fewer than three
            neighbours), "Si", or "defect".
    """

    coordination: Int[np.ndarray, " n"]
    rings: Int[np.ndarray, "n sizes"]
    orientation: Float[np.ndarray, " n"]
    crystallinity: Float[np.ndarray, " n"]
    kind: Shaped[np.ndarray, " n"]


def describe_sites(
    xy: Float[np.ndarray, "n 2"],
    species: Shaped[np.ndarray, " n"],
    pairs: Int[np.ndarray, "b 2"] | None = None,
    *,
    box: Float[np.ndarray, " 2"] | None = None,
) -> Sites:
    """Everything about the atoms of one frame.

    Args:
        xy: positions [nm], x to the right, y down.
        species: chemical symbols.
        pairs: bonds, where they are known; by default those of near atoms.
        box: sides of a periodic box [nm].
    """
    n = len(xy)
    if pairs is None:
        pairs = bonds(xy, species, box=box)
    counts = ring_sizes(n, faces(xy, pairs, box))
    number = coordination(n, pairs)
    kind = np.full(n, "defect", dtype="U6")
    all_carbon = np.bincount(pairs.ravel(), (species[pairs[:, ::-1]] != "C").ravel(), n) == 0
    regular = (counts[:, DEFECT_RINGS] == 0).all(1)
    kind[(number == 3) & all_carbon & regular & (_bend(xy, pairs, box) < BENT_RAD)] = "bulk"
    kind[number < 3] = "edge"
    kind[species == "Si"] = "Si"
    return Sites(number, counts, orientation(xy, pairs, box), crystallinity(xy, pairs, counts, box), kind)


def _bend(xy: np.ndarray, pairs: np.ndarray, box: np.ndarray | None) -> np.ndarray:
    """Largest deviation of the angles between each atom's first three bonds from 120 degrees [rad]."""
    table = neighbour_table(len(xy), pairs, 3)
    d = xy[table] - xy[:, None]
    if box is not None:
        d -= box * np.round(d / box)
    phi = np.sort(np.arctan2(d[..., 1], d[..., 0]), axis=1)
    gaps = np.concatenate([np.diff(phi, axis=1), phi[:, :1] + 2 * np.pi - phi[:, -1:]], axis=1)
    return np.abs(gaps - 2 * np.pi / 3).max(1, initial=0)
