"""Kullback-Leibler divergences from posteriors to priors, in closed form, one latent at a time."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

LOG_2PI = math.log(2 * math.pi)


def kl_normal(
    mean: Float[Array, "..."], log_sd: Float[Array, "..."], sd: float = 1.0, mean_term: bool = True
) -> Float[Array, "..."]:
    """KL(N(mean, e^log_sd) || N(0, sd)); without the mean term, as some public codes have it, mean is left out."""
    square = jnp.exp(2 * log_sd) + (mean**2 if mean_term else 0.0)
    return 0.5 * square / sd**2 - 0.5 - log_sd + math.log(sd)


def kl_wrapped_to_uniform(log_sd: Float[Array, "..."]) -> Float[Array, "..."]:
    """KL of a normal wrapped onto the circle to the uniform density.

    log 2 pi minus the normal's entropy where it is narrow; the wrapped normal's entropy series (Mardia and Jupp,
    Directional Statistics, 2000) where it is wide. The two agree to 3e-4 nat where they meet, at 1 rad.
    """
    narrow = LOG_2PI - 0.5 * (1 + LOG_2PI) - log_sd
    q = jnp.exp(-jnp.exp(2 * jnp.maximum(log_sd, 0.0)))
    n = jnp.arange(1, 9, dtype=q.dtype)
    powers = q[..., None] ** _rows(n, q)
    series = _rows((-1) ** n / n, q) * q[..., None] ** _rows((n**2 + n) / 2, q) / (1 - powers)
    wide = jnp.log1p(-powers).sum(-1) - 2 * series.sum(-1)
    return jnp.where(log_sd < 0, narrow, wide)


def kl_categorical(logits: Float[Array, "... k"], log_prior: Float[Array, " k"]) -> Float[Array, "..."]:
    """KL between two categoricals given by normalised logarithms."""
    return (jnp.exp(logits) * (logits - log_prior)).sum(-1)


def log_uniform_bins(k: int) -> Float[Array, " k"]:
    """Log-probabilities of k bins of the circle under the uniform density."""
    return jnp.full(k, -math.log(k))


def log_normal_bins(k: int, sd: float) -> Float[Array, " k"]:
    """Log-probabilities of k bins of the circle under a normal around 0, wrapped and taken at the bins' centres."""
    theta = 2 * jnp.pi * jnp.arange(k) / k
    turns = 2 * jnp.pi * jnp.arange(-2, 3)
    log_p = -0.5 * ((theta[:, None] + turns[None]) / sd) ** 2
    log_p = log_p.max(1) + jnp.log(jnp.exp(log_p - log_p.max(1, keepdims=True)).sum(1))
    return log_p - (log_p.max() + jnp.log(jnp.exp(log_p - log_p.max()).sum()))


def _rows(values: Float[Array, " n"], like: Float[Array, "..."]) -> Float[Array, "... n"]:
    return values.reshape((1,) * like.ndim + values.shape)
