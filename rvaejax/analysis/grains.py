"""Grains from the angle of each atom: patches of bonded atoms whose lattice has one orientation, and their borders."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from rvaejax.analysis.circular import circular_difference, circular_mean, circular_median, circular_sd, fold_angle
from rvaejax.analysis.orientation import orientation_peaks
from rvaejax.analysis.sites import frame_rows
from rvaejax.types import Atoms

FOLD = 6  # the two sublattices of one crystal are 60 degrees apart
SITE_FOLD = 3  # of a site's three bonds
FEWEST_BULK = 10  # bulk atoms whose mean is a grain's orientation


class Grains(NamedTuple):
    """The grains of one frame or of several.

    Attributes:
        grain: (n,) number of each atom's grain, the largest of its frame first; -1 for atoms between grains.
        orientation: (n,) orientation of the atom's surroundings [rad, modulo pi / 3]; NaN where there is none.
        angle: (g,) orientation of each grain [rad, modulo pi / 3]: the mean over its bulk atoms, because angles of
            edges and defects point anywhere; of a grain with few of them, or none known, the median of all its atoms.
        size: (g,) atoms in it.
        boundary: (n,) atoms with two grains within three bonds.
        error: (g,) standard error of `angle` [rad]: the spread of the atoms' angles over the root of their number. A
            small or bent grain has no orientation to better than this, however well each atom's angle is known.
    """

    grain: Int[np.ndarray, " n"]
    orientation: Float[np.ndarray, " n"]
    angle: Float[np.ndarray, " g"]
    size: Int[np.ndarray, " g"]
    boundary: Bool[np.ndarray, " n"]
    error: Float[np.ndarray, " g"]


def find_grains(
    angle: Float[np.ndarray, " n"],
    pairs: Int[np.ndarray, "b 2"],
    *,
    bulk: Bool[np.ndarray, " n"] | None = None,
    direction: Float[np.ndarray, " n"] | None = None,
    smallest: int = 20,
    rounds: int = 2,
    least: float = 0.05,
) -> Grains:
    r"""Connected patches of atoms of one frame whose surroundings have one of the frame's orientations.

    The angles enter modulo 60 degrees and are first averaged with those of bonded neighbours, `rounds` times,

    .. math:: u_i \leftarrow \tfrac12 u_i + \tfrac12 \langle u_j \rangle_{j \sim i}, \qquad u = e^{6 i \theta}.

    The frame's orientations are the modes of the smoothed angles; every atom goes to the nearest one, and the bonded
    patches of each are the grains. Comparing neighbours with each other would not do: along a boundary of few degrees
    the angle turns gradually, and grains would leak into one.

    Args:
        angle: of each atom [rad], any offset; NaN where there is none.
        pairs: bonds.
        bulk: sites of the undisturbed lattice, by their bonds; None where nobody knows.
        direction: of each atom's bonds [rad], with the offset of `angle`: what stands for the angle of bulk atoms that
            have none, as those near the frame's edge, around which no window fits. A bent grain's mean is off by
            degrees where it lacks one side.
        smallest: atoms of the smallest grain.
        rounds: of the smoothing.
        least: share of the atoms that an orientation needs to count.
    """
    n = len(angle)
    smooth = smoothed_order(angle, pairs, rounds)
    known = np.abs(smooth) > 0
    local = np.where(known, fold_angle(np.angle(smooth) / FOLD, FOLD), np.nan)
    # the strongest modes, and not so weak ones that a boundary's own angles make: those count by their share
    peaks = orientation_peaks(local[known], FOLD, least=least)
    if not peaks:
        return Grains(np.full(n, -1), local, np.zeros(0), np.zeros(0, int), np.zeros(n, bool), np.zeros(0))
    modes = np.array([peak.angle for peak in peaks])
    mode = np.abs(circular_difference(np.nan_to_num(local)[:, None], modes[None], FOLD)).argmin(1)
    i, j = pairs.T
    joined = (mode[i] == mode[j]) & known[i] & known[j]
    graph = csr_array((np.ones(joined.sum()), (i[joined], j[joined])), shape=(n, n))
    count, part = connected_components(graph, directed=False)
    size = np.bincount(part, minlength=count)
    order = np.argsort(-size, kind="stable")
    order = order[size[order] >= smallest]
    number = np.full(count, -1)
    number[order] = np.arange(len(order))
    grain = number[part]
    sure = np.zeros(n, bool) if bulk is None else bulk
    filled = angle if direction is None else np.where(sure & ~np.isfinite(angle), direction, angle)
    middle = [_orientation(filled[grain == g], sure[grain == g]) for g in range(len(order))]
    of_grains, error = np.array(middle).reshape(-1, 2).T
    return Grains(grain, local, fold_angle(of_grains, FOLD), size[order], _touches_two(grain, pairs), error)


def _orientation(angle: Float[np.ndarray, " m"], bulk: Bool[np.ndarray, " m"]) -> tuple[float, float]:
    """Of one grain, with its standard error; in a bent one mean and median of the sound atoms may differ by degrees."""
    used = bulk & np.isfinite(angle)
    few = used.sum() < FEWEST_BULK
    used = np.isfinite(angle) if few else used
    middle = circular_median(angle[used], FOLD) if few else circular_mean(angle[used], FOLD)
    return middle, circular_sd(angle[used], FOLD) / np.sqrt(max(1, used.sum()))


def movie_grains(
    atoms: Atoms,
    angle: Float[np.ndarray, " n"],
    pairs: Int[np.ndarray, "b 2"],
    bulk: Bool[np.ndarray, " n"] | None = None,
    direction: Float[np.ndarray, " n"] | None = None,
) -> Grains:
    """The grains of every frame, numbered through from the first frame to the last; see `find_grains`.

    Args:
        atoms: of all frames.
        angle: of each atom [rad]; NaN where there is none.
        pairs: bonds of all frames, rows of the table.
        bulk: sites of the undisturbed lattice; None where nobody knows.
        direction: of each atom's bonds [rad], for bulk atoms without an angle.
    """
    grain, orientation, boundary = np.full(len(atoms), -1), np.full(len(atoms), np.nan), np.zeros(len(atoms), bool)
    angles, sizes, errors, place = [np.zeros(0)], [np.zeros(0, int)], [np.zeros(0)], np.zeros(len(atoms), int)
    of_frame, born = atoms.frame[pairs[:, 0]], 0
    for rows in frame_rows(atoms):
        place[rows] = np.arange(len(rows))
        found = find_grains(
            angle[rows],
            place[pairs[of_frame == atoms.frame[rows[0]]]],
            bulk=None if bulk is None else bulk[rows],
            direction=None if direction is None else direction[rows],
        )
        grain[rows] = np.where(found.grain >= 0, found.grain + born, -1)
        orientation[rows], boundary[rows] = found.orientation, found.boundary
        angles.append(found.angle)
        sizes.append(found.size)
        errors.append(found.error)
        born += len(found.size)
    middle, size, error = (np.concatenate(part) for part in (angles, sizes, errors))
    return Grains(grain, orientation, middle, size, boundary, error)


def angle_offset(angle: Float[np.ndarray, " n"], orientation: Float[np.ndarray, " n"]) -> float:
    """What the decoder calls angle 0: circular mean of the latent angle minus the bonds' direction, modulo 120 degrees.

    Args:
        angle: of each atom [rad]; NaN where there is none.
        orientation: direction of its three bonds [rad]; NaN where there are not three.

    Returns:
        The offset [rad]; 0 where no atom has both.
    """
    both = np.isfinite(angle) & np.isfinite(orientation)
    return circular_mean(angle[both] - orientation[both], SITE_FOLD) if both.any() else 0.0


def smoothed_order(angle: Float[np.ndarray, " n"], pairs: Int[np.ndarray, "b 2"], rounds: int) -> np.ndarray:
    """exp(6 i angle) averaged with bonded neighbours; 0 for atoms without an angle and without neighbours that have."""
    n = len(angle)
    known = np.isfinite(angle)
    u = np.where(known, np.exp(1j * FOLD * np.nan_to_num(angle)), 0)
    i, j = np.concatenate([pairs, pairs[:, ::-1]]).T
    bonded = csr_array((np.ones(len(i)), (i, j)), shape=(n, n))
    weight = known.astype(float)
    for _ in range(rounds):
        number = bonded @ (weight > 0).astype(float)
        mean = (bonded @ u) / np.maximum(number, 1)
        u = np.where(weight > 0, np.where(number > 0, (u + mean) / 2, u), mean)
        weight = np.where((weight > 0) | (number > 0), 1.0, 0.0)
    return u


def _touches_two(grain: np.ndarray, pairs: np.ndarray, reach: int = 3) -> np.ndarray:
    """Atoms that have two grains within `reach` bonds; a free edge has one."""
    n, count = len(grain), int(grain.max(initial=-1)) + 1
    if count < 2:
        return np.zeros(n, bool)
    i, j = np.concatenate([pairs, pairs[:, ::-1]]).T
    bonded = csr_array((np.ones(len(i)), (i, j)), shape=(n, n))
    member = np.flatnonzero(grain >= 0)
    near = csr_array((np.ones(len(member)), (member, grain[member])), shape=(n, count))
    for _ in range(reach):
        near = near + bonded @ near
    return np.diff(near.tocsr().indptr) > 1
