"""The modes of a sub-image's posterior: where they are, and which part of the latents' space each has for itself."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Integer, Key

from rvaejax.rvae.posterior.climb import Peak
from rvaejax.rvae.posterior.spread import each
from rvaejax.rvae.posterior.target import Target
from rvaejax.rvae.priors.circle import wrap

_TRIED = 64  # points for each climb
_WIDER = 2.0  # than the encoder's standard deviations
_VALLEY = 2.0  # nat below the lower of two maxima, half way between them: no less divides them
_NEGLIGIBLE = 8.0  # nat below the heaviest


class Modes(NamedTuple):
    """The heaviest maxima that a valley divides from all heavier ones.

    Attributes:
        points: (m, n) where they are; places that are not needed repeat the heaviest.
        values: (m,) of the log-density there [nat].
        roots: (m, n, n) of the covariances of the Gaussians with their curvatures.
        there: (m,) which of them are modes.
    """

    points: Float[Array, "m n"]
    values: Float[Array, " m"]
    roots: Float[Array, "m n n"]
    there: Bool[Array, " m"]


def starts(target: Target, climbs: int, *, key: Key[Array, ""]) -> Float[Array, "c n"]:
    """Where climbs start: the likeliest of some points in a sector of the circle for each; sectors overlap by half.

    The encoder is not relied on: its shift and content may be many of its standard deviations off, and then no angle
    looks likely at them. Most points are as wide as the priors; of eight, one has what the encoder says or is near it.
    """
    n, number = len(target.centre), jnp.arange(_TRIED)
    far = jax.random.normal(key, (climbs, _TRIED, n))
    width = jnp.where(number % 16 == 0, 0.0, _WIDER)[:, None]
    near = target.centre[None, None] + (width * target.scale[None])[None] * far
    points = jnp.where((number % 8 == 0)[None, :, None], near, far)
    turns = (jnp.arange(climbs)[:, None] + 2 * number[None] / _TRIED) / climbs
    points = points.at[..., 0].set(target.centre[0] + 2 * jnp.pi * turns)
    value = each(target.log_joint, points.reshape(-1, n)).reshape(climbs, -1)
    return points[jnp.arange(climbs), value.argmax(1)]


def choose(target: Target, peaks: Peak, count: int) -> Modes:
    """The heaviest of the maxima, by their Gaussians, and of those on one hill one."""

    def pick(left: Bool[Array, " c"], _: None) -> tuple[Bool[Array, " c"], tuple[Integer[Array, ""], Bool[Array, ""]]]:
        best = jnp.where(left, peaks.log_mass, -jnp.inf).argmax()
        across = peaks.point - peaks.point[best][None]
        across = across.at[:, 0].set(wrap(across[:, 0]))
        between = each(target.log_joint, peaks.point[best][None] + 0.5 * across)
        divided = between < jnp.minimum(peaks.value, peaks.value[best]) - _VALLEY
        return left & divided, (best, left[best])

    left = peaks.log_mass > peaks.log_mass.max() - _NEGLIGIBLE
    _, (top, there) = jax.lax.scan(pick, left, None, length=count)
    top = jnp.where(there, top, top[0])
    return Modes(peaks.point[top], peaks.value[top], peaks.root[top], there)


def owner(point: Float[Array, " n"], modes: Modes) -> Integer[Array, ""]:
    """The mode to whose part of the space a point belongs, that whose Gaussian is highest there: none counts twice."""
    off = point[None] - modes.points
    off = off.at[:, 0].set(wrap(off[:, 0]))
    away = jnp.einsum("mij,mj->mi", jnp.linalg.inv(modes.roots), off)
    return jnp.where(modes.there, modes.values - 0.5 * (away**2).sum(1), -jnp.inf).argmax()
