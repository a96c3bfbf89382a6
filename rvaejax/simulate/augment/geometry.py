"""Turning, mirroring, magnifying and shearing an image, without black corners and at sub-pixel precision."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from rvaejax.simulate.augment.config import AugmentConfig
from rvaejax.simulate.degrade import blur


class Warp(NamedTuple):
    """Where each pixel of the new image is taken from: `centre + matrix @ ((x, y) - middle + (wobble[y], 0))`.

    Attributes:
        centre: (x, y) in the old image that becomes the middle of the new one [px].
        matrix: from the new image's axes to the old one's.
        wobble: shift of each new row along itself [px].
    """

    centre: Float[Array, "2"]
    matrix: Float[Array, "2 2"]
    wobble: Float[Array, " size"]


def random_warp(config: AugmentConfig, size_px: int, extent: Integer[Array, "2"], *, key: PRNGKeyArray) -> Warp:
    """A random warp; the new image lies inside the old one (`extent`: its height and width [px]) where it fits."""
    k = jax.random.split(key, 7)
    angle = jax.random.uniform(k[0], maxval=2 * jnp.pi) if config.rotate else jnp.zeros(())
    scale = jnp.ones(())
    if config.scale_jitter:
        most = jnp.log1p(config.scale_jitter)
        scale = jnp.exp(jax.random.uniform(k[1], minval=-most, maxval=most))
    mirror = jnp.where(jax.random.bernoulli(k[2]), -1.0, 1.0) if config.flip else jnp.ones(())
    turn = jnp.array([[jnp.cos(angle), -jnp.sin(angle)], [jnp.sin(angle), jnp.cos(angle)]])
    shear = jnp.eye(2) + config.shear * jax.random.normal(k[3], (2, 2)) * jnp.array([[0.0, 1.0], [1.0, 0.0]])
    matrix = turn @ shear @ jnp.diag(jnp.array([mirror, 1.0])) * scale
    low, high = config.wobble_px
    wobble = jnp.zeros(size_px)
    if high > 0:
        slow = blur(jax.random.normal(k[4], (size_px, 1)), size_px / 8)[:, 0]
        slow = slow / (slow.std() + 1e-6)
        wobble = jax.random.uniform(k[5], minval=low, maxval=high) * slow
    last = extent[::-1].astype(jnp.float32) - 1  # (x, y)
    reach = jnp.abs(matrix).sum(1) * (size_px - 1) / 2 + jnp.abs(wobble).max() * jnp.abs(matrix[:, 0])
    room = jnp.maximum(last / 2 - reach, 0.0)
    centre = last / 2 + room * jax.random.uniform(k[6], (2,), minval=-1.0, maxval=1.0)
    return Warp(centre, matrix, wobble)


def sources(warp: Warp) -> Float[Array, "size size 2"]:
    """(x, y) in the old image of each pixel (row, column) of the new one [px]."""
    size = len(warp.wobble)
    axis = jnp.arange(size) - (size - 1) / 2
    x = jnp.broadcast_to(axis[None, :], (size, size)) + warp.wobble[:, None]
    y = jnp.broadcast_to(axis[:, None], (size, size))
    return warp.centre[None, None] + jnp.stack([x, y], -1) @ warp.matrix.T


def sample(
    image: Float[Array, "h w c"], xy: Float[Array, "*shape 2"], extent: Integer[Array, "2"]
) -> Float[Array, "*shape c"]:
    """Values at `xy` [px] by cubic convolution; beyond the border (of `extent` px, height and width) the mirror image.

    Method: Keys, IEEE Trans. Acoustics, Speech, and Signal Processing 29, 1153 (1981), a = -1/2; exact at pixels.
    """
    w = image.shape[1]
    flat = image.reshape(-1, image.shape[-1])
    base = jnp.floor(xy)
    across, down = _keys_weights(xy[..., 0] - base[..., 0]), _keys_weights(xy[..., 1] - base[..., 1])
    first = base.astype(jnp.int32) - 1
    columns = [_mirror(first[..., 0] + tap, extent[1]) for tap in range(4)]
    rows = [_mirror(first[..., 1] + tap, extent[0]) for tap in range(4)]
    taps = [
        (wy * wx)[..., None] * flat[row * w + column]
        for wy, row in zip(down, rows, strict=True)
        for wx, column in zip(across, columns, strict=True)
    ]
    return functools.reduce(jnp.add, taps)


def _mirror(index: Integer[Array, "*shape"], length: Integer[Array, ""]) -> Integer[Array, "*shape"]:
    """Indices beyond 0 and length - 1 mirrored back, the outermost pixels not doubled."""
    period = jnp.maximum(2 * (length - 1), 1)
    folded = jnp.mod(index, period)
    return jnp.where(folded > length - 1, period - folded, folded)


def _keys_weights(t: Float[Array, "*shape"]) -> tuple[Float[Array, "*shape"], ...]:
    """Weights of the pixels at -1, 0, 1, 2 for a point at `t` in [0, 1)."""
    t2, t3 = t * t, t * t * t
    return (
        -0.5 * t3 + t2 - 0.5 * t,
        1.5 * t3 - 2.5 * t2 + 1,
        -1.5 * t3 + 2 * t2 + 0.5 * t,
        0.5 * t3 - 0.5 * t2,
    )
