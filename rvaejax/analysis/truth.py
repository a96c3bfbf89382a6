"""Results on a simulated movie against its truth."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from rvaejax.analysis.circular import circular_difference, circular_mean, concentration
from rvaejax.analysis.scores import match_atoms, score_atoms
from rvaejax.simulate.truth import Truth
from rvaejax.types import Atoms, Latents, SubImages

FOLD = 3  # of a three-coordinated site
NEIGHBOURS = 15


def against_truth(
    truth: Truth, atoms: Atoms, subimages: SubImages, latents: Latents, *, size: tuple[int, int]
) -> dict[str, float]:
    """Scores of a whole run on a simulated movie.

    Detection and position count atoms 0.12 nm or more from the border. The angle is compared, modulo 120 degrees and
    after one offset (the decoder's own orientation is free), with the direction of the three bonds of each bulk atom.
    Defects (kind other than bulk) are told from bulk in two ways: without any label, by how far a site's 15 nearest
    neighbours in latent space are (area under the ROC curve: what is rare is a defect); and with labels, by a vote of
    these neighbours (accuracy balanced between the two, 5-fold cross-validation over atoms).
    """
    found = score_atoms(truth.atoms, atoms, size=size, border_px=0.12 / truth.atoms.pixel_size_nm)
    in_truth, in_found = match_atoms(truth.atoms, atoms)
    partner = np.full(len(atoms), -1)
    partner[in_found] = in_truth
    row = partner[subimages.atom]
    known = row >= 0
    kind, orientation = truth.kind[row[known]], truth.orientation[row[known]]
    angle, content = latents.angle[known], latents.content[known]
    bulk = (kind == "bulk") & np.isfinite(orientation)
    offset = circular_mean(angle[bulk] - orientation[bulk], FOLD)
    error = circular_difference(angle[bulk] - offset, orientation[bulk], FOLD)
    z = (content - content.mean(0)) / content.std(0)
    scores = {
        "detection F1": found.f1,
        "position error [pm]": found.rmse_pm,
        "species accuracy": found.species_accuracy,
        "position error over stated": found.sd_ratio,
        "angle error, median [deg]": round(float(np.degrees(np.median(np.abs(error)))), 2),
        "angle concentration R": round(concentration(error, FOLD), 4),
    }
    defect = kind != "bulk"
    if 0 < defect.sum() < len(defect):
        rarity = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(z).kneighbors()[0].mean(1)
        scores["defects, AUC without labels"] = round(float(roc_auc_score(defect, rarity)), 4)
        vote = KNeighborsClassifier(NEIGHBOURS)
        # an atom's later frames never vote on its earlier ones
        groups, folds = truth.identity[row[known]], GroupKFold(5)
        accuracy = cross_val_score(vote, z, defect, groups=groups, cv=folds, scoring="balanced_accuracy")
        scores["defects, accuracy (balanced)"] = round(float(accuracy.mean()), 4)
    return scores
