"""Decoders: functions of coordinates, so that any angle, shift and content can be drawn at any resolution.

With `skip`, each layer after the first adds a linear map of the content, under the name `skip_i`.
"""

from __future__ import annotations

import math

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rvaejax.nets.config import Decoder, FourierDecoder, SpatialDecoder
from rvaejax.nets.network import Network


class _Spatial(nn.Module):
    """`tanh` layers on (x, y, content), one pixel at a time (Bepler et al. 2019, arXiv:1909.11663)."""

    config: SpatialDecoder
    channels: int

    @nn.compact
    def __call__(self, points: Float[Array, "p 2"], content: Float[Array, " d"]) -> Float[Array, "p c"]:
        # The content's part of the first layer is the same at every pixel: added after, not concatenated before.
        x = nn.Dense(self.config.hidden)(points) + nn.Dense(self.config.hidden, use_bias=False)(content)[None, :]
        x = jnp.tanh(x)
        for i in range(1, self.config.layers):
            x = jnp.tanh(self._layer(i, self.config.hidden, x, content))
        return self._layer(self.config.layers, self.channels, x, content)

    def _layer(self, i: int, features: int, x: Float[Array, "p h"], content: Float[Array, " d"]) -> Float[Array, "p f"]:
        out = nn.Dense(features)(x)
        if not self.config.skip:
            return out
        return out + nn.Dense(features, use_bias=False, name=f"skip_{i}")(content)[None, :]


def fourier_modes(config: FourierDecoder, size: int, axes: int = 2) -> tuple[int, Float[np.ndarray, "n m"]]:
    """Highest mode N, and the envelope (N + 1, 2 N + 1) of the coefficients of modes (0..N, -N..N).

    Along one axis the envelope is (N + 1, 1), of modes (0..N, 0).
    """
    highest = max(1, min(config.max_modes, math.ceil(config.cutoff * config.period * size)))
    across = highest if axes == 2 else 0
    fx, fy = np.meshgrid(np.arange(highest + 1), np.arange(-across, across + 1), indexing="ij")
    radius = np.hypot(fx, fy)
    envelope = np.where(radius <= highest + 0.5, np.exp(-((radius / highest) ** 2)), 0.0)
    return highest, envelope / np.sqrt((envelope**2).sum())


class _Fourier(nn.Module):
    """Content to Fourier coefficients to pixels; the sum over modes is two small matrix products."""

    config: FourierDecoder
    size: int
    channels: int
    axes: int = 2

    @nn.compact
    def __call__(self, points: Float[Array, "p 2"], content: Float[Array, " d"]) -> Float[Array, "p c"]:
        highest, envelope = fourier_modes(self.config, self.size, self.axes)
        z = content
        for i in range(self.config.layers):
            h = nn.Dense(self.config.hidden)(z)
            if self.config.skip and i > 0:
                h = h + nn.Dense(self.config.hidden, use_bias=False, name=f"skip_{i}")(content)
            z = nn.tanh(h)
        coefficients = 2 * self.channels * envelope.size
        a = nn.Dense(coefficients, kernel_init=nn.initializers.normal(0.3 * self.config.hidden**-0.5))(z)
        if self.config.skip:
            init = nn.initializers.normal(0.3 * len(content) ** -0.5)
            a = a + nn.Dense(coefficients, use_bias=False, kernel_init=init, name=f"skip_{self.config.layers}")(content)
        a = a.reshape(2, self.channels, *envelope.shape) * jnp.asarray(envelope[None, None], a.dtype)
        turns = points.T / (2 * self.config.period)  # a window is 2 units wide
        ex, ey = _harmonics(turns[0], highest), _harmonics(turns[1], envelope.shape[1] // 2)
        cos = jnp.concatenate([ey[0][:0:-1], ey[0]])
        sin = jnp.concatenate([-ey[1][:0:-1], ey[1]])
        # sum over m of (a0 + i a1) exp(i m y), real and imaginary part as one real matrix product
        weights = jnp.stack([jnp.concatenate([a[0], -a[1]], -1), jnp.concatenate([a[1], a[0]], -1)])
        inner = jnp.einsum("scnm,mp->scnp", weights, jnp.concatenate([cos, sin]))
        value = jnp.einsum("cnp,np->pc", inner[0], ex[0]) - jnp.einsum("cnp,np->pc", inner[1], ex[1])
        return value + self.param("background", nn.initializers.zeros, (1, self.channels))


def _harmonics(turns: Float[Array, " p"], highest: int) -> tuple[Float[Array, "n p"], Float[Array, "n p"]]:
    """Cosine and sine of 0, 1, ..., `highest` times an angle given in full turns."""
    all_turns = jnp.arange(highest + 1, dtype=turns.dtype)[:, None] * turns[None]
    return _cos_turns(all_turns), _cos_turns(all_turns - 0.25)


def _cos_turns(turns: Float[Array, "..."]) -> Float[Array, "..."]:
    """cos(2 pi turns) to 1e-8 (plus rounding of the argument), several times faster than XLA's cosine on CPUs.

    The argument is folded to [-1/4, 1/4] turns, where an odd polynomial (least squares at Chebyshev points) is enough.
    """
    t = jnp.abs(turns - jnp.round(turns)) - 0.25
    u = t * t
    return -t * (6.28318516 + u * (-41.34165491 + u * (81.60099705 + u * (-76.54962907 + u * 39.5355917))))


def build(config: Decoder, size: int, channels: int, content_dim: int, axes: int = 2) -> Network:
    """The decoder of windows of `size` px along each of their axes; signals have one, x.

    Returns:
        `init(*, key) -> params` and `apply(params, points (p, 2), content (d,)) -> (p, c)`, for one example; points
        are in units of the half window.
    """
    if isinstance(config, SpatialDecoder):
        module: nn.Module = _Spatial(config, channels)
    else:
        module = _Fourier(config, size, channels, axes)
    return Network(lambda *, key: module.init(key, jnp.zeros((1, 2)), jnp.zeros(content_dim)), module.apply)
