"""How bright a frame's pixels are: quantiles without sorting, and pixels that no scene can have made.

Both are compiled into what comes after them: the segmenter's input, and the frame that positions are refined on.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

HOT_AT = (0.005, 0.5, 0.995)  # quantiles that say how bright pixels may be
RANGES = 3.0  # so many times the outer quantiles' distance from the median


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


def _median_around(frame: Float[Array, "h w"]) -> Float[Array, "h w"]:
    """Median of each pixel and the eight around it."""
    padded = jnp.pad(frame, 1, mode="edge")
    h, w = frame.shape
    return jnp.median(jnp.stack([padded[i : i + h, j : j + w] for i in range(3) for j in range(3)]), axis=0)


@jax.jit
def without_hot_pixels(frame: Float[Array, "h w"]) -> Float[Array, "h w"]:
    """A frame whose pixels far outside its range of brightness are as bright as those around them.

    Cut down to the range's end alone they would still be the brightest of the frame, and spread when it is resampled.
    """
    low, middle, high = quantiles(frame, HOT_AT)
    span = RANGES * (high - low)
    hot = jnp.abs(frame - middle) > span
    mended = jax.lax.cond(hot.any(), lambda: jnp.where(hot, _median_around(frame), frame), lambda: frame)
    return jnp.clip(mended, middle - span, middle + span)
