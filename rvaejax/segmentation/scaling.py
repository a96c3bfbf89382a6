"""From a frame to the network's input: the canonical pixel, and a robust scale.

The scaling is such that neither a hot pixel nor a bright patch sets the contrast of the rest.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

LOW, HIGH = 0.1, 0.9
SPREAD = 2.563  # distance of the two quantiles of a normal distribution, in standard deviations
SMALLEST_PX = 16  # a frame must have at least this many canonical pixels


def _sortable(values: Float[Array, " n"]) -> Int[Array, " n"]:
    """The bits of float32 numbers as integers in the same order; its own inverse on the way back."""
    bits = jax.lax.bitcast_convert_type(values + 0.0, jnp.int32)  # -0 becomes 0
    return jnp.where(bits < 0, bits ^ 0x7FFFFFFF, bits)


def _number(key: Int[Array, " n"]) -> Float[Array, " n"]:
    return jax.lax.bitcast_convert_type(jnp.where(key < 0, key ^ 0x7FFFFFFF, key), jnp.float32)


def quantiles(image: Float[Array, "h w"], at: tuple[float, ...]) -> Float[Array, " k"]:
    """Quantiles of an image's values, linear between neighbouring ones: what `jnp.quantile` gives, without sorting.

    The value of a rank is found bit by bit, from how many values lie below: 32 looks at the image, which on a CPU take
    a sixth of the time of a sort.

    Args:
        image: finite values; not differentiable.
        at: shares of the values that lie below, from 0 to 1.
    """
    key = _sortable(image.astype(jnp.float32).ravel())
    place = np.asarray(at) * (key.size - 1)
    rank = np.floor(place).astype(np.int32)

    def look(i: Int[Array, ""], found: Int[Array, " k"]) -> Int[Array, " k"]:
        # adding 2^31 to the least integer wraps around to 0: the sign is the first bit
        higher = found + jax.lax.shift_left(jnp.int32(1), 31 - i)
        below = jnp.stack([(key < value).sum(dtype=jnp.int32) for value in higher])
        return jnp.where(below <= rank, higher, found)

    least, largest = (getattr(np.iinfo(np.int32), end) for end in ("min", "max"))
    low = jax.lax.fori_loop(0, 32, look, jnp.full(len(at), least, jnp.int32))
    through = jnp.stack([(key <= value).sum(dtype=jnp.int32) for value in low])
    following = jnp.stack([jnp.where(key > value, key, largest).min() for value in low])
    high = jnp.where((through > rank + 1) | (rank == key.size - 1), low, following)
    share = jnp.asarray(place - rank, jnp.float32)
    return _number(low) * (1 - share) + _number(high) * share


def robust_scale(image: Float[Array, "h w"]) -> Float[Array, "h w"]:
    """asinh((image - median) / s), s from the 10 % and 90 % quantiles; linear near 0, logarithmic far out.

    Outliers hold the quantiles nowhere and are compressed themselves; a bright patch keeps its shape.
    """
    low, middle, high = quantiles(image, (LOW, 0.5, HIGH))
    return jnp.arcsinh((image - middle) * SPREAD / jnp.maximum(high - low, 1e-12))


@functools.partial(jax.jit, static_argnames=("shape",))
def resample(frame: Float[Array, "h w"], shape: tuple[int, int]) -> Float[Array, "h2 w2"]:
    """A frame resampled to `shape`; single hot pixels are cut down before they can spread."""
    low, middle, high = quantiles(frame, (0.005, 0.5, 0.995))
    span = 3 * (high - low)
    frame = jnp.clip(frame, middle - span, middle + span)
    method = "linear" if shape[0] < frame.shape[0] else "cubic"
    return jax.image.resize(frame, shape, method, antialias=True)


@functools.partial(jax.jit, static_argnames=("shape",))
def prepare(frame: Float[Array, "h w"], shape: tuple[int, int]) -> Float[Array, "h2 w2"]:
    """A frame resampled to `shape` and robustly scaled."""
    return robust_scale(resample(frame, shape))


def canonical_shape(size: tuple[int, int], pixel_size_nm: float, canonical_nm: float) -> tuple[int, int]:
    """Shape of a frame of `size` px at the canonical pixel."""
    return round(size[0] * pixel_size_nm / canonical_nm), round(size[1] * pixel_size_nm / canonical_nm)
