"""Which atoms of a frame tell the profile and the noise: enough of them, those at rims and of rare species first.

In a perfect lattice an atom's wings, its neighbours' and the background are one another's equals; at rims and dopants
they are not.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

from rvaejax.atoms.patches import CHUNK, REACH_NM, middles
from rvaejax.structure.bonds import bonds, coordination

BORDER_NM = 0.3  # atoms nearer to the border do not tell: into their patches shine atoms that nobody sees
USUAL = 2.5  # standard deviations from the median brightness up to which surroundings are usual
FEWEST = 30  # atoms from which profile and noise are told, if there are so many
ROOM = 2 * CHUNK  # atoms in the part of a frame that tells the profile
SPECIAL = 3.0  # what an atom at a rim or of a rare species tells beyond others
STEPS = 9  # places per direction tried for that part
GRAIN_PX = 16  # of its sides: frames that lose atoms one by one would else have a part, and compile, each its own


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
    x, y = middles(image.shape, xy).T
    side = 2 * int(REACH_NM / pixel_size_nm) + 1
    around = ndimage.uniform_filter(image, side, mode="nearest")[y, x]
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


def telling_box(
    shape: tuple[int, ...], xy: Float[np.ndarray, "n 2"], special: Bool[np.ndarray, " n"], told: Bool[np.ndarray, " n"]
) -> tuple[slice, slice]:
    """The part of a frame (rows, columns) with the most atoms that tell, of at most `ROOM` in all.

    Args:
        shape: of the frame [px].
        xy: positions [px].
        special: atoms that tell most.
        told: atoms that may tell at all.
    """
    h, w = shape
    if len(xy) <= ROOM:
        return slice(0, h), slice(0, w)
    worth = told * (1.0 + SPECIAL * special)
    side = np.sqrt(h * w * ROOM / len(xy))
    while True:
        grained = max(int(side) // GRAIN_PX * GRAIN_PX, GRAIN_PX)
        tall, wide = (min(grained, length) for length in (h, w))
        corners = [
            (x, y)
            for x in np.linspace(0, w - wide, STEPS).astype(int)
            for y in np.linspace(0, h - tall, STEPS).astype(int)
        ]
        boxes = [((xy >= corner) & (xy < np.add(corner, (wide, tall)) - 1)).all(1) for corner in corners]
        values = [float(worth[box].sum()) if box.sum() <= ROOM else -1.0 for box in boxes]
        best = int(np.argmax(values))
        if values[best] >= 0:
            x, y = corners[best]
            return slice(y, y + tall), slice(x, x + wide)
        side *= 0.9


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
