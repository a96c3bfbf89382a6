"""Scores of latents against a labelled set of sub-images, and what is read off several of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from rvaejax.analysis.circular import circular_difference, circular_mean, concentration
from rvaejax.analysis.leakage import probe_folded

NEIGHBOURS = 15
WANTED = {"angle_R": 0.9, "knn_accuracy": 0.97, "leakage_r2": 0.05}  # the last: at most


def score(data: Path, latents: Path, scorer: Path | None) -> dict[str, Any]:
    """Scores of a file of latents, by a script or by `own_scores`; where the script gives up, what it said."""
    if scorer is None:
        return own_scores(data, latents)
    done = subprocess.run(
        [sys.executable, str(scorer), str(data), str(latents)], capture_output=True, text=True, check=False
    )
    return json.loads(done.stdout) if done.returncode == 0 else {"failed": done.stderr.strip()[-200:]}


def own_scores(data: Path, latents: Path) -> dict[str, Any]:
    """Each for the worst kind: concentration of the angle's error modulo the kind's symmetry, its median after one
    offset per kind [deg], and the share of the angle that neighbours in content tell (5-fold cross-validated); and the
    accuracy of a vote of 15 neighbours on the kind (first 75 % on last 25 %).
    """
    truth, found = np.load(data), np.load(latents)
    kind, content = truth["kind"].astype(int), np.asarray(found["content"], float)
    rs, errors, leaks = [], [], []
    for k, fold in enumerate(truth["symmetry"].astype(int).tolist()):
        angle, true = (np.asarray(a, float)[kind == k] for a in (found["angle"], truth["angle"]))
        delta = circular_difference(angle, true, fold)
        error = circular_difference(delta, circular_mean(delta, fold), fold)
        rs.append(concentration(delta, fold))
        errors.append(float(np.degrees(np.median(np.abs(error)))))
        leaks.append(probe_folded(content[kind == k], true, np.full(len(true), fold)))
    cut = int(0.75 * len(kind))
    vote = KNeighborsClassifier(NEIGHBOURS).fit(content[:cut], kind[:cut])
    return {
        "angle_R": min(rs),
        "angle_error_deg": max(errors),
        "knn_accuracy": float(vote.score(content[cut:], kind[cut:])),
        "leakage_r2": max(leaks),
    }


def seconds_to_quality(looks: Sequence[dict[str, Any]]) -> float | None:
    """Seconds of training at the first look from which on all looks reach `WANTED`; None where the last does not."""
    reached = None
    for look in reversed(looks):
        good = "angle_R" in look and all(look[name] >= WANTED[name] for name in ("angle_R", "knn_accuracy"))
        if not good or look["leakage_r2"] > WANTED["leakage_r2"]:
            break
        reached = look["seconds"]
    return reached


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, extremes, and all."""
    numbers = [float(v) for v in values]
    return {"median": float(np.median(numbers)), "min": min(numbers), "max": max(numbers), "all": numbers}


def source() -> str:
    """The commit of the code that is measured, where it is a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()
