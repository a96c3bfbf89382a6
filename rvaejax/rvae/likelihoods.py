"""Log-likelihoods of a pixel given what the decoder draws there."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from rvaejax.rvae.config import Likelihood, UnitGaussian
from rvaejax.rvae.priors import LOG_2PI


class LikelihoodFns(NamedTuple):
    """`init() -> params` and `log_prob(params, x, mean) -> log-likelihood of each pixel`."""

    init: Callable[[], PyTree]
    log_prob: Callable[..., Float[Array, "..."]]


def log_unit_gaussian(x: Float[Array, "..."], mean: Float[Array, "..."]) -> Float[Array, "..."]:
    """Minus half the squared error: the constant of the unit Gaussian is left out, as in the paper."""
    return -0.5 * (x - mean) ** 2


def log_gaussian(x: Float[Array, "..."], mean: Float[Array, "..."], log_sd: Float[Array, "..."]) -> Float[Array, "..."]:
    """Logarithm of the Gaussian density, with its constant."""
    return -0.5 * ((x - mean) * jnp.exp(-log_sd)) ** 2 - log_sd - 0.5 * LOG_2PI


def learned_log_sd(raw: Float[Array, ""], floor: float) -> Float[Array, ""]:
    """Logarithm of floor + softplus(raw)."""
    return jnp.log(floor + jax.nn.softplus(raw))


def build(config: Likelihood) -> LikelihoodFns:
    """The likelihood that `config` asks for."""
    if isinstance(config, UnitGaussian):
        return LikelihoodFns(dict, lambda params, x, mean: log_unit_gaussian(x, mean))
    raw = math.log(math.expm1(config.initial - config.floor))
    return LikelihoodFns(
        lambda: {"raw_sd": jnp.asarray(raw, jnp.float32)},
        lambda params, x, mean: log_gaussian(x, mean, learned_log_sd(params["raw_sd"], config.floor)),
    )
