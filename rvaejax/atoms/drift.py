"""The drift of a specimen from one frame to the next, from the positions of its atoms."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy import ndimage
from scipy.spatial import cKDTree

WIDTH_NM = 0.02  # of the bins of displacements, and of their smoothing
NEAR_NM = 0.06  # atoms nearer than this after the drift is removed are the same ones; less than half a bond
CANDIDATES = 12
SAMPLE = 400  # atoms that the candidates are found and tried with


def drift_between(
    before: Float[np.ndarray, "n 2"], after: Float[np.ndarray, "m 2"], largest_nm: float
) -> Float[np.ndarray, " 2"]:
    """How far (x, y) the specimen moved between two frames [nm].

    The displacements from atoms of one frame to those of the other pile up at the drift, and on a crystal at the drift
    plus each lattice vector. The heaped places are tried one by one: the one that brings the most atoms onto others
    wins (edges, holes and missing atoms tell a lattice vector from none), the smaller one where two are as good. The
    median of the displacements that are left then makes it exact, whatever single atoms do.

    A drift by more than half a lattice vector of a crystal without holes, edges or missing atoms cannot be seen.

    Args:
        before: positions in the earlier frame [nm].
        after: positions in the later frame [nm].
        largest_nm: longest drift that is looked for [nm].
    """
    if not len(before) or not len(after):
        return np.zeros(2)
    tree, some = cKDTree(after), before[:: -(-len(before) // SAMPLE)]
    best, most = np.zeros(2), -np.inf
    for candidate in _heaps(some, tree, largest_nm):
        refined, share = _refine(some, tree, candidate)
        # one atom in a hundred is worth a drift of a tenth of a nm
        worth = share - 0.1 * float(np.hypot(*refined))
        if worth > most + 1e-9:
            best, most = refined, worth
    return _refine(before, tree, best)[0]


def _heaps(some: np.ndarray, tree: cKDTree, largest_nm: float) -> np.ndarray:
    """Displacements (x, y) at which the most pairs of atoms heap up, no drift being always among them."""
    pairs = cKDTree(some).sparse_distance_matrix(tree, largest_nm, output_type="ndarray")
    if not len(pairs):
        return np.zeros((1, 2))
    bins = 2 * int(np.ceil(largest_nm / WIDTH_NM)) + 1
    cell = np.rint((tree.data[pairs["j"]] - some[pairs["i"]]) / WIDTH_NM).astype(int) + bins // 2
    counts = np.bincount(cell[:, 0] * bins + cell[:, 1], minlength=bins**2).reshape(bins, bins)
    smooth = ndimage.gaussian_filter(counts.astype(float), 1.0, mode="constant")
    top = (smooth == ndimage.maximum_filter(smooth, 3)) & (smooth > 0.25 * smooth.max())
    places = np.argwhere(top)
    order = np.argsort(-smooth[top], kind="stable")[:CANDIDATES]
    return np.concatenate([np.zeros((1, 2)), (places[order] - bins // 2) * WIDTH_NM])


def _refine(before: np.ndarray, tree: cKDTree, drift: np.ndarray) -> tuple[np.ndarray, float]:
    """The drift after the median of what is left of it is added, and the share of atoms that it brought onto others."""
    distance, nearest = tree.query(before + drift, distance_upper_bound=NEAR_NM)
    near = np.isfinite(distance)
    if not near.any():
        return drift, 0.0
    return np.median(tree.data[nearest[near]] - before[near], axis=0), float(near.mean())
