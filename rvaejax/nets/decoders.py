"""Decoders: functions of coordinates, so that any angle, shift and content can be drawn at any resolution.

With `skip`, each layer after the first adds a linear map of the content, under the name `skip_i`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from rvaejax.nets import pixelwise
from rvaejax.nets.config import Decoder, FourierDecoder, SpatialDecoder


class DecoderFns(NamedTuple):
    """A decoder as pure functions; points are in units of the half window.

    Attributes:
        init: `(*, key) -> params`.
        apply: `(params, points (p, 2), content (d,)) -> (p, c)`, for one example.
        apply_all: `(params, points (p, 2), frames (b, m, 2, 3), content (b, d)) -> (b, m, p, c)`: m images of each
            example, each drawn at the points that its frame, an affine map, makes of the given ones.
        at: `(points (p, 2)) -> (params, content (b, d)) -> (b, p, c)`: all examples at the same points, which are known
            beforehand: what can be worked out from them alone is worked out once.
    """

    init: Callable[..., PyTree]
    apply: Callable[..., Any]
    apply_all: Callable[..., Any]
    at: Callable[..., Any]


class _Weights(nn.Module):
    """Kernel and bias under the names, and with the initial values, of `nn.Dense`."""

    inputs: int
    features: int

    @nn.compact
    def __call__(self) -> tuple[Float[Array, "i f"], Float[Array, " f"]]:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (self.inputs, self.features))
        return kernel, self.param("bias", nn.initializers.zeros, (self.features,))


class _Spatial(nn.Module):
    """`tanh` layers on (x, y, content), one pixel at a time (Bepler et al. 2019, arXiv:1909.11663)."""

    config: SpatialDecoder
    channels: int

    @nn.compact
    def __call__(
        self, points: Float[Array, "p 2"], frames: Float[Array, "b 2 3"], content: Float[Array, "b d"]
    ) -> Float[Array, "b p c"]:
        hidden = self.config.hidden
        kernel, bias = _Weights(2, hidden, name="Dense_0")()
        # The first layer is affine in the coordinates, and so are they in the points: one affine map of the points for
        # each example takes both, and the content's part, which is the same at every pixel.
        offset = frames[..., 2] @ kernel + bias[None] + nn.Dense(hidden, use_bias=False, name="Dense_1")(content)
        turned = jnp.einsum("ih,bij->hbj", kernel, frames[..., :2])
        x = pixelwise.first(jnp.concatenate([turned, offset.T[..., None]], axis=-1), points, self.config.precision)
        for i in range(1, self.config.layers):
            x = pixelwise.hidden(*self._layer(i, hidden, content), x)
        out = pixelwise.linear(*self._layer(self.config.layers, self.channels, content), x)
        return jnp.moveaxis(out, 0, -1)

    def _layer(
        self, i: int, features: int, content: Float[Array, "b d"]
    ) -> tuple[Float[Array, "h f"], Float[Array, "f b"]]:
        """The kernel of layer i, and what is added after it."""
        kernel, bias = _Weights(self.config.hidden, features, name=f"Dense_{i + 1}")()
        offset = jnp.broadcast_to(bias[:, None], (features, len(content)))
        if self.config.skip:
            offset = offset + nn.Dense(features, use_bias=False, name=f"skip_{i}")(content).T
        return kernel, offset


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
    def __call__(
        self,
        points: Float[Array, "p 2"],
        content: Float[Array, "... d"],
        basis: Float[np.ndarray, "modes p"] | None = None,
    ) -> Float[Array, "... p c"]:
        """With a basis, the coefficients' images at the points, any number of contents are drawn at once."""
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
            init = nn.initializers.normal(0.3 * content.shape[-1] ** -0.5)
            a = a + nn.Dense(coefficients, use_bias=False, kernel_init=init, name=f"skip_{self.config.layers}")(content)
        background = self.param("background", nn.initializers.zeros, (1, self.channels))
        if basis is not None:
            planes = jnp.moveaxis(a.reshape(*content.shape[:-1], 2, self.channels, -1), -3, -2)
            drawn = planes.reshape(*planes.shape[:-2], -1) @ jnp.asarray(basis, a.dtype)
            return drawn.mT + background.reshape((1,) * (drawn.ndim - 1) + (-1,))
        a = a.reshape(2, self.channels, *envelope.shape) * jnp.asarray(envelope[None, None], a.dtype)
        turns = points.T / (2 * self.config.period)  # a window is 2 units wide
        ex, ey = _harmonics(turns[0], highest), _harmonics(turns[1], envelope.shape[1] // 2)
        cos = jnp.concatenate([ey[0][:0:-1], ey[0]])
        sin = jnp.concatenate([-ey[1][:0:-1], ey[1]])
        # sum over m of (a0 + i a1) exp(i m y), real and imaginary part as one real matrix product
        weights = jnp.stack([jnp.concatenate([a[0], -a[1]], -1), jnp.concatenate([a[1], a[0]], -1)])
        inner = jnp.einsum("scnm,mp->scnp", weights, jnp.concatenate([cos, sin]))
        value = jnp.einsum("cnp,np->pc", inner[0], ex[0]) - jnp.einsum("cnp,np->pc", inner[1], ex[1])
        return value + background


def _fourier_basis(
    config: FourierDecoder, size: int, axes: int, points: Float[np.ndarray, "p 2"]
) -> Float[np.ndarray, "modes p"]:
    """What each real and each imaginary coefficient draws at some points, envelope included."""
    highest, envelope = fourier_modes(config, size, axes)
    across = envelope.shape[1] // 2
    turns = points / (2 * config.period)
    fx, fy = np.meshgrid(np.arange(highest + 1), np.arange(-across, across + 1), indexing="ij")
    phase = 2 * np.pi * (fx.reshape(-1, 1) * turns[:, 0] + fy.reshape(-1, 1) * turns[:, 1])
    scale = envelope.reshape(-1, 1)
    return np.concatenate([scale * np.cos(phase), -scale * np.sin(phase)]).astype(np.float32)


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


def _spatial(config: SpatialDecoder, channels: int, content_dim: int) -> DecoderFns:
    module, unmoved = _Spatial(config, channels), jnp.eye(2, 3)[None]

    def apply_all(params, points, frames, content):
        b, m = frames.shape[:2]
        drawn: Array = module.apply(params, points, frames.reshape(b * m, 2, 3), jnp.repeat(content, m, axis=0))  # type: ignore[assignment]
        return drawn.reshape(b, m, *drawn.shape[1:])

    return DecoderFns(
        lambda *, key: module.init(key, jnp.zeros((1, 2)), unmoved, jnp.zeros((1, content_dim))),
        lambda params, points, content: module.apply(params, points, unmoved, content[None])[0],
        apply_all,
        lambda points: (
            lambda params, content: module.apply(
                params, points, jnp.broadcast_to(unmoved, (len(content), 2, 3)), content
            )
        ),
    )


def _fourier(config: FourierDecoder, size: int, channels: int, content_dim: int, axes: int) -> DecoderFns:
    module = _Fourier(config, size, channels, axes)

    def moved(params, points, frame, content):
        return module.apply(params, points @ frame[:, :2].T + frame[None, :, 2], content)

    def at(points):
        basis = _fourier_basis(config, size, axes, points)
        return lambda params, content: module.apply(params, points, content, basis)

    each_frame = jax.vmap(moved, in_axes=(None, None, 0, None))
    return DecoderFns(
        lambda *, key: module.init(key, jnp.zeros((1, 2)), jnp.zeros(content_dim)),
        module.apply,
        jax.vmap(each_frame, in_axes=(None, None, 0, 0)),
        at,
    )


def build(config: Decoder, size: int, channels: int, content_dim: int, axes: int = 2) -> DecoderFns:
    """The decoder of windows of `size` px along each of their axes; signals have one, x."""
    if isinstance(config, SpatialDecoder):
        return _spatial(config, channels, content_dim)
    return _fourier(config, size, channels, content_dim, axes)
