"""The latent manifold: what the decoder draws on a grid of content latents."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from rvaejax.rvae.inference import decode
from rvaejax.rvae.record import TrainedRVAE
from rvaejax.types import Latents

TAIL = 2.0  # per cent of the sub-images left outside the grid at either end


class Manifold(NamedTuple):
    """Images decoded on a grid of the first two content latents, at angle 0 and no shift.

    Attributes:
        images: (ky, kx, h, w, c); the first axis is the second content latent.
        extent: latents of the outermost images (x first, x last, y first, y last).
    """

    images: Float[np.ndarray, "ky kx h w c"]
    extent: tuple[float, float, float, float]


def latent_manifold(model: TrainedRVAE, latents: Latents, *, points: int = 9) -> Manifold:
    """The manifold over the range that the data covers; further content latents stay at their median."""
    d = latents.content.shape[1]
    low, high = np.percentile(latents.content, [TAIL, 100 - TAIL], axis=0)
    x = np.linspace(low[0], high[0], points)
    y = np.linspace(low[1], high[1], points) if d > 1 else np.zeros(1)
    grid = np.broadcast_to(np.median(latents.content, axis=0), (len(y), points, d)).copy()
    grid[..., 0] = x[None, :]
    if d > 1:
        grid[..., 1] = y[:, None]
    flat = grid.reshape(-1, d).astype(np.float32)
    zero = np.zeros(len(flat), np.float32)
    images = decode(model, zero, np.zeros((len(flat), 2), np.float32), flat)
    return Manifold(
        images.reshape(len(y), points, *images.shape[1:]), (float(x[0]), float(x[-1]), float(y[0]), float(y[-1]))
    )
