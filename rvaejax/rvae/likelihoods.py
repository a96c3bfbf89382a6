"""Log-likelihoods of a pixel given what the decoder draws there."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from rvaejax.rvae.config import Bernoulli, ContinuousBernoulli, FixedGaussian, Likelihood, UnitGaussian
from rvaejax.rvae.divergences import LOG_2PI
from rvaejax.rvae.lighting import Matched, matched


class LikelihoodFns(NamedTuple):
    """What the ELBO and the decoder's users need of a likelihood.

    Attributes:
        init: `() -> params`.
        log_prob: `(params, x, drawn) -> log-likelihood of each pixel`, given what the decoder draws: the mean of a
            Gaussian, the log-odds of a Bernoulli.
        mean: `drawn -> expected intensity`.
        natural: `(params, drawn) -> natural parameter`: all that the log-likelihood has of the pixel's value x is x
            times it.
        match: `(params, x (p, c), drawn (p, c), points (p, 2), scale) -> Matched`: what is drawn in the light in which
            the image was taken; `scale` is how many pixels of the window each of the p stands for.
        linear: what is drawn is the mean, and the natural parameter a multiple of it.
    """

    init: Callable[[], PyTree]
    log_prob: Callable[..., Float[Array, "..."]]
    mean: Callable[[Float[Array, "..."]], Float[Array, "..."]]
    natural: Callable[..., Float[Array, "..."]]
    match: Callable[..., Matched] = lambda params, x, drawn, points, scale: Matched(drawn, jnp.zeros(()))
    linear: bool = True


def log_unit_gaussian(x: Float[Array, "..."], mean: Float[Array, "..."]) -> Float[Array, "..."]:
    """Minus half the squared error: the constant of the unit Gaussian is left out, as in the paper."""
    return -0.5 * (x - mean) ** 2


def log_gaussian(x: Float[Array, "..."], mean: Float[Array, "..."], log_sd: Float[Array, "..."]) -> Float[Array, "..."]:
    """Logarithm of the Gaussian density, with its constant."""
    return -0.5 * ((x - mean) * jnp.exp(-log_sd)) ** 2 - log_sd - 0.5 * LOG_2PI


def learned_log_sd(raw: Float[Array, ""], floor: float) -> Float[Array, ""]:
    """Logarithm of floor + softplus(raw)."""
    return jnp.log(floor + jax.nn.softplus(raw))


def log_bernoulli(x: Float[Array, "..."], log_odds: Float[Array, "..."]) -> Float[Array, "..."]:
    """Logarithm of p^x (1 - p)^(1 - x), with x first clipped to 0..1."""
    return jnp.clip(x, 0.0, 1.0) * log_odds - jax.nn.softplus(log_odds)


def log_continuous_bernoulli(x: Float[Array, "..."], log_odds: Float[Array, "..."]) -> Float[Array, "..."]:
    """Logarithm of the continuous Bernoulli's density at x, first clipped to 0..1.

    In the log-odds e of its parameter the density is exp(e x) over its integral from 0 to 1, (exp(e) - 1) / e, and
    lambda = 1/2, where the published form divides zero by zero, is e = 0. The integral is exp(e / 2) sinh(u) / u with
    u = e / 2.
    """
    return (jnp.clip(x, 0.0, 1.0) - 0.5) * log_odds - _log_sinhc(0.5 * log_odds)


def mean_continuous_bernoulli(log_odds: Float[Array, "..."]) -> Float[Array, "..."]:
    """Mean of the continuous Bernoulli: 1/2 + (coth u - 1/u) / 2, u half the log-odds."""
    u = 0.5 * log_odds
    small = jnp.abs(u) < _SERIES_BELOW
    far = jnp.where(small, 1.0, u)
    near = jnp.where(small, u, 0.0)
    v = near * near
    series = near * (1 / 3 - v * (1 / 45 - v * (2 / 945 - v * (1 / 4725 - v * (2 / 93555)))))
    return 0.5 + 0.5 * jnp.where(small, series, 1 / jnp.tanh(far) - 1 / far)


_SERIES_BELOW = 0.7  # where the series' next term is below float32's precision


def _log_sinhc(u: Float[Array, "..."]) -> Float[Array, "..."]:
    """log(sinh(u) / u), by its series near 0; no branch sees arguments at which it or its gradient is not finite."""
    small = jnp.abs(u) < _SERIES_BELOW
    near = jnp.where(small, u, 0.0) ** 2
    series = near * (1 / 6 - near * (1 / 180 - near * (1 / 2835 - near * (1 / 37800 - near / 467775))))
    far = jnp.where(small, 1.0, jnp.abs(u))
    return jnp.where(small, series, far - jnp.log(2 * far) + jnp.log1p(-jnp.exp(-2 * far)))


def _same(mean: Float[Array, "..."]) -> Float[Array, "..."]:
    return mean


def _as_drawn(params: PyTree, drawn: Float[Array, "..."]) -> Float[Array, "..."]:
    return drawn


def build(config: Likelihood) -> LikelihoodFns:
    """The likelihood that `config` asks for."""
    if isinstance(config, UnitGaussian):
        return LikelihoodFns(dict, lambda params, x, mean: log_unit_gaussian(x, mean), _same, _as_drawn)
    if isinstance(config, FixedGaussian):
        log_sd = jnp.asarray(math.log(config.sd), jnp.float32)
        natural = lambda params, mean: config.sd**-2 * mean  # noqa: E731
        return LikelihoodFns(dict, lambda params, x, mean: log_gaussian(x, mean, log_sd), _same, natural)
    if isinstance(config, Bernoulli):
        return LikelihoodFns(
            dict, lambda params, x, drawn: log_bernoulli(x, drawn), jax.nn.sigmoid, _as_drawn, linear=False
        )
    if isinstance(config, ContinuousBernoulli):
        log_prob, mean = log_continuous_bernoulli, mean_continuous_bernoulli
        return LikelihoodFns(dict, lambda params, x, drawn: log_prob(x, drawn), mean, _as_drawn, linear=False)
    raw, lighting = math.log(math.expm1(config.initial - config.floor)), config.lighting
    learned = LikelihoodFns(
        lambda: {"raw_sd": jnp.asarray(raw, jnp.float32)},
        lambda params, x, mean: log_gaussian(x, mean, learned_log_sd(params["raw_sd"], config.floor)),
        _same,
        lambda params, mean: mean * jnp.exp(-2 * learned_log_sd(params["raw_sd"], config.floor)),
    )
    if lighting is None:
        return learned

    def match(params, x, drawn, points, scale):
        variance = jnp.exp(2 * learned_log_sd(params["raw_sd"], config.floor))
        return matched(lighting, x, drawn, points, variance / scale)

    return learned._replace(match=match)
