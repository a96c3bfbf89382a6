"""Copies of windows that are turned and moved at random: what is drawn from them must not depend on it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates
from jaxtyping import Array, Float, Key

from rvaejax.nets.config import PolarEncoder
from rvaejax.rvae.config import RVAEConfig
from rvaejax.rvae.coordinates import grid, rotate


def blind(config: RVAEConfig, images: Float[Array, "b h w c"], *, key: Key[Array, ""]) -> Float[Array, "b h w c"]:
    """The windows turned by any angle and moved by the shift's scale, where the pose says that neither matters.

    A polar encoder is blind to rotations by construction: its windows are moved alone.
    """
    turned = config.pose.rotation and not isinstance(config.encoder, PolarEncoder)
    if not (turned or config.pose.shift):
        return images
    for_angle, for_shift = jax.random.split(key)
    angle = turned * jax.random.uniform(for_angle, (len(images),), minval=-jnp.pi, maxval=jnp.pi)
    shift = config.pose.shift * config.shift_scale * jax.random.normal(for_shift, (len(images), 2))
    return jax.vmap(moved)(images, angle, shift)


def moved(image: Float[Array, "h w c"], angle: Float[Array, ""], shift: Float[Array, " 2"]) -> Float[Array, "h w c"]:
    """A square window turned counter-clockwise by `angle` [rad], then moved by `shift` [half windows].

    Between pixels it is interpolated in a straight line; what comes in from outside repeats the border.
    """
    size = image.shape[0]
    at = rotate(grid(size) - shift[None], -angle) * (size / 2) + (size - 1) / 2
    x, y = at[:, 0], at[:, 1]
    seen = jax.vmap(lambda plane: map_coordinates(plane, [y, x], order=1, mode="nearest"), -1, -1)(image)
    return seen.reshape(image.shape)
