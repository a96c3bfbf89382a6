"""Local crystallography: the vectors from each atom to its nearest neighbours, aligned and classified."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Integer
from scipy.spatial import cKDTree
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture

from rvaejax.analysis.sites import check_pixel_size, frame_rows
from rvaejax.types import Atoms


class Neighbourhoods(NamedTuple):
    """The surroundings of the atoms that have enough neighbours in their frame.

    Attributes:
        atom: (m,) row in the `Atoms` table.
        vectors: (m, k, 2) to the k nearest neighbours (x to the right, y down) [nm], counter-clockwise as displayed
            from the longest one, and turned so that they point along 0, 2 pi / k, ... as well as they can.
        angle: (m,) by which each was turned back [rad].
    """

    atom: Integer[np.ndarray, " m"]
    vectors: Float[np.ndarray, "m k 2"]
    angle: Float[np.ndarray, " m"]


def neighbourhoods(atoms: Atoms, neighbours: int = 3) -> Neighbourhoods:
    """Sorted and aligned vectors to the nearest neighbours.

    What is left after the alignment does not depend on how the lattice is turned: one crystal's sites are alike on
    both sublattices and in all grains. The longest vector comes first because it is what tells an edge from a bulk
    site: there the third neighbour is one bond farther.

    Args:
        atoms: of all frames; the pixel size must be known.
        neighbours: k; 3 for graphene's bonds.

    Raises:
        PixelSizeError: lengths are not known.

    Source: A. Belianinov et al., Nat. Commun. 6, 7801 (2015), here with the neighbours aligned.
    """
    check_pixel_size(atoms)
    rows_, found, turns = [np.zeros(0, int)], [np.zeros((0, neighbours, 2))], [np.zeros(0)]
    for rows in frame_rows(atoms):
        if len(rows) <= neighbours:
            continue
        xy = np.column_stack([atoms.x[rows], atoms.y[rows]]) * atoms.pixel_size_nm
        nearest = cKDTree(xy).query(xy, k=neighbours + 1)[1][:, 1:]
        vectors, angle = _aligned(xy[nearest] - xy[:, None])
        rows_.append(rows)
        found.append(vectors)
        turns.append(angle)
    return Neighbourhoods(np.concatenate(rows_), np.concatenate(found), np.concatenate(turns))


def _aligned(d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    k = d.shape[1]
    phi = np.arctan2(-d[..., 1], d[..., 0])
    length = np.hypot(d[..., 0], d[..., 1])
    first = np.take_along_axis(phi, length.argmax(1)[:, None], axis=1)
    # floating point may put the first vector a hair before itself
    order = np.argsort(np.mod(phi - first + 1e-9, 2 * np.pi), axis=1)
    phi, length = np.take_along_axis(phi, order, axis=1), np.take_along_axis(length, order, axis=1)
    angle = np.angle(np.exp(1j * (phi - 2 * np.pi * np.arange(k) / k)).sum(1))
    turned = phi - angle[:, None]
    return np.stack([length * np.cos(turned), -length * np.sin(turned)], axis=-1), angle


class SiteClasses(NamedTuple):
    """Classes of neighbourhoods, the commonest first.

    Attributes:
        label: (m,) class of each.
        centres: (c, k, 2) mean vectors of each class [nm].
        share: (c,) of the sites.
    """

    label: Integer[np.ndarray, " m"]
    centres: Float[np.ndarray, "c k 2"]
    share: Float[np.ndarray, " c"]


def classify_sites(
    found: Neighbourhoods, classes: int = 4, *, method: Literal["kmeans", "gmm"] = "kmeans", seed: int = 0
) -> SiteClasses:
    """Classes of aligned neighbourhoods by k-means or by a mixture of Gaussians.

    Args:
        found: the neighbourhoods.
        classes: how many; fewer where there are fewer sites.
        method: "kmeans" or "gmm".
        seed: the one source of randomness.
    """
    m, k, _ = found.vectors.shape
    flat, count = found.vectors.reshape(m, 2 * k), min(classes, m)
    if not count:
        return SiteClasses(np.zeros(0, int), np.zeros((0, k, 2)), np.zeros(0))
    if method == "kmeans":
        label = KMeans(count, n_init=4, random_state=seed).fit_predict(flat)
    else:
        label = GaussianMixture(count, reg_covar=1e-6, random_state=seed).fit_predict(flat)  # 1 pm
    size = np.bincount(label, minlength=count)
    order = np.argsort(-size, kind="stable")
    order = order[size[order] > 0]
    number = np.zeros(count, int)
    number[order] = np.arange(len(order))
    centres = np.stack([found.vectors[label == c].mean(0) for c in order])
    return SiteClasses(number[label], centres, size[order] / m)
