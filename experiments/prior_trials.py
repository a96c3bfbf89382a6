"""What the experiments on priors share: patches of graphene with known angle and kind, and one small rVAE for all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Integer

import rvaejax as rx
from rvaejax.analysis.circular import circular_difference, circular_mean, concentration
from rvaejax.rvae.config import FourierDecoder, LearnedGaussian, PolarEncoder, RVAEConfig
from rvaejax.rvae.record import TrainedRVAE
from rvaejax.training.config import TrainingConfig
from rvaejax.types import Latents, SubImages

SIZE = 20  # px
BOND = 6.0  # px between neighbours
FOLD = 3  # a site's neighbours repeat after 120 degrees
KINDS = ("pristine", "vacancy", "silicon")
CONFIG = RVAEConfig(
    content_dim=2,
    encoder=PolarEncoder(orientations=48, hidden=32, harmonics=12),
    decoder=FourierDecoder(hidden=32, max_modes=10),
    likelihood=LearnedGaussian(),
    ascent=None,
    training=TrainingConfig(steps=1500, batch_size=64, learning_rate=3e-3, warmup=50, piece=50, evaluate_every=500),
)


def sites(angle: Float[np.ndarray, " n"], kind: Integer[np.ndarray, " n"], seed: int, noise: float = 0.1) -> SubImages:
    """Windows around a carbon site: a bond along `angle`, all atoms shaken by 0.25 px; see `KINDS`.

    A vacancy lacks the neighbour along `angle`; the centre of silicon is a wider, brighter atom.
    """
    rng, n = np.random.default_rng(seed), len(angle)
    positions = _lattice()
    neighbour = int(np.argmin(np.hypot(positions[:, 0] - BOND, positions[:, 1])))
    centre = int(np.argmin(np.hypot(*positions.T)))
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    shaken = positions[None] + 0.25 * rng.standard_normal((n, *positions.shape))
    x = shaken[..., 0] * cos - shaken[..., 1] * sin + 0.3 * rng.standard_normal((n, 1))
    y = -(shaken[..., 0] * sin + shaken[..., 1] * cos) + 0.3 * rng.standard_normal((n, 1))  # y points down
    height, width = np.full(x.shape, 0.7), np.full(x.shape, 1.4)
    height[kind == 1, neighbour] = 0.0
    height[kind == 2, centre], width[kind == 2, centre] = 1.0, 1.8
    line = np.arange(SIZE) - (SIZE - 1) / 2
    across = np.exp(-((line - x[..., None]) ** 2) / (2 * width[..., None] ** 2))
    down = np.exp(-((line - y[..., None]) ** 2) / (2 * width[..., None] ** 2))
    images = np.einsum("na,nay,nax->nyx", height, down, across) + noise * rng.standard_normal((n, SIZE, SIZE))
    zeros = np.zeros(n)
    return SubImages(
        images[..., None].astype(np.float32), zeros.astype(int), zeros, zeros, np.full(n, "C"), zeros.astype(int)
    )


def _lattice() -> Float[np.ndarray, "a 2"]:
    """Honeycomb sites around a carbon atom at the origin, one of whose bonds points to the right [px, y up]."""
    i, j = (v.ravel() for v in np.meshgrid(np.arange(-4, 5), np.arange(-4, 5)))
    cell = BOND * np.stack([1.5 * (i + j), np.sqrt(3) / 2 * (i - j)], axis=1)
    both = np.concatenate([cell, cell + [BOND, 0.0]])
    return both[np.hypot(*both.T) < SIZE]


def trial(
    subimages: SubImages, seed: int, steps: int | None, seeds: int = 1, **priors: object
) -> tuple[TrainedRVAE, Latents]:
    """The small rVAE with the given priors, trained (the best of several seeds), and its latents of the sub-images."""
    config = replace(CONFIG, **priors)  # type: ignore[arg-type]
    model = rx.train(subimages, config=config, seed=seed, seeds=seeds, steps=steps)
    return model, rx.encode(model, subimages)


def held_out(model: TrainedRVAE, name: str = "elbo") -> float:
    """A term of the ELBO on held-out sub-images after the last step [nat]."""
    return model.history[-1][f"holdout_{name}"]


def angle_error(found: Float[np.ndarray, " n"], true: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """Concentration of the angle's error modulo 120 degrees (1 is perfect), and its median after one offset [deg]."""
    delta = circular_difference(found.astype(float), true, FOLD)
    error = circular_difference(delta, circular_mean(delta, FOLD), FOLD)
    return concentration(delta, FOLD), float(np.degrees(np.median(np.abs(error))))
