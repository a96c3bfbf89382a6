"""Simulation-based calibration (Talts et al. 2018, arXiv:1804.06788) of the posteriors of a trained rVAE.

Latents drawn from the priors are drawn as images, with the likelihood's noise, and inferred. Among L draws of a right
posterior the true value has every rank from 0 to L equally often.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, Key
from scipy.stats import chisquare

from rvaejax.errors import ConfigError
from rvaejax.rvae import elbo
from rvaejax.rvae.config import FixedGaussian, LearnedGaussian, UnitGaussian
from rvaejax.rvae.coordinates import grid, rotate
from rvaejax.rvae.likelihoods import learned_log_sd
from rvaejax.rvae.posterior.config import NutsConfig
from rvaejax.rvae.posterior.sampling import sample_images
from rvaejax.rvae.record import TrainedRVAE

BINS = 10


class Ranks(NamedTuple):
    """Ranks of the true values among draws, by the name of what is ranked.

    Attributes:
        sampled: of the sampled posterior.
        encoder: of the encoder's.
        draws: L of the first and of the second.
    """

    sampled: dict[str, Integer[np.ndarray, " n"]]
    encoder: dict[str, Integer[np.ndarray, " n"]]
    draws: tuple[int, int]


def simulate(
    model: TrainedRVAE, count: int, *, key: Key[Array, ""]
) -> tuple[Float[Array, "n p"], Float[Array, "n h w c"]]:
    """Points (angle, shift in the encoder's unit, content) from the priors, and scaled images of them with noise.

    Raises:
        ConfigError: the likelihood is not Gaussian, or fits a light to each image.
    """
    rvae = elbo.build(model.config, model.image_shape)
    prior, families = rvae.prior_params(model.params), rvae.families
    size, channels, d = model.image_shape[0], model.image_shape[2], model.config.content_dim
    a, b, c, for_noise = jax.random.split(key, 4)
    angle = families.angle.prior.sample(prior["angle"], (count,), key=a)  # type: ignore[misc]
    if families.shift.prior.transport is not None:
        shift = jax.random.normal(b, (count, 2))
    else:
        shift = families.shift.prior.sample(prior["shift"], (count, 2), key=b) / families.shift.scale  # type: ignore[misc]
    content = families.content.prior.sample(prior["content"], (count, d), key=c)  # type: ignore[misc]

    def draw(angle, shift, content):
        value = families.shift.value(shift, prior["shift"])
        return rvae.decode(model.params, grid(size), angle, value, content).reshape(size, size, channels)

    images = jax.jit(jax.vmap(draw))(angle, shift, content)
    noise = _noise_sd(model) * jax.random.normal(for_noise, images.shape)
    return jnp.concatenate([angle[:, None], shift, content], axis=1), images + noise


def _noise_sd(model: TrainedRVAE) -> float:
    likelihood = model.config.likelihood
    if getattr(likelihood, "lighting", None) is not None:
        raise ConfigError("likelihood with lighting: each image's light is fitted, not drawn; calibrate without (null)")
    if isinstance(likelihood, LearnedGaussian):
        return float(jnp.exp(learned_log_sd(model.params["likelihood"]["raw_sd"], likelihood.floor)))
    if isinstance(likelihood, FixedGaussian):
        return likelihood.sd
    if isinstance(likelihood, UnitGaussian):
        return 1.0
    raise ConfigError(f"likelihood={type(likelihood).__name__}: images are simulated with Gaussian noise only")


def quarter_turned(
    points: Float[Array, "n p"], images: Float[Array, "n h w c"], turns: int
) -> tuple[Float[Array, "n p"], Float[Array, "n h w c"]]:
    """Points and their images turned counter-clockwise by so many right angles, which the pixels allow exactly."""
    angle = jnp.asarray(turns * jnp.pi / 2, points.dtype)
    turned = jnp.concatenate([points[:, :1] + angle, rotate(points[:, 1:3], angle), points[:, 3:]], axis=1)
    return turned, jnp.rot90(images, turns, axes=(1, 2))


def calibration_ranks(
    model: TrainedRVAE, count: int, nuts: NutsConfig, *, fold: int = 1, turns: int = 0, seed: int = 0
) -> Ranks:
    """Ranks of the true angle (raw, and modulo 2 pi / fold), shift and content of `count` simulated sub-images.

    Args:
        model: a trained rVAE.
        count: of sub-images.
        nuts: the chains.
        fold: symmetry of the angle.
        turns: right angles by which the sub-images are turned after they were simulated. Where the priors of angle and
            shift have no direction, the posterior turns with them: ranks of x that are odd by chance go over to y, and
            such as come from the method stay.
        seed: of what is simulated and of the chains.
    """
    for_truth, for_chains = jax.random.split(jax.random.key(seed))
    truth, images = quarter_turned(*simulate(model, count, key=for_truth), turns)
    keys = jax.random.split(for_chains, count)
    found = sample_images(model, np.asarray(images), nuts, "calibrating", keys=keys)
    points = np.asarray(truth)
    by_sampler, by_encoder = (_ranks(points, np.asarray(v), fold) for v in (found.points, found.bounds.draws))
    return Ranks(by_sampler, by_encoder, (nuts.kept, nuts.particles))


def _ranks(truth: Float[np.ndarray, "n p"], draws: Float[np.ndarray, "n l p"], fold: int) -> dict[str, np.ndarray]:
    def rank(true: Float[np.ndarray, " n"], drawn: Float[np.ndarray, "n l"]) -> np.ndarray:
        return (drawn < true[:, None]).sum(1)

    angle, period = (truth[:, 0], draws[..., 0]), 2 * np.pi / fold
    out = {"angle": rank(*(np.mod(v, 2 * np.pi) for v in angle))}
    if fold > 1:
        out[f"angle modulo {360 / fold:g} deg"] = rank(*(np.mod(v, period) for v in angle))
    names = ("shift x", "shift y", *(f"content {i + 1}" for i in range(truth.shape[1] - 3)))
    return out | {name: rank(truth[:, i], draws[..., i]) for i, name in enumerate(names, start=1)}


def uniformity(ranks: Integer[np.ndarray, " n"], draws: int) -> float:
    """P-value of the chi-square test that ranks from 0 to `draws` are equally frequent, in ten bins."""
    edges = np.linspace(0, draws + 1, BINS + 1)
    values = np.histogram(np.arange(draws + 1), edges)[0] / (draws + 1)
    return float(chisquare(np.histogram(ranks, edges)[0], values * len(ranks)).pvalue)
