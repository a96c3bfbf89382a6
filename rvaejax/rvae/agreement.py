"""How far two trained rVAEs agree on the same images, each free in its reference orientation and its content's axes."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Integer
from scipy.spatial import KDTree

NEIGHBOURS = 15
FOLDS = (1, 2, 3, 4, 6)  # the rotational symmetries that a lattice allows


def angle_agreement(
    content: Float[np.ndarray, "n d"], angle: Float[np.ndarray, " n"], other: Float[np.ndarray, " n"]
) -> float:
    """Concentration of the difference of two models' angles, 1 where they agree, near 0 where they do not.

    Each model is free in its reference orientation, for each kind of content: what counts is whether the difference is
    the same among the nearest neighbours in content. Angles of symmetric content are known up to its symmetry only:
    the multiple of the difference that agrees best counts.
    """
    near = _neighbours(content)
    best = 0.0
    for fold in FOLDS:
        unit = np.exp(1j * fold * (np.asarray(angle, float) - other))
        best = max(best, float((unit * unit[near].mean(1).conj()).real.mean()))
    return best**0.5


def content_agreement(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "n e"]) -> float:
    """Share of the variance of one model's content that its neighbours in the other's predict, the lower of the two."""
    return max(0.0, min(_explained(a, b), _explained(b, a)))


def _explained(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "n e"]) -> float:
    rest = ((b - b[_neighbours(a)].mean(1)) ** 2).sum()
    total = ((b - b.mean(0)) ** 2).sum()
    return float(1 - rest / total) if total > 0 else 0.0


def _neighbours(content: Float[np.ndarray, "n d"]) -> Integer[np.ndarray, "n k"]:
    """(n, k) rows of the nearest others."""
    k = min(NEIGHBOURS, len(content) - 1)
    found = KDTree(content).query(content, k=k + 1)[1]
    # a row need not be the first of its own neighbours: others may lie at the same place
    own = found == np.arange(len(content))[:, None]
    own[~own.any(1), -1] = True
    return found[~own].reshape(len(content), k)
