"""What candidates of an rVAE are compared by: on sub-images that none was trained on."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer

from rvaejax.analysis import copies, leakage
from rvaejax.rvae.inference import decode, encode
from rvaejax.rvae.record import TrainedRVAE
from rvaejax.types import Latents, SubImages


class Measures(NamedTuple):
    """Of one candidate; NaN where there is nothing to measure.

    Attributes:
        elbo: held-out evidence lower bound [nat per image]; higher is better, but only windows of the same size and
            likelihoods of the same scale compare.
        elbo_per_pixel: the same over the number of pixels.
        elbo_spread: standard deviation of `elbo` between seeds [nat].
        reconstruction: root mean square of image minus reconstruction over the images' standard deviation.
        content_stability: share of the content's variance that seeds explain of each other; 1 is perfect.
        angle_stability: concentration of the difference of the seeds' angles; 1 is perfect.
        leakage: share (R^2) of a random turn's cosine and sine that the contents before and after tell; 0 is none.
        content_nats: divergence of all content latents together [nat]: what they carry.
        used: content latents that carry more than a tenth of a nat.
    """

    elbo: float
    elbo_per_pixel: float
    elbo_spread: float
    reconstruction: float
    content_stability: float
    angle_stability: float
    leakage: float
    content_nats: float
    used: int


def measures(model: TrainedRVAE, held_out: SubImages, *, seed: int) -> Measures:
    """The measures of a model, trained from one seed or from several, on held-out sub-images."""
    rows = [row for row in model.history if "holdout_elbo" in row]
    bounds = [score.holdout_elbo for score in model.seeds] or [row["holdout_elbo"] for row in rows[-1:]]
    best = max(bounds, default=float("nan"))
    others = [score for score in model.seeds if score.holdout_elbo < best]
    latents = encode(model, held_out)
    return Measures(
        elbo=best,
        elbo_per_pixel=best / _pixels(model),
        elbo_spread=float(np.std(bounds)) if len(bounds) > 1 else float("nan"),
        reconstruction=reconstruction(model, held_out, latents),
        content_stability=_mean([score.content_agreement for score in others]),
        angle_stability=_mean([score.angle_agreement for score in others] if model.config.pose.rotation else []),
        leakage=turn_leakage(model, held_out, latents, seed=seed),
        content_nats=float(sum(model.content_kl)),
        used=sum(nats > 0.1 for nats in model.content_kl),
    )


def reconstruction(model: TrainedRVAE, subimages: SubImages, latents: Latents) -> float:
    """Root mean square of the images (or spectra) minus what their latents draw, over their standard deviation."""
    drawn = decode(
        model,
        latents.angle,
        latents.shift,
        latents.content,
        scale=latents.scale,
        classes=latents.class_probability,
    )
    images = np.asarray(subimages.images, np.float64)
    if model.config.target is not None:
        images = np.asarray(subimages.spectra, np.float64)[:, None, :, None]
    return float(np.sqrt(((drawn - images) ** 2).mean()) / images.std())


def turn_leakage(model: TrainedRVAE, subimages: SubImages, latents: Latents, *, seed: int) -> float:
    """R^2 of a random turn from the contents before and after, best harmonic; NaN for signals and too few images.

    Each content is drawn from its posterior, so that differences below its standard deviation tell nothing.
    """
    n, rng = len(subimages), np.random.default_rng(seed)
    if subimages.images.shape[1] == 1 or n < leakage.FEWEST:
        return float("nan")
    turn = rng.uniform(0, 2 * np.pi, n)
    parts = (copies.without_corners(subimages.images), copies.turned(subimages.images, turn))
    contents = [_drawn(encode(model, replace(subimages, images=images)), rng) for images in parts]
    return leakage.probe(np.concatenate(contents, axis=1), turn, leakage.HARMONICS).r2


def rows_of(subimages: SubImages, rows: Integer[np.ndarray, " m"]) -> SubImages:
    """The sub-images in `rows`."""
    names = ("images", "frame", "x", "y", "species", "atom", "label", "spectra")
    columns = {name: getattr(subimages, name) for name in names}
    return replace(subimages, **{name: v[rows] for name, v in columns.items() if v is not None})  # type: ignore[arg-type]


def _drawn(latents: Latents, rng: np.random.Generator) -> Float[np.ndarray, "n d"]:
    return latents.content + latents.content_sd * rng.standard_normal(latents.content.shape)


def _pixels(model: TrainedRVAE) -> int:
    h, w, c = model.image_shape
    return h * w * c if model.config.target is None else int(model.config.target.length or 1)


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
