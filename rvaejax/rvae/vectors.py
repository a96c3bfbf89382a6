"""Posteriors of shift and content: from the encoder's latent to the value, and what it costs against the prior.

All functions are for one example. Where the prior has no closed form of the divergence, it is

    KL(q || p) = KL(q || N(0, scale^2)) + E_q[log N(value; 0, scale^2) - log p(value)],

the mean taken over pairs of draws with opposite noise: no variance where p is that Gaussian, little where q is narrow.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from rvaejax.nets.encoders import Normal
from rvaejax.rvae.config import GaussianShift, RVAEConfig
from rvaejax.rvae.divergences import kl_normal
from rvaejax.rvae.latents import draw_normal
from rvaejax.rvae.priors.build import build_content, build_shift
from rvaejax.rvae.priors.functions import PriorFns
from rvaejax.rvae.priors.vector import gaussian, log_normal


class Divergence(NamedTuple):
    """A divergence [nat], and the variance of its estimate [nat^2]: 0 where it is a closed form."""

    kl: Float[Array, "..."]
    variance: Float[Array, "..."]


class VectorFamily(NamedTuple):
    """What the ELBO and the encoder's users need of a posterior of shift or content, and its prior.

    Attributes:
        value: `(latent, params=None) -> value`: the encoder's latent in the prior's unit.
        draw: `(posterior, params=None, *, key) -> value`, one reparametrised draw.
        kl: `(posterior, params=None, *, key) -> Divergence`; the key is for what has no closed form.
        log_prior: `(latent, params=None) -> log-density` of the prior, in the encoder's latent.
        sampled: whether the divergence is estimated from draws.
        scale: the prior's unit in that of the encoder's latent, where there is no transport.
        prior: the prior's functions.
    """

    value: Callable[..., Float[Array, " d"]]
    draw: Callable[..., Float[Array, " d"]]
    kl: Callable[..., Divergence]
    log_prior: Callable[..., Float[Array, ""]]
    sampled: bool
    scale: float
    prior: PriorFns


def _as_it_is(value: Float[Array, " d"]) -> Float[Array, " d"]:
    return value


def _family(
    prior: PriorFns, scale: float, draws: int, finish: Callable[..., Float[Array, "..."]] = _as_it_is
) -> VectorFamily:
    """`finish` turns the prior's value into what the decoder is given; it has no part in any density."""
    log_scale = math.log(scale)

    def value(latent: Float[Array, " d"], params: PyTree = None) -> Float[Array, "..."]:
        return finish(scale * latent if prior.transport is None else prior.transport(latent, params))

    def draw(q: Normal, params: PyTree = None, *, key: Key[Array, ""]) -> Float[Array, " d"]:
        return value(draw_normal(q, key=key), params)

    def kl(q: Normal, params: PyTree = None, *, key: Key[Array, ""]) -> Divergence:
        if prior.transport is not None:
            return Divergence(kl_normal(*q).sum(), jnp.zeros(()))
        if prior.kl is not None:
            return Divergence(prior.kl(Normal(scale * q.mean, q.log_sd + log_scale), params), jnp.zeros(()))
        noise = jax.random.normal(key, (draws // 2, *q.mean.shape))
        both = jnp.stack([noise, -noise])

        def excess(e):
            latent = q.mean + jnp.exp(q.log_sd) * e
            return log_normal(latent, jnp.zeros_like(latent), jnp.zeros_like(latent)) - log_prior(latent, params)

        pairs = jax.vmap(jax.vmap(excess))(both).mean(0)
        return Divergence(kl_normal(*q).sum() + pairs.mean(), pairs.var(ddof=1) / (draws // 2))

    def log_prior(latent: Float[Array, " d"], params: PyTree = None) -> Float[Array, ""]:
        if prior.transport is not None:
            return log_normal(latent, jnp.zeros_like(latent), jnp.zeros_like(latent))
        return prior.log_prob(scale * latent, params) + latent.shape[-1] * log_scale

    return VectorFamily(value, draw, kl, log_prior, prior.transport is None and prior.kl is None, scale, prior)


def build_shift_family(config: RVAEConfig) -> VectorFamily:
    """The functions of the shift; its values are (x, y) in half windows, 0 along axes on which nothing moves."""
    chosen = config.shift_prior if config.pose.shift else GaussianShift()
    prior = build_shift(chosen, config.shift_scale)
    return _family(prior, config.shift_scale, config.prior_draws, lambda v: jnp.pad(v, (0, 2 - len(v))))


def build_scale_family(config: RVAEConfig) -> VectorFamily | None:
    """The functions of the scale, whose logarithm is the latent; its values are factors. None where it is off."""
    sd = config.pose.scale_sd
    return _family(gaussian(sd), sd, config.prior_draws, lambda v: jnp.exp(v[0])) if config.pose.scale else None


def build_content_family(config: RVAEConfig, shape: tuple[int, int, int]) -> VectorFamily:
    """The functions of the content, for windows of `shape`."""
    return _family(build_content(config.content_prior, config.content_dim, shape), 1.0, config.prior_draws)
