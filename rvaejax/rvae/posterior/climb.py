"""From a point to the maximum of a density near it, and the width of the density there.

Newton's method with the curvature's absolute values, so that a saddle is left uphill (Dauphin et al. 2014,
arXiv:1406.2572), damped as by Levenberg and Marquardt: a step that does not rise is not taken, and the
next is shorter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

STEPS = 20
_FLATTEST = 0.1  # least curvature [nat per squared unit]: no coordinate's prior is wider than some three units
_DAMPING = (1e-6, 1e6)


class Peak(NamedTuple):
    """A maximum, and the Gaussian that has its curvature (Laplace).

    Attributes:
        point: (n,) where it is.
        root: (n, n) of the Gaussian's covariance, root root^T.
        log_mass: logarithm of the integral of the density if it were that Gaussian [nat].
    """

    point: Float[Array, " n"]
    root: Float[Array, "n n"]
    log_mass: Float[Array, ""]


def climb(
    log_density: Callable[[Float[Array, " n"]], Float[Array, ""]], start: Float[Array, " n"], steps: int = STEPS
) -> Peak:
    """The maximum that is reached from `start` in so many steps, taken or not."""

    def curvature(point: Float[Array, " n"]) -> tuple[Float[Array, " n"], Float[Array, "n n"]]:
        value, vectors = jnp.linalg.eigh(jax.hessian(log_density)(point))
        return jnp.maximum(jnp.abs(value), _FLATTEST), vectors

    def body(state, _):
        point, value, damping = state
        bent, vectors = curvature(point)
        slope = vectors.T @ jax.grad(log_density)(point)
        tried = point + vectors @ (slope / (bent * (1 + damping)))
        found = log_density(tried)
        better = found > value
        damping = jnp.clip(jnp.where(better, 0.2 * damping, 5 * damping), *_DAMPING)
        return (jnp.where(better, tried, point), jnp.where(better, found, value), damping), None

    first = (start, log_density(start), jnp.asarray(0.1, start.dtype))
    (point, value, _), _ = jax.lax.scan(body, first, None, length=steps)
    bent, vectors = curvature(point)
    log_volume = 0.5 * (len(start) * jnp.log(2 * jnp.pi) - jnp.log(bent).sum())
    return Peak(point, vectors / jnp.sqrt(bent)[None], value + log_volume)
