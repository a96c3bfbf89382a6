"""Posteriors of the angle: how each is sampled, what it costs against its prior, and how it is summed up.

All functions are for one example. A circular posterior is one of orientation k and residual r together; its prior is
that of the angle, p(angle), with the orientation told by the angle as by Gaussians of half a bin around each: uniform
over k and standard normal in r where p is uniform. Its divergence is therefore that to the uniform density less the
mean of log p + log 2 pi. It is never below the divergence of the angle alone, and equal to it where the posterior's
bins share the angles in the same way; an angle that one bin has to itself costs up to 0.24 nat more at its centre.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, Key, PyTree

from rvaejax.nets.encoders import Circular, Normal
from rvaejax.rvae.config import AnglePrior, Encoder, GaussianAngle, PolarEncoder, UniformAngle
from rvaejax.rvae.divergences import LOG_2PI, kl_categorical, kl_normal, kl_wrapped_to_uniform, log_uniform_bins
from rvaejax.rvae.priors import circle
from rvaejax.rvae.priors.build import build_angle
from rvaejax.rvae.priors.circle import wrap
from rvaejax.rvae.priors.functions import PriorFns


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
    """What the ELBO and the encoder's users need of a posterior of the angle, and its prior.

    Attributes:
        draw: `(posterior, *, key) -> AngleDraws`.
        kl: `(posterior, params=None) -> divergence to the prior [nat]`, with the prior's parameters, if it has any.
        summary: `(posterior) -> AngleSummary`.
        sample: `(posterior, *, key) -> angle` [rad], one plain draw.
        log_prob: `(posterior, angle) -> log-density` of an angle on the circle.
        prior: the prior's functions.
    """

    draw: Callable[..., AngleDraws]
    kl: Callable[..., Float[Array, ""]]
    summary: Callable[..., AngleSummary]
    sample: Callable[..., Float[Array, ""]]
    log_prob: Callable[..., Float[Array, ""]]
    prior: PriorFns


def draw_normal(q: Normal, *, key: Key[Array, ""]) -> Float[Array, " d"]:
    """One reparametrised draw."""
    return q.mean + jnp.exp(q.log_sd) * jax.random.normal(key, q.mean.shape)


def _gaussian_family(config: AnglePrior, prior: PriorFns) -> AngleFamily:
    def draw(q: Normal, *, key: Key[Array, ""]) -> AngleDraws:
        return AngleDraws(draw_normal(q, key=key), jnp.ones(1))

    def kl(q: Normal, params: PyTree = None) -> Float[Array, ""]:
        mean, log_sd = q.mean[0], q.log_sd[0]
        if isinstance(config, GaussianAngle):
            return kl_normal(mean, log_sd, config.sd, config.mean_term)
        if prior.kl is not None:
            return prior.kl(q, params)
        return kl_wrapped_to_uniform(log_sd) - _mean_log_prob(mean, log_sd, params) - LOG_2PI

    def _mean_log_prob(mean, log_sd, params):
        if prior.mean_log_prob is not None:
            return prior.mean_log_prob(mean, jnp.exp(log_sd), params)
        return circle.mean_by_series(lambda a: prior.log_prob(a, params), mean, log_sd)

    def sample(q: Normal, *, key: Key[Array, ""]) -> Float[Array, ""]:
        return draw_normal(q, key=key)[0]

    def log_prob(q: Normal, angle: Float[Array, ""]) -> Float[Array, ""]:
        return circle.log_wrapped_normal(angle, q.mean[0], q.log_sd[0])

    summary = _summed_up_on_the_line
    return AngleFamily(draw, kl, summary, sample, log_prob, prior)


def _summed_up_on_the_line(q: Normal) -> AngleSummary:
    return AngleSummary(wrap(q.mean[0]), jnp.exp(q.log_sd[0]))


def centres(q: Circular) -> Normal:
    """Mean and logarithm of the standard deviation of the angle in each bin [rad]."""
    k = q.logits.shape[-1]
    half_bin = math.pi / k
    return Normal(half_bin * (2 * jnp.arange(k) + q.residual.mean), q.residual.log_sd + math.log(half_bin))


def _circular_family(config: AnglePrior, prior: PriorFns, k: int, draws: int) -> AngleFamily:
    half_bin = math.pi / k

    def draw(q: Circular, *, key: Key[Array, ""]) -> AngleDraws:
        for_rest, for_residual = jax.random.split(key)
        top, weight = _sum_and_sample(q.logits, draws, key=for_rest)
        residual = draw_normal(Normal(q.residual.mean[top], q.residual.log_sd[top]), key=for_residual)
        return AngleDraws(half_bin * (2 * top + residual), weight)

    def kl(q: Circular, params: PyTree = None) -> Float[Array, ""]:
        if prior.kl is not None:
            return prior.kl(q, params)
        to_uniform = kl_categorical(q.logits, log_uniform_bins(k)) + (jnp.exp(q.logits) * kl_normal(*q.residual)).sum()
        if isinstance(config, UniformAngle):
            return to_uniform
        mean, log_sd = centres(q)
        if prior.mean_log_prob is not None:
            each = prior.mean_log_prob(mean, jnp.exp(log_sd), params)
        else:
            each = circle.means_by_quadrature(lambda a: prior.log_prob(a, params), mean, jnp.exp(log_sd))
        return to_uniform - (jnp.exp(q.logits) * (each + LOG_2PI)).sum()

    def sample(q: Circular, *, key: Key[Array, ""]) -> Float[Array, ""]:
        for_bin, for_residual = jax.random.split(key)
        chosen, (mean, log_sd) = jax.random.categorical(for_bin, q.logits), centres(q)
        return mean[chosen] + jnp.exp(log_sd[chosen]) * jax.random.normal(for_residual)

    def log_prob(q: Circular, angle: Float[Array, ""]) -> Float[Array, ""]:
        return jax.nn.logsumexp(q.logits + circle.log_wrapped_normal(angle, *centres(q)))

    return AngleFamily(draw, kl, lambda q: _main_mode(q, k), sample, log_prob, prior)


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


def _never_turned(prior: PriorFns) -> AngleFamily:
    """The angle is 0, whatever the posterior, and costs nothing."""
    zero, none = jnp.zeros(()), AngleSummary(jnp.zeros(()), jnp.zeros(()))
    return AngleFamily(
        draw=lambda q, *, key: AngleDraws(jnp.zeros(1), jnp.ones(1)),
        kl=lambda q, params=None: zero,
        summary=lambda q: none,
        sample=lambda q, *, key: zero,
        log_prob=lambda q, angle: zero,
        prior=prior,
    )


def build(encoder: Encoder, prior: AnglePrior, draws: int, rotation: bool = True) -> AngleFamily:
    """The functions for the posterior that `encoder` gives, against `prior`; without `rotation` the angle is 0."""
    if not rotation:
        return _never_turned(build_angle(UniformAngle()))
    functions = build_angle(prior)
    if isinstance(encoder, PolarEncoder):
        return _circular_family(prior, functions, encoder.orientations, draws)
    return _gaussian_family(prior, functions)
