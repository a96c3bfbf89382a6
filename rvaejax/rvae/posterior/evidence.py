"""What each orientation of a sub-image weighs: the evidence within its basin, by importance sampling.

The proposal is Student's t with the mean and the covariance of the chain's own draws: its tails are heavier than the
posterior's, so that the weights are bounded in practice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Bool, Float, Key

from rvaejax.rvae.posterior.spread import each

DOF = 6


class Evidence(NamedTuple):
    """Logarithm of an integral [nat], and the effective number of the draws that it is estimated from."""

    log_value: Float[Array, ""]
    effective: Float[Array, ""]


def log_evidence(
    log_density: Callable[[Float[Array, " n"]], Float[Array, ""]],
    inside: Callable[[Float[Array, " n"]], Bool[Array, ""]],
    draws: Float[Array, "s n"],
    weights: Float[Array, " s"],
    scale: Float[Array, " n"],
    count: int,
    *,
    key: Key[Array, ""],
) -> Evidence:
    """The integral of a density over the points that are `inside`.

    Args:
        log_density: of a point.
        inside: which points count.
        draws: of the chain.
        weights: 1 for draws that are inside, else 0.
        scale: unit of each coordinate.
        count: draws of the proposal.
        key: source of randomness.
    """
    share = weights / jnp.maximum(weights.sum(), 1.0)
    mean = share @ draws
    off = (draws - mean[None]) / scale[None]
    covariance = (share[:, None] * off).T @ off + 1e-6 * jnp.eye(len(scale))
    root = jnp.linalg.cholesky(covariance)
    white, log_white = _draw_t(count, len(scale), key=key)
    points = mean[None] + scale[None] * (white @ root.T)
    log_proposal = log_white - jnp.log(jnp.diagonal(root) * scale).sum()
    log_w = each(log_density, points) - log_proposal
    log_w = jnp.where(jax.vmap(inside)(points), log_w, -jnp.inf)
    total = jax.nn.logsumexp(log_w)
    usable = (weights.sum() > 0) & jnp.isfinite(total)
    effective = jnp.exp(2 * total - jax.nn.logsumexp(2 * log_w))
    return Evidence(jnp.where(usable, total - jnp.log(count), -jnp.inf), jnp.where(usable, effective, 0.0))


def _draw_t(count: int, dim: int, *, key: Key[Array, ""]) -> tuple[Float[Array, "s n"], Float[Array, " s"]]:
    """Draws of the standard multivariate t, and their log-densities."""
    for_normal, for_length = jax.random.split(key)
    # chi-square over its degrees of freedom; by the gamma distribution's sampler it takes seconds to compile
    length = (jax.random.normal(for_length, (count, DOF)) ** 2).mean(1)
    y = jax.random.normal(for_normal, (count, dim)) / jnp.sqrt(length)[:, None]
    constant = gammaln((DOF + dim) / 2) - gammaln(DOF / 2) - 0.5 * dim * math.log(DOF * math.pi)
    return y, constant - 0.5 * (DOF + dim) * jnp.log1p((y**2).sum(1) / DOF)
