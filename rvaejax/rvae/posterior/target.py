"""The density of one sub-image's latents, by the decoder and by the encoder.

A point is the vector (angle [rad], shift [the encoder's unit] x 2, content x d).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from rvaejax.nets.encoders import Encoded
from rvaejax.rvae.coordinates import grid
from rvaejax.rvae.elbo import RVAE
from rvaejax.rvae.latents import draw_normal
from rvaejax.rvae.posterior.climb import Expansion, Point, gauss_newton
from rvaejax.rvae.priors.vector import log_normal


class Target(NamedTuple):
    """The densities of one sub-image.

    Attributes:
        log_joint: `point -> log p(image, point)` [nat]; periodic in the angle.
        expand: `point -> Expansion` of it, with the Gauss-Newton curvature.
        log_encoder: `point -> log q(point)` [nat], of the encoder's posterior.
        draw: `(*, key) -> point` of the encoder's posterior.
        centre, scale: the encoder's mean, and its standard deviations, as points.
    """

    log_joint: Callable[[Point], Float[Array, ""]]
    expand: Callable[[Point], Expansion]
    log_encoder: Callable[[Point], Float[Array, ""]]
    draw: Callable[..., Point]
    centre: Point
    scale: Point


def target(rvae: RVAE, params: PyTree, prior: dict[str, PyTree], image: Float[Array, "h w c"], q: Encoded) -> Target:
    """The densities of a scaled image, with the encoder's posterior of it (without a batch axis)."""
    families, size = rvae.families, image.shape[0]
    x, points = image.reshape(size * size, -1), grid(size)

    def drawn(point: Point) -> Float[Array, "p c"]:
        return rvae.draw(params, points, point[0], families.shift.value(point[1:3], prior["shift"]), point[3:])

    def fit(image: Float[Array, "p c"]) -> Float[Array, ""]:
        return rvae.fit(params, x, image, points)

    def log_prior(point: Point) -> Float[Array, ""]:
        vectors = families.shift.log_prior(point[1:3], prior["shift"])
        vectors += families.content.log_prior(point[3:], prior["content"])
        return families.angle.prior.log_prob(point[0], prior["angle"]) + vectors

    def log_encoder(point: Point) -> Float[Array, ""]:
        vectors = log_normal(point[1:3], *q.shift) + log_normal(point[3:], *q.content)
        return families.angle.log_prob(q.angle, point[0]) + vectors

    def draw(*, key: Key[Array, ""]) -> Point:
        a, b, c = jax.random.split(key, 3)
        angle = families.angle.sample(q.angle, key=a)[None]
        return jnp.concatenate([angle, draw_normal(q.shift, key=b), draw_normal(q.content, key=c)])

    summary = families.angle.summary(q.angle)
    return Target(
        log_joint=lambda point: fit(drawn(point)) + log_prior(point),
        expand=lambda point: gauss_newton(drawn, fit, log_prior, point),
        log_encoder=log_encoder,
        draw=draw,
        centre=jnp.concatenate([summary.angle[None], q.shift.mean, q.content.mean]),
        scale=jnp.concatenate([summary.sd[None], jnp.exp(q.shift.log_sd), jnp.exp(q.content.log_sd)]),
    )
