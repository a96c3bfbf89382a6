"""From a frame to the network's input: the canonical pixel, and a robust scale.

The scaling is such that neither a hot pixel nor a bright patch sets the contrast of the rest.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rvaejax.io.brightness import quantiles, without_hot_pixels

LOW, HIGH = 0.1, 0.9
SPREAD = 2.563  # distance of the two quantiles of a normal distribution, in standard deviations
SMALLEST_PX = 16  # a frame must have at least this many canonical pixels


def robust_scale(image: Float[Array, "h w"]) -> Float[Array, "h w"]:
    """asinh((image - median) / s), s from the 10 % and 90 % quantiles; linear near 0, logarithmic far out.

    Outliers hold the quantiles nowhere and are compressed themselves; a bright patch keeps its shape.
    """
    low, middle, high = quantiles(image, (LOW, 0.5, HIGH))
    return jnp.arcsinh((image - middle) * SPREAD / jnp.maximum(high - low, 1e-12))


@functools.partial(jax.jit, static_argnames=("shape",))
def resample(frame: Float[Array, "h w"], shape: tuple[int, int]) -> Float[Array, "h2 w2"]:
    """A frame resampled to `shape`; single hot pixels are mended before they can spread."""
    frame = without_hot_pixels(frame)
    method = "linear" if shape[0] < frame.shape[0] else "cubic"
    return jax.image.resize(frame, shape, method, antialias=True)


@functools.partial(jax.jit, static_argnames=("shape",))
def prepare(frame: Float[Array, "h w"], shape: tuple[int, int]) -> Float[Array, "h2 w2"]:
    """A frame resampled to `shape` and robustly scaled."""
    return robust_scale(resample(frame, shape))


def canonical_shape(size: tuple[int, int], pixel_size_nm: float, canonical_nm: float) -> tuple[int, int]:
    """Shape of a frame of `size` px at the canonical pixel."""
    return round(size[0] * pixel_size_nm / canonical_nm), round(size[1] * pixel_size_nm / canonical_nm)
