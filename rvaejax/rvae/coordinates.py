"""Coordinates of pixels, and what a rotation and a shift of the content do to them.

x to the right, y down; angles counter-clockwise on the displayed image. The unit is half the window.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float


def grid(size: int) -> Float[Array, "p 2"]:
    """(x, y) of the centres of size x size pixels, row by row, in units of the half window, between -1 and 1."""
    return window_grid(size, size)


def window_grid(height: int, width: int) -> Float[Array, "p 2"]:
    """The same for windows of height x width px, in units of half the width; signals, of one row, lie on y = 0."""
    x = (jnp.arange(width, dtype=jnp.float32) - (width - 1) / 2) / (width / 2)
    y = (jnp.arange(height, dtype=jnp.float32) - (height - 1) / 2) / (width / 2)
    y, x = jnp.meshgrid(y, x, indexing="ij")
    return jnp.stack([x.ravel(), y.ravel()], axis=-1)


def rotate(points: Float[Array, "... 2"], angle: Float[Array, "..."]) -> Float[Array, "... 2"]:
    """Points turned by `angle` [rad] about the origin: (x cos a + y sin a, -x sin a + y cos a), as y points down."""
    x, y = points[..., 0], points[..., 1]
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return jnp.stack([x * cos + y * sin, -x * sin + y * cos], axis=-1)


def to_content(
    points: Float[Array, "p 2"],
    angle: Float[Array, ""],
    shift: Float[Array, " 2"],
    scale: Float[Array, ""] | float = 1.0,
) -> Float[Array, "p 2"]:
    """Where the pixels at `points` look in content that is enlarged by `scale`, turned by `angle`, moved by `shift`."""
    return rotate(points - shift[None], -angle) / scale


def content_frame(
    angle: Float[Array, ""], shift: Float[Array, " 2"], scale: Float[Array, ""] | float = 1.0
) -> Float[Array, "2 3"]:
    """`to_content` as an affine map (M, o): it makes M p + o of a point p."""
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    turn = jnp.stack([jnp.stack([cos, -sin]), jnp.stack([sin, cos])]) / scale
    return jnp.concatenate([turn, -(turn @ shift)[:, None]], axis=1)
