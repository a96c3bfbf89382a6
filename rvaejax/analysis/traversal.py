"""Latent traversals through time: what the decoder draws of the typical site of each frame."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer

from rvaejax.rvae.record import TrainedRVAE
from rvaejax.types import Latents

QUANTILES = (0.1, 0.5, 0.9)


class Traversal(NamedTuple):
    """Images along one content latent (rows) and through time (columns), at angle 0 and without shift.

    Attributes:
        images: (rows, columns, h, w, c).
        content: (rows, columns, d) that they were drawn from.
        frames: (columns,) middle frame of each column.
        quantiles: (rows,) of the latent's distribution in those frames.
    """

    images: Float[np.ndarray, "rows columns h w c"]
    content: Float[np.ndarray, "rows columns d"]
    frames: Integer[np.ndarray, " columns"]
    quantiles: tuple[float, ...]


def traversal_through_time(
    model: TrainedRVAE,
    latents: Latents,
    frame: Integer[np.ndarray, " n"],
    *,
    latent: int = 0,
    columns: int = 8,
    quantiles: tuple[float, ...] = QUANTILES,
) -> Traversal:
    """What low, typical and high values of a content latent look like in the course of the movie.

    The frames are divided into `columns` spans of equal numbers of frames. In each, the sites nearest to the quantile
    give the other content latents their medians, so that what is drawn is a site that there is.

    Args:
        model: a trained rVAE.
        latents: of n sites.
        frame: of each.
        latent: number of the content latent that the rows follow.
        columns: spans of time; fewer where there are fewer frames.
        quantiles: of that latent in each span.
    """
    content = np.asarray(latents.content, np.float32)
    spans = [s for s in np.array_split(np.unique(frame), columns) if len(s)]
    drawn = np.zeros((len(quantiles), len(spans), content.shape[1]), np.float32)
    for j, span in enumerate(spans):
        here = content[np.isin(frame, span)]
        for i, level in enumerate(np.quantile(here[:, latent], quantiles)):
            nearest = np.argsort(np.abs(here[:, latent] - level), kind="stable")[: max(1, len(here) // 20)]
            drawn[i, j] = np.median(here[nearest], axis=0)
            drawn[i, j, latent] = level
    flat = drawn.reshape(-1, content.shape[1])
    zero = np.zeros(len(flat), np.float32)
    from rvaejax.rvae.inference import decode  # JAX: not where a traversal is only drawn

    images = decode(model, zero, np.zeros((len(flat), 2), np.float32), flat)
    middle = np.array([span[len(span) // 2] for span in spans])
    return Traversal(images.reshape(*drawn.shape[:2], *images.shape[1:]), drawn, middle, tuple(quantiles))
