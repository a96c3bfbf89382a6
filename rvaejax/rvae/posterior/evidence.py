"""What each orientation of a sub-image weighs: the evidence within its basin, by importance sampling.

The proposal is Student's t with the mean and the covariance of the chain's own draws: its tails are heavier than the
posterior's, so that the weights are bounded in practice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, Bool, Float, Key

DOF = 6.0


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
    proposal = dist.MultivariateStudentT(DOF, jnp.zeros(len(scale)), jnp.linalg.cholesky(covariance))
    y = proposal.sample(key, (count,))
    points = mean[None] + scale[None] * y
    log_w = jax.vmap(log_density)(points) - proposal.log_prob(y) + jnp.log(scale).sum()
    log_w = jnp.where(jax.vmap(inside)(points), log_w, -jnp.inf)
    total = jax.nn.logsumexp(log_w)
    usable = (weights.sum() > 0) & jnp.isfinite(total)
    effective = jnp.exp(2 * total - jax.nn.logsumexp(2 * log_w))
    return Evidence(jnp.where(usable, total - jnp.log(count), -jnp.inf), jnp.where(usable, effective, 0.0))
