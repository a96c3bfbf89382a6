"""How much of the angle is in the content latents, where nothing of it should be.

Three questions to copies of the sub-images that were turned at random (so that no preferred direction of the specimen
can make content and angle go together):

* does the content tell the angle? A nearest-neighbour regression of cos and sin of k times the angle, cross-validated;
* does the content before and after tell the turn? The same from both contents, each drawn from its posterior: this
  needs no angle of the model's own, and so finds out a model that is blind to it;
* how many nats? The mutual information of each content latent and the angle (Kraskov, Stoegbauer and Grassberger,
  Phys. Rev. E 69, 066138, 2004), beside that of the same values in random order, which is what the estimator makes of
  nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer
from sklearn.feature_selection import mutual_info_regression
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.neighbors import KNeighborsRegressor

NEIGHBOURS = 15
HARMONICS = (1, 2, 3, 4, 6)
FEWEST = 4 * NEIGHBOURS  # copies that a probe needs


class Probe(NamedTuple):
    """The harmonic k of the angle that is told best, and how well.

    Attributes:
        r2: share of the variance of (cos k angle, sin k angle) that is told; about 0 where nothing is. Noise makes it
            slightly negative (-1/15 for 15 neighbours); where there are too few copies it is NaN.
        harmonic: k.
    """

    r2: float
    harmonic: int


class Information(NamedTuple):
    """Mutual information of the content latent that tells most, and what is found in shuffled values [nat]."""

    nats: float
    shuffled: float


def probe(features: Float[np.ndarray, "n d"], angle: Float[np.ndarray, " n"], harmonics: Sequence[int]) -> Probe:
    """The best R^2 over the harmonics, 5-fold cross-validated."""
    if len(features) < FEWEST:
        return Probe(float("nan"), 1)
    scores = [Probe(_r2(features, np.column_stack([np.cos(k * angle), np.sin(k * angle)])), k) for k in harmonics]
    return max(scores)


def probe_folded(features: Float[np.ndarray, "n d"], angle: Float[np.ndarray, " n"], fold: Integer[np.ndarray, " n"]):
    """R^2 of the angle modulo each site's own symmetry; sites that have no angle (fold 0) are left out."""
    has = fold > 0
    if has.sum() < FEWEST:
        return float("nan")
    phase = (fold * angle)[has]
    return _r2(features[has], np.column_stack([np.cos(phase), np.sin(phase)]))


def information(
    content: Float[np.ndarray, "n d"], angle: Float[np.ndarray, " n"], fold: Integer[np.ndarray, " n"], seed: int
) -> Information:
    """The mutual information of each content latent with the angle modulo the site's symmetry; the largest."""
    has = fold > 0
    if has.sum() < FEWEST:
        return Information(float("nan"), float("nan"))
    turn, rng = np.mod(angle[has] * fold[has], 2 * np.pi), np.random.default_rng(seed)

    def most(values: Float[np.ndarray, " m"]) -> float:
        return float(mutual_info_regression(content[has], values, n_neighbors=NEIGHBOURS, random_state=seed).max())

    return Information(most(turn), most(rng.permutation(turn)))


def _r2(features: Float[np.ndarray, "n d"], target: Float[np.ndarray, "n 2"]) -> float:
    folds = KFold(5, shuffle=True, random_state=0)
    told = cross_val_predict(KNeighborsRegressor(NEIGHBOURS), features, target, cv=folds)
    return float(1 - ((told - target) ** 2).sum() / ((target - target.mean(0)) ** 2).sum())
