"""Decoders: functions of coordinates, so that any angle, shift and content can be drawn at any resolution.

With `skip`, each layer after the first adds a linear map of the content, under the name `skip_i`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from rvaejax.nets import fourier, pixelwise
from rvaejax.nets.config import Decoder, FourierDecoder, SpatialDecoder


class DecoderFns(NamedTuple):
    """A decoder as pure functions; points are in units of the half window.

    Attributes:
        init: `(*, key) -> params`.
        apply: `(params, points (p, 2), content (d,)) -> (p, c)`, for one example.
        apply_all: `(params, points (p, 2), frames (b, m, 2, 3), content (b, d)) -> (b, m, p, c)`: m images of each
            example, each drawn at the points that its frame, an affine map, makes of the given ones.
        at: `(points (p, 2), onto) -> (params, content (b, d)) -> (b, c, q)`: what `onto`, a linear map of (..., p) to
            (..., q), makes of all examples at the same points. These are known beforehand: what can be worked out from
            them alone is worked out once. By default it leaves them as they are.
        fastest: the highest angular frequency of what is drawn [rad per half window].
    """

    init: Callable[..., PyTree]
    apply: Callable[..., Any]
    apply_all: Callable[..., Any]
    at: Callable[..., Any]
    fastest: float = math.inf


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


def _spatial(config: SpatialDecoder, channels: int, content_dim: int) -> DecoderFns:
    module, unmoved = _Spatial(config, channels), jnp.eye(2, 3)[None]

    def apply_all(params, points, frames, content):
        b, m = frames.shape[:2]
        drawn: Array = module.apply(params, points, frames.reshape(b * m, 2, 3), jnp.repeat(content, m, axis=0))  # type: ignore[assignment]
        return drawn.reshape(b, m, *drawn.shape[1:])

    def at(points, onto=_as_it_is):
        def draw(params, content):
            drawn: Array = module.apply(params, points, jnp.broadcast_to(unmoved, (len(content), 2, 3)), content)  # type: ignore[assignment]
            return onto(drawn.mT)

        return draw

    return DecoderFns(
        lambda *, key: module.init(key, jnp.zeros((1, 2)), unmoved, jnp.zeros((1, content_dim))),
        lambda params, points, content: module.apply(params, points, unmoved, content[None])[0],
        apply_all,
        at,
    )


def _fourier(config: FourierDecoder, size: int, channels: int, content_dim: int, axes: int) -> DecoderFns:
    module, per_turn = fourier.Coefficients(config, size, channels, axes), 1 / (2 * config.period)

    def coefficients(params, content: Float[Array, "*b d"]) -> tuple[Float[Array, "*b 2 c n m"], Float[Array, "1 c"]]:
        return module.apply(params, content)  # type: ignore[return-value]

    def apply(params, points, content):
        a, background = coefficients(params, content)
        return fourier.draw(a, points.T * per_turn) + background

    def apply_all(params, points, frames, content):
        a, background = coefficients(params, content)
        b, m = frames.shape[:2]
        at = jnp.einsum("pj,bmij->bimp", points, frames[..., :2]) + jnp.moveaxis(frames[..., 2], -1, 1)[..., None]
        drawn = fourier.draw(a, at.reshape(b, 2, -1) * per_turn) + background[None]
        return drawn.reshape(b, m, len(points), channels)

    def at(points, onto=_as_it_is):
        drawing, waves = fourier.basis(config, size, axes, points)
        waves, level = onto(waves), onto(np.ones((1, len(points)), np.float32))

        def draw(params, content):
            a, background = coefficients(params, content)
            planes = jnp.moveaxis(a, -4, -3).reshape(*content.shape[:-1], channels, -1)[..., drawing]
            return planes @ waves + (background.T @ level)[None]

        return draw

    return DecoderFns(
        lambda *, key: module.init(key, jnp.zeros(content_dim)),
        apply,
        apply_all,
        at,
        fourier.fastest(config, size),
    )


def _as_it_is(drawn):
    return drawn


def build(config: Decoder, size: int, channels: int, content_dim: int, axes: int = 2) -> DecoderFns:
    """The decoder of windows of `size` px along each of their axes; signals have one, x."""
    if isinstance(config, SpatialDecoder):
        return _spatial(config, channels, content_dim)
    return _fourier(config, size, channels, content_dim, axes)
