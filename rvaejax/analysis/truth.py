"""Results on a simulated movie against its truth."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from rvaejax.analysis.circular import circular_difference, circular_mean, concentration
from rvaejax.analysis.deviation import content_order
from rvaejax.analysis.grains import FOLD as GRAIN_FOLD
from rvaejax.analysis.grains import movie_grains
from rvaejax.analysis.scores import match_atoms, score_atoms
from rvaejax.analysis.sites import MovieSites, frame_rows, movie_sites
from rvaejax.simulate.truth import Truth
from rvaejax.types import Atoms, Latents, SubImages

FOLD = 3  # of a three-coordinated site
NEIGHBOURS = 15
DEFINED_DEG = 1.0  # standard error up to which a grain has an orientation that is worth a comparison
FEWEST_BULK = 20  # truly bulk atoms of a grain for its orientation to have a truth
BONDED_WITHIN_NM = 0.2  # every bond is shorter
ORDER_REACH_NM = 0.57  # the local order of `structure.order.crystallinity` hangs on bonds as far away as this


def against_truth(
    truth: Truth, atoms: Atoms, subimages: SubImages, latents: Latents, *, size: tuple[int, int]
) -> dict[str, float]:
    """Scores of a whole run on a simulated movie.

    Detection and position count atoms 0.12 nm or more from the border. The angle is compared, modulo 120 degrees and
    after one offset (the decoder's own orientation is free), with the direction of the three bonds of each bulk atom.
    Grains are found from the angles and the bonds of the atoms that were found; the orientation of each is compared
    with the mean over the true directions of its bulk atoms, where there are `FEWEST_BULK`. Defects (kind other than
    bulk) are told from bulk in two ways: without any label, by crystallinity (area under the ROC curve); and with
    labels, by a vote of the 15 nearest neighbours in latent space (accuracy balanced between the two, 5-fold
    cross-validation over atoms). The true local order, which is never averaged further, is compared with crystallinity,
    and with the content latent whose correlation is the largest, where all atoms that it hangs on are in the picture
    (`surroundings_seen`).

    Crystallinity is what the content latents together tell (`content_order`), averaged over a site and its bonded
    neighbours; what is the site's own is scored beside it.
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
    sites = movie_sites(atoms)
    scores |= _grain_scores(truth, atoms, sites, subimages, angle_of=latents.angle - offset, partner=partner)
    order = content_order(latents, subimages.atom, sites.pairs)
    told = {"": order.crystallinity, ", site's own": order.crystallinity_own}
    rows = known.copy()
    rows[known] = surroundings_seen(truth)[row[known]]
    true = truth.crystallinity[row[rows]]
    scores |= _correlation("content latent, correlation with local order", latents.content[rows].T, true)
    for own, crystal in told.items():
        scores |= _correlation(f"crystallinity{own}, correlation with local order", crystal[None, rows], true)
    defect = kind != "bulk"
    if 0 < defect.sum() < len(defect):
        for own, crystal in told.items():
            scores[f"defects, AUC without labels{own}"] = round(float(roc_auc_score(defect, -crystal[known])), 4)
        vote = KNeighborsClassifier(NEIGHBOURS)
        # an atom's later frames never vote on its earlier ones
        groups, folds = truth.identity[row[known]], GroupKFold(5)
        accuracy = cross_val_score(vote, z, defect, groups=groups, cv=folds, scoring="balanced_accuracy")
        scores["defects, accuracy (balanced)"] = round(float(accuracy.mean()), 4)
    return scores


def surroundings_seen(truth: Truth) -> Bool[np.ndarray, " n"]:
    """Which atoms have in the picture all those that their local order hangs on.

    The truth counts bonds to atoms beyond the frame's edge and under contamination. Where one of an atom's neighbours
    is there, the order of all sites within `ORDER_REACH_NM` is not what the picture shows.
    """
    seen = np.ones(len(truth.atoms), bool)
    xy = np.column_stack([truth.atoms.x, truth.atoms.y]) * truth.atoms.pixel_size_nm
    for rows in frame_rows(truth.atoms):
        tree = cKDTree(xy[rows])
        near = tree.query_ball_point(xy[rows], BONDED_WITHIN_NM, return_length=True) - 1
        lacking = near < truth.coordination[rows]
        if lacking.any():
            distance = cKDTree(xy[rows[lacking]]).query(xy[rows])[0]
            seen[rows[distance < ORDER_REACH_NM]] = False
    return seen


def _correlation(name: str, told: Float[np.ndarray, "d k"], order: Float[np.ndarray, " k"]) -> dict[str, float]:
    """The largest correlation of a few quantities with the true order, sign aside, under its name."""
    if not len(order) or np.ptp(order) == 0:
        return {}
    each = [abs(np.corrcoef(values, order)[0, 1]) for values in told if np.ptp(values) > 0]
    return {name: round(float(max(each, default=0.0)), 3)}


def _grain_scores(
    truth: Truth,
    atoms: Atoms,
    sites: MovieSites,
    subimages: SubImages,
    *,
    angle_of: Float[np.ndarray, " n"],
    partner: Int[np.ndarray, " m"],
) -> dict[str, float]:
    """How many grains there are in a frame, and the error of the orientation of those with enough bulk atoms."""
    angle = np.full(len(atoms), np.nan)
    angle[subimages.atom] = angle_of
    grains = movie_grains(atoms, angle, sites.pairs, sites.sites.kind == "bulk", sites.sites.orientation)
    true = np.where(partner >= 0, truth.orientation[partner], np.nan)
    true[(partner >= 0) & (truth.kind[partner] != "bulk")] = np.nan
    errors, stated = [], []
    for number, found in enumerate(grains.angle):
        here = true[(grains.grain == number) & np.isfinite(true)]
        if len(here) >= FEWEST_BULK:
            errors.append(abs(circular_difference(found, circular_mean(here, GRAIN_FOLD), GRAIN_FOLD)))
            stated.append(grains.error[number])
    if not errors:
        return {}
    defined = np.degrees(np.array(errors)[np.degrees(stated) <= DEFINED_DEG])
    scores = {
        "grains in a frame": round(len(grains.angle) / len(np.unique(atoms.frame)), 2),
        "grain orientation error, median [deg]": round(float(np.degrees(np.median(errors))), 2),
        "grain orientation error, largest [deg]": round(float(np.degrees(max(errors))), 2),
        f"grains that have an orientation to {DEFINED_DEG:g} deg, share": round(len(defined) / len(errors), 3),
    }
    if len(defined):
        scores["their orientation error, largest [deg]"] = round(float(defined.max()), 2)
    return scores
