"""Latents of two models on the same sites, up to what each is free in: the zero of the angle, the content's axes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Integer

from rvaejax.analysis.circular import circular_difference, circular_mean, concentration
from rvaejax.analysis.grains import SITE_FOLD
from rvaejax.rvae.agreement import content_agreement
from rvaejax.types import Latents


class Alignment(NamedTuple):
    """How the second model's latents look in the first one's axes.

    Attributes:
        offset: of the angles [rad].
        difference: (n,) of the angles without it [rad, modulo 2 pi / fold].
        concentration: |<exp(i fold difference)>|; 1 where all angles agree.
        content: (n, d) the second content, turned and mirrored onto the first, then scaled along each of its axes.
        r2: (d,) share of the variance of each content latent of the first model that it explains.
        smooth_r2: share of the content's variance that each model's neighbours explain of the other's: agreement up to
            any smooth map of the latent space.
    """

    offset: float
    difference: Float[np.ndarray, " n"]
    concentration: float
    content: Float[np.ndarray, "n d"]
    r2: Float[np.ndarray, " d"]
    smooth_r2: float


def align(a: Latents, b: Latents, fold: int = SITE_FOLD, crystal: Bool[np.ndarray, " n"] | None = None) -> Alignment:
    r"""The second model's latents aligned with the first one's.

    .. math:: \max_Q \sum_i (z_i - \bar z) \cdot (z'_i - \bar z')\,Q, \qquad Q^T Q = 1

    Args:
        a: the first model's latents of n sites.
        b: the second one's, of the same sites and as many content latents.
        fold: symmetry of the sites, modulo which angles are compared.
        crystal: (n,) sites that the offset and the concentration of the angles are taken from; None for all.

    Source: P. H. Schönemann, Psychometrika 31, 1 (1966).
    """
    used = np.ones(len(a), bool) if crystal is None else crystal
    apart = np.asarray(a.angle, float) - b.angle
    offset = circular_mean(apart[used], fold) if used.any() else 0.0
    difference = circular_difference(apart, offset, fold)
    x, y = (np.asarray(z, float) for z in (a.content, b.content))
    mx, my = x.mean(0), y.mean(0)
    u, _, vt = np.linalg.svd((y - my).T @ (x - mx))
    turned = (y - my) @ (u @ vt)
    slope = (turned * (x - mx)).sum(0) / np.maximum((turned**2).sum(0), 1e-300)
    moved = turned * slope + mx
    rest, total = ((x - moved) ** 2).sum(0), ((x - mx) ** 2).sum(0)
    r2 = 1 - rest / np.maximum(total, 1e-300)
    together = concentration(difference[used], fold) if used.any() else float("nan")
    return Alignment(offset, difference, together, moved, r2, content_agreement(x, y))


def share_of_each_frame(frame: Integer[np.ndarray, " n"], share: float, *, seed: int) -> Integer[np.ndarray, " m"]:
    """Row numbers of a random share of the rows of each frame, at least one, ascending."""
    rng, rows = np.random.default_rng(seed), []
    for t in np.unique(frame):
        here = np.flatnonzero(frame == t)
        rows.append(rng.choice(here, max(1, round(share * len(here))), replace=False))
    return np.sort(np.concatenate(rows)) if rows else np.zeros(0, int)
