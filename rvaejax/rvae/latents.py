"""Posteriors of the angle: how each is sampled, what it costs against its prior, and how it is summed up.

All functions are for one example.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, Key

from rvaejax.nets.encoders import Circular, Normal
from rvaejax.rvae.config import AnglePrior, Encoder, PolarEncoder, UniformAngle
from rvaejax.rvae.priors import kl_categorical, kl_normal, kl_wrapped_to_uniform, log_normal_bins, log_uniform_bins


class AngleDraws(NamedTuple):
    """A few angles and the weights with which they stand for the posterior.

    The weighted sum of a function over the draws is an unbiased estimate of its expectation, and so is its gradient:
    the gradient of the weights carries that of the discrete choice.
    """

    angle: Float[Array, " m"]
    weight: Float[Array, " m"]


class AngleSummary(NamedTuple):
    """The reported angle [rad, in (-pi, pi]] and its standard deviation [rad]."""

    angle: Float[Array, ""]
    sd: Float[Array, ""]


class AngleFamily(NamedTuple):
    """What the ELBO and the encoder's users need of a posterior of the angle.

    Attributes:
        draw: `(posterior, *, key) -> AngleDraws`.
        kl: `(posterior) -> divergence to the prior [nat]`.
        summary: `(posterior) -> AngleSummary`.
    """

    draw: Callable[..., AngleDraws]
    kl: Callable[..., Float[Array, ""]]
    summary: Callable[..., AngleSummary]


def draw_normal(q: Normal, *, key: Key[Array, ""]) -> Float[Array, " d"]:
    """One reparametrised draw."""
    return q.mean + jnp.exp(q.log_sd) * jax.random.normal(key, q.mean.shape)


def wrap(angle: Float[Array, "..."]) -> Float[Array, "..."]:
    """The angle in (-pi, pi]."""
    return -((jnp.pi - angle) % (2 * jnp.pi) - jnp.pi)


def _gaussian_family(prior: AnglePrior) -> AngleFamily:
    def draw(q: Normal, *, key: Key[Array, ""]) -> AngleDraws:
        return AngleDraws(draw_normal(q, key=key), jnp.ones(1))

    def kl(q: Normal) -> Float[Array, ""]:
        if isinstance(prior, UniformAngle):
            return kl_wrapped_to_uniform(q.log_sd[0])
        return kl_normal(q.mean[0], q.log_sd[0], prior.sd, prior.mean_term)

    return AngleFamily(draw, kl, lambda q: AngleSummary(wrap(q.mean[0]), jnp.exp(q.log_sd[0])))


def _circular_family(prior: AnglePrior, k: int, draws: int) -> AngleFamily:
    half_bin = math.pi / k

    def draw(q: Circular, *, key: Key[Array, ""]) -> AngleDraws:
        for_rest, for_residual = jax.random.split(key)
        top, weight = _sum_and_sample(q.logits, draws, key=for_rest)
        residual = draw_normal(Normal(q.residual.mean[top], q.residual.log_sd[top]), key=for_residual)
        return AngleDraws(half_bin * (2 * top + residual), weight)

    def kl(q: Circular) -> Float[Array, ""]:
        bins = log_uniform_bins(k) if isinstance(prior, UniformAngle) else log_normal_bins(k, prior.sd)
        return kl_categorical(q.logits, bins) + (jnp.exp(q.logits) * kl_normal(*q.residual)).sum()

    return AngleFamily(draw, kl, lambda q: _main_mode(q, k))


def _sum_and_sample(
    logits: Float[Array, " k"], draws: int, *, key: Key[Array, ""]
) -> tuple[Integer[Array, " m"], Float[Array, " m"]]:
    """The likeliest bins and one draw from the rest, with weights (Liu et al. 2019, arXiv:1810.04777).

    The drawn bin stands for all the rest; its weight carries the score function's gradient, and because the weights
    add up to 1, the mean over the likeliest bins acts as the baseline.
    """
    top_logits, top = jax.lax.top_k(logits, draws - 1)
    in_top = jnp.zeros(logits.shape, bool).at[top].set(True)
    rest = jax.nn.log_softmax(jnp.where(in_top, -1e9, logits))
    drawn = jax.random.categorical(key, rest)
    rest_mass = 1 - jnp.exp(top_logits).sum()
    rest_weight = jnp.clip(rest_mass, 0.0, 1.0) * jnp.exp(rest[drawn] - jax.lax.stop_gradient(rest[drawn]))
    weight = jnp.concatenate([jax.nn.softmax(top_logits) * (1 - rest_weight), rest_weight[None]])
    return jnp.concatenate([top, drawn[None]]), weight


def _main_mode(q: Circular, k: int) -> AngleSummary:
    """Circular mean and standard deviation over the likeliest bin and the neighbours within 30 degrees of it."""
    best, reach = jnp.argmax(q.logits), max(1, k // 12)
    bins = (best + jnp.arange(-reach, reach + 1)) % k
    weight = jax.nn.softmax(q.logits[bins])
    half_bin = math.pi / k
    offset = half_bin * (2 * jnp.arange(-reach, reach + 1) + q.residual.mean[bins])
    spread = half_bin * jnp.exp(q.residual.log_sd[bins])
    mean = (weight * offset).sum()
    variance = (weight * ((offset - mean) ** 2 + spread**2)).sum()
    return AngleSummary(wrap(2 * half_bin * best + mean), jnp.sqrt(variance))


def build(encoder: Encoder, prior: AnglePrior, draws: int) -> AngleFamily:
    """The functions for the posterior that `encoder` gives, against `prior`."""
    if isinstance(encoder, PolarEncoder):
        return _circular_family(prior, encoder.orientations, draws)
    return _gaussian_family(prior)
