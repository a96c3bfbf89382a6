"""From a point to the maximum of a density near it, and the width of the density there.

Newton's method with the curvature's absolute values, so that a saddle is left uphill (Dauphin et al. 2014,
arXiv:1406.2572), damped as by Levenberg and Marquardt: a step that does not rise is not taken, and the next is shorter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Integer

_FLATTEST = 0.1  # least curvature [nat per squared unit]: no coordinate's prior is wider than some three units
_DAMPING = (1e-6, 1e6)
_GAIN = 1e-3  # nat: a climb that hopes for no more has arrived
Point = Float[Array, " n"]


class Expansion(NamedTuple):
    """A log-density near a point.

    Attributes:
        value: there [nat].
        slope: (n,) its gradient.
        curvature: (n, n) minus its second derivatives, or what stands for them.
    """

    value: Float[Array, ""]
    slope: Float[Array, " n"]
    curvature: Float[Array, "n n"]


class Peak(NamedTuple):
    """A maximum, and the Gaussian that has its curvature (Laplace).

    Attributes:
        point: (n,) where it is.
        value: of the log-density [nat].
        root: (n, n) of the Gaussian's covariance, root root^T.
        log_mass: logarithm of the integral of the density if it were that Gaussian [nat].
        arrived: whether the climb had nothing more to gain.
    """

    point: Point
    value: Float[Array, ""]
    root: Float[Array, "n n"]
    log_mass: Float[Array, ""]
    arrived: Bool[Array, ""]


def gauss_newton(
    draw: Callable[[Point], Float[Array, "p c"]],
    fit: Callable[[Float[Array, "p c"]], Float[Array, ""]],
    log_prior: Callable[[Point], Float[Array, ""]],
    point: Point,
) -> Expansion:
    """The expansion of fit(draw(point)) + log_prior(point), without second derivatives of what is drawn.

    curvature = -J^T fit'' J - log_prior'', J the derivatives of what is drawn (Schraudolph 2002,
    doi:10.1162/08997660260028683): positive where the fit is concave, and a column of J costs no more than a drawing.
    """
    drawn, push = jax.linearize(draw, point)
    # one by one: a batch of drawings of one image each costs a CPU three times as much
    columns = [push(axis) for axis in jnp.eye(len(point))]
    value, slope = jax.value_and_grad(fit)(drawn)
    bent = [jax.jvp(jax.grad(fit), (drawn,), (column,))[1] for column in columns]
    jacobian, bending = (jnp.stack(v).reshape(len(point), -1) for v in (columns, bent))
    prior, prior_slope = jax.value_and_grad(log_prior)(point)
    return Expansion(
        value + prior,
        jacobian @ slope.ravel() + prior_slope,
        -(jacobian @ bending.T) - jax.hessian(log_prior)(point),
    )


class _Climber(NamedTuple):
    point: Point
    here: Expansion
    damping: Float[Array, ""]
    step: Integer[Array, ""]
    arrived: Bool[Array, ""]


def _axes(curvature: Float[Array, "n n"]) -> tuple[Point, Float[Array, "n n"]]:
    value, vectors = jnp.linalg.eigh(0.5 * (curvature + curvature.T))
    return jnp.maximum(jnp.abs(value), _FLATTEST), vectors


def climb(expand: Callable[[Point], Expansion], start: Point, steps: int | Integer[Array, ""]) -> Peak:
    """The maximum that is reached from `start` in at most so many steps, taken or not."""

    def body(state: _Climber) -> _Climber:
        bent, vectors = _axes(state.here.curvature)
        slope = vectors.T @ state.here.slope
        tried = state.point + vectors @ (slope / (bent * (1 + state.damping)))
        there = expand(tried)
        better = there.value > state.here.value
        damping = jnp.clip(jnp.where(better, 0.2 * state.damping, 5 * state.damping), *_DAMPING)
        point, here = jax.tree.map(lambda a, b: jnp.where(better, a, b), (tried, there), (state.point, state.here))
        return _Climber(point, here, damping, state.step + 1, 0.5 * (slope**2 / bent).sum() < _GAIN)

    def going(state: _Climber) -> Bool[Array, ""]:
        return ~state.arrived & (state.step < steps)

    first = _Climber(start, expand(start), jnp.asarray(0.1, start.dtype), jnp.asarray(0), jnp.asarray(False))
    point, here, *_, arrived = jax.lax.while_loop(going, body, first)
    bent, vectors = _axes(here.curvature)
    log_volume = 0.5 * (len(start) * jnp.log(2 * jnp.pi) - jnp.log(bent).sum())
    return Peak(point, here.value, vectors / jnp.sqrt(bent)[None], here.value + log_volume, arrived)
