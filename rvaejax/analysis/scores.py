"""Found atoms against known ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from rvaejax.atoms.matching import cheapest_pairs
from rvaejax.types import Atoms


class AtomScores(NamedTuple):
    """Detection and position of found atoms against known ones.

    Attributes:
        precision, recall, f1: of the detection.
        rmse_pm: root mean square of the radial distance of matched atoms [pm].
        species_accuracy: share of matched atoms whose species is right.
        sd_ratio: root mean square of error over stated standard deviation, per axis; 1 is calibrated.
        n_true, n_found: atoms that counted.
    """

    precision: float
    recall: float
    f1: float
    rmse_pm: float
    species_accuracy: float
    sd_ratio: float
    n_true: int
    n_found: int


def match(
    true_xy: Float[np.ndarray, "n 2"], found_xy: Float[np.ndarray, "m 2"], tolerance: float
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    """One-to-one pairs (rows of each table) within `tolerance`: as many as possible, at the least total distance."""
    if len(true_xy) == 0 or len(found_xy) == 0:
        return np.zeros(0, int), np.zeros(0, int)
    near = cKDTree(true_xy).sparse_distance_matrix(cKDTree(found_xy), tolerance, output_type="ndarray")
    alone = tolerance * (min(len(true_xy), len(found_xy)) + 1)  # one pair more is worth any distance
    return cheapest_pairs(near["i"], near["j"], near["v"], np.full(len(true_xy), alone), np.full(len(found_xy), alone))


def match_atoms(truth: Atoms, found: Atoms, *, tolerance_nm: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `truth` and of `found` that are the same atom, frame by frame."""
    pairs = []
    for frame in np.intersect1d(truth.frame, found.frame):
        t, f = np.flatnonzero(truth.frame == frame), np.flatnonzero(found.frame == frame)
        i, j = match(
            np.column_stack([truth.x[t], truth.y[t]]),
            np.column_stack([found.x[f], found.y[f]]),
            tolerance_nm / truth.pixel_size_nm,
        )
        pairs.append((t[i], f[j]))
    rows = [np.concatenate(column) for column in zip(*pairs, strict=True)] if pairs else [np.zeros(0, int)] * 2
    return rows[0], rows[1]


def score_atoms(
    truth: Atoms, found: Atoms, *, size: tuple[int, int], tolerance_nm: float = 0.05, border_px: float = 8.0
) -> AtomScores:
    """Scores of a table of found atoms.

    Args:
        truth: known atoms.
        found: found atoms, in the same pixels.
        size: (h, w) of the frames [px].
        tolerance_nm: pairs farther apart are no pairs [nm].
        border_px: atoms nearer to the border do not count, whether true or found without a true partner inside.
    """
    t, f = match_atoms(truth, found, tolerance_nm=tolerance_nm)

    def counts(atoms: Atoms) -> np.ndarray:
        h, w = size
        in_x = (atoms.x >= border_px) & (atoms.x <= w - 1 - border_px)
        return in_x & (atoms.y >= border_px) & (atoms.y <= h - 1 - border_px)

    true_in = counts(truth)
    pairs_in = true_in[t]
    found_in = counts(found)
    found_in[f] = pairs_in  # a matched atom counts where its partner does
    t, f = t[pairs_in], f[pairs_in]
    hits, n_true, n_found = len(t), int(true_in.sum()), int(found_in.sum())
    precision, recall = hits / max(n_found, 1), hits / max(n_true, 1)
    squared = (truth.x[t] - found.x[f]) ** 2 + (truth.y[t] - found.y[f]) ** 2
    z2 = squared / (2 * np.maximum(found.sd[f], 1e-9) ** 2)
    return AtomScores(
        precision=round(precision, 4),
        recall=round(recall, 4),
        f1=round(2 * precision * recall / max(precision + recall, 1e-9), 4),
        rmse_pm=round(1000 * truth.pixel_size_nm * float(np.sqrt(squared.mean())), 2) if hits else float("nan"),
        species_accuracy=round(float((truth.species[t] == found.species[f]).mean()), 4) if hits else float("nan"),
        sd_ratio=round(float(np.sqrt(z2.mean())), 3) if hits else float("nan"),
        n_true=n_true,
        n_found=n_found,
    )
