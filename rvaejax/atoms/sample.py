"""Which atoms of a frame tell the profile and the noise: enough of them, those at rims and of rare species first.

In a perfect lattice an atom's wings, its neighbours' and the background are one another's equals; at rims and dopants
they are not.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage
from scipy.spatial import cKDTree

from rvaejax.atoms.patches import CHUNK, REACH_NM
from rvaejax.structure.bonds import bonds, coordination

BORDER_NM = 0.3  # atoms nearer to the border do not tell: into their patches shine atoms that nobody sees
USUAL = 2.5  # standard deviations from the median brightness up to which surroundings are usual
FEWEST = 30  # atoms from which profile and noise are told, if there are so many
ROOM = 2 * CHUNK  # atoms among which those are that tell the profile
CLUSTER = 16  # atoms that come together: an atom and its first shells
SPECIAL = 16  # clusters around atoms of rare species, and as many at rims


def usable(
    image: Float[np.ndarray, "h w"], xy: Float[np.ndarray, "n 2"], species: Int[np.ndarray, " n"], pixel_size_nm: float
) -> Bool[np.ndarray, " n"]:
    """Atoms away from the border and from what is brighter than the sheet: contamination.

    The rarer species, brighter than the others by nature, are not asked for their brightness.

    Args:
        image: the frame.
        xy: positions [px].
        species: number of each atom's species; the first is the common one.
        pixel_size_nm: the frame's pixel [nm].
    """
    h, w = image.shape
    border = np.minimum(np.minimum(*xy.T), np.minimum(w - 1 - xy[:, 0], h - 1 - xy[:, 1])) * pixel_size_nm
    inner = border > BORDER_NM
    if inner.sum() < FEWEST:
        inner = border > 0.5 * BORDER_NM
    if inner.sum() < FEWEST:
        return np.full(len(xy), True)
    at = np.clip(np.round(xy).astype(int), 0, [w - 1, h - 1])
    side = 2 * int(REACH_NM / pixel_size_nm) + 1
    around = ndimage.uniform_filter(image, side, mode="nearest")[at[:, 1], at[:, 0]]
    common = around[species == 0] if (species == 0).any() else around
    middle = np.median(common)
    spread = 1.4826 * np.median(np.abs(common - middle)) + 1e-12
    dark = (around - middle < USUAL * spread) | (species > 0)
    return inner & dark if (inner & dark).sum() >= FEWEST else inner


def rims(xy: Float[np.ndarray, "n 2"], pixel_size_nm: float) -> Bool[np.ndarray, " n"]:
    """Atoms with fewer than three bonds."""
    return coordination(len(xy), bonds(xy * pixel_size_nm, np.full(len(xy), "C"))) < 3


def _evenly(rows: Int[np.ndarray, " n"], count: int) -> Int[np.ndarray, " m"]:
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]


def leading(
    xy: Float[np.ndarray, "n 2"], special: Bool[np.ndarray, " n"], told: Bool[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, " n"], int]:
    """An order of the atoms in which those come first that tell the profile, in clusters, and how many these are.

    Args:
        xy: positions [px].
        special: atoms around which a cluster tells most.
        told: atoms that may tell at all.
    """
    n = len(xy)
    if n <= ROOM:
        return np.arange(n), n
    seeds = [_evenly(np.flatnonzero(special & told), 2 * SPECIAL), _evenly(np.flatnonzero(told), ROOM // CLUSTER)]
    _, near = cKDTree(xy).query(xy[np.concatenate(seeds)], CLUSTER)
    rows, first = np.unique(near, return_index=True)
    rows = rows[np.argsort(first)][:ROOM]
    return np.concatenate([rows, np.setdiff1d(np.arange(n), rows)]), len(rows)


def sample_rows(
    around: Int[np.ndarray, "n j"], special: Bool[np.ndarray, " n"], told: Bool[np.ndarray, " n"]
) -> Int[np.ndarray, " m"]:
    """Rows that tell profile and noise: special atoms and their neighbours, then an even choice of the others.

    Args:
        around: rows of each atom and of its neighbours.
        special: atoms that tell most; they get at most half of the places.
        told: atoms that may tell.
    """
    few = _evenly(np.flatnonzero(special & told), CHUNK // (2 * around.shape[1]))
    chosen = np.unique(around[few])
    chosen = chosen[told[chosen]]
    rest = np.setdiff1d(np.flatnonzero(told), chosen)
    return np.concatenate([chosen, _evenly(rest, CHUNK - len(chosen))])
