"""Bounds of a sub-image's log-evidence from the encoder's posterior alone (Burda et al. 2016, arXiv:1509.00519).

With w = p(image, point) / q(point) over K draws of the encoder: the mean of log w is the ELBO, log of the mean of w is
the importance-weighted bound, and it rises to the log-evidence with K: what lies between is the encoder's gap.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from rvaejax.rvae.posterior.spread import each
from rvaejax.rvae.posterior.target import Target


class Bounds(NamedTuple):
    """Bounds of the log-evidence [nat], and the draws that they are from.

    Attributes:
        elbo: the evidence lower bound.
        weighted: the importance-weighted bound.
        effective: effective number of the draws.
        draws: (k, n) points of the encoder's posterior.
    """

    elbo: Float[Array, ""]
    weighted: Float[Array, ""]
    effective: Float[Array, ""]
    draws: Float[Array, "k n"]


def encoder_bounds(target: Target, count: int, *, key: Key[Array, ""]) -> Bounds:
    """The bounds from `count` draws."""
    draws = jax.vmap(lambda k: target.draw(key=k))(jax.random.split(key, count))
    log_w = each(target.log_joint, draws) - jax.vmap(target.log_encoder)(draws)
    total = jax.nn.logsumexp(log_w)
    effective = jnp.exp(2 * total - jax.nn.logsumexp(2 * log_w))
    return Bounds(log_w.mean(), total - jnp.log(count), effective, draws)
