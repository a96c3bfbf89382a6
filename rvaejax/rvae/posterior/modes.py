"""The orientations in which a sub-image's posterior may have its modes."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from rvaejax.rvae.posterior.target import Target
from rvaejax.rvae.priors.circle import wrap

ANGLES = 72
_TRIED = 8  # shifts and contents that each angle is tried with: the encoder's mean, and draws of a wider posterior
_WIDER = 2.0


class Modes(NamedTuple):
    """The likeliest local maxima over the angle.

    Attributes:
        points: (m, n) where they are; places that are not needed repeat the likeliest.
        there: (m,) which of them are maxima.
    """

    points: Float[Array, "m n"]
    there: Bool[Array, " m"]


def find_modes(target: Target, count: int, *, key: Key[Array, ""]) -> Modes:
    """Local maxima of the joint density over a circle of angles, each with the best shift and content that were tried.

    Without the shift's and the content's uncertainty an image may look unlikely at all angles but the encoder's: some
    draws of a posterior twice as wide are tried as well.
    """
    noise = jax.random.normal(key, (_TRIED, len(target.centre))).at[0].set(0.0)
    tried = target.centre[None] + _WIDER * target.scale[None] * noise
    angles = target.centre[0] + 2 * jnp.pi / ANGLES * jnp.arange(ANGLES)
    points = jnp.broadcast_to(tried[None], (ANGLES, *tried.shape)).at[..., 0].set(angles[:, None])
    log_p = jax.vmap(jax.vmap(target.log_joint))(points)
    best, points = log_p.max(1), points[jnp.arange(ANGLES), log_p.argmax(1)]
    is_top = (best >= jnp.roll(best, 1)) & (best > jnp.roll(best, -1))
    value, top = jax.lax.top_k(jnp.where(is_top, best, -jnp.inf), count)
    there = jnp.isfinite(value).at[0].set(True)  # a flat circle has no maximum, but one chain at least
    return Modes(points[jnp.where(there, top, top[0])], there)


def own_basin(angle: Float[Array, ""], mode: Float[Array, ""], modes: Modes) -> Bool[Array, ""]:
    """Whether an angle is nearer to its mode than to any other: so the circle is divided, and nothing counted twice."""
    away = jnp.where(modes.there, jnp.abs(wrap(angle - modes.points[:, 0])), jnp.inf)
    return jnp.abs(wrap(angle - mode)) <= away.min() + 1e-6
