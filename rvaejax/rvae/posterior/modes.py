"""The orientations in which a sub-image's posterior may have its modes."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from rvaejax.rvae.posterior.climb import climb
from rvaejax.rvae.posterior.target import Target
from rvaejax.rvae.priors.circle import wrap

SECTORS, _PER_SECTOR = 24, 3  # parts of the circle, and angles that are tried in each
_NEAR, _FAR = 4, 60  # shifts and contents that each angle is tried with: around the encoder's, and of the priors' size
_CLIMBS = 2  # of each sector, from the best of as many shares of what is tried there
_AT_A_TIME = 32, 8  # points and climbs, for the memory that they take
_WIDER = 2.0
_APART = jnp.pi / 18  # modes nearer to each other than that are one
_NEGLIGIBLE = 12.0  # nat below the best


class Modes(NamedTuple):
    """The heaviest local maxima over the angle.

    Attributes:
        points: (m, n) where they are; places that are not needed repeat the heaviest.
        roots: (m, n, n) of the covariances of the Gaussians with their curvatures.
        there: (m,) which of them are maxima.
    """

    points: Float[Array, "m n"]
    roots: Float[Array, "m n n"]
    there: Bool[Array, " m"]


def find_modes(target: Target, count: int, *, key: Key[Array, ""]) -> Modes:
    """Maxima of the joint density that are climbed to from everywhere around the circle, one for each angle.

    The encoder is not relied on: its shift and content may be many of its standard deviations off, and then no angle
    looks likely at them. In each sector of the circle climbs start from the best of what is tried there, near to and
    far from the encoder's guess; maxima are weighed by the Gaussians of their curvature.
    """
    for_near, for_far = jax.random.split(key)
    n = len(target.centre)
    near = _WIDER * target.scale[None] * jax.random.normal(for_near, (_NEAR, n)).at[0].set(0.0)
    tried = jnp.concatenate([target.centre[None] + near, jax.random.normal(for_far, (_FAR, n))])
    angles = target.centre[0] + 2 * jnp.pi / (SECTORS * _PER_SECTOR) * jnp.arange(SECTORS * _PER_SECTOR)
    starts = jnp.broadcast_to(tried[None], (len(angles), *tried.shape)).at[..., 0].set(angles[:, None])
    climbs = SECTORS * _CLIMBS
    starts = starts.reshape(SECTORS, -1, _CLIMBS, n).swapaxes(1, 2).reshape(climbs, -1, n)
    value = jax.lax.map(target.log_joint, starts.reshape(-1, n), batch_size=_AT_A_TIME[0])
    starts = starts[jnp.arange(climbs), value.reshape(climbs, -1).argmax(1)]
    peaks = jax.lax.map(lambda start: climb(target.log_joint, start), starts, batch_size=_AT_A_TIME[1])
    order = jnp.argsort(-peaks.log_mass)
    peaks = jax.tree.map(lambda v: v[order], peaks)
    near_to = jnp.abs(wrap(peaks.point[:, None, 0] - peaks.point[None, :, 0])) < _APART
    heavier = jnp.tril(jnp.ones((climbs, climbs), bool), -1)
    own = ~(near_to & heavier).any(1) & (peaks.log_mass > peaks.log_mass[0] - _NEGLIGIBLE)
    value, top = jax.lax.top_k(jnp.where(own, peaks.log_mass, -jnp.inf), count)
    there = jnp.isfinite(value).at[0].set(True)
    top = jnp.where(there, top, 0)
    return Modes(peaks.point[top], peaks.root[top], there)


def own_basin(angle: Float[Array, ""], mode: Float[Array, ""], modes: Modes) -> Bool[Array, ""]:
    """Whether an angle is nearer to its mode than to any other: so the circle is divided, and nothing counted twice."""
    away = jnp.where(modes.there, jnp.abs(wrap(angle - modes.points[:, 0])), jnp.inf)
    return jnp.abs(wrap(angle - mode)) <= away.min() + 1e-6
