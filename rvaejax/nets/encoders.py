"""Encoders: a window to the parameters of the posterior of its angle, shift and content.

`mlp` and `conv` give one Gaussian per latent. `polar` gives a categorical over orientations with a residual at each,
and is equivariant by construction: rolling the polar grid rolls the orientations' scores, turns the shift, and leaves
the content as it is.
"""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rvaejax.nets.config import ConvEncoder, Encoder, MLPEncoder, PolarEncoder
from rvaejax.nets.network import Network
from rvaejax.nets.polar import polar_features, polar_points, polar_taps


class Normal(NamedTuple):
    """Independent Gaussians."""

    mean: Float[Array, "... d"]
    log_sd: Float[Array, "... d"]


class Circular(NamedTuple):
    """A categorical over K equally spaced orientations 2 pi k / K, with a Gaussian residual at each.

    Attributes:
        logits: (..., K) log-probabilities, normalised.
        residual: (..., K) the residual angle's latent, in units of half a bin (pi / K).
    """

    logits: Float[Array, "... k"]
    residual: Normal


class Encoded(NamedTuple):
    """An encoder's output for a batch of windows.

    Attributes:
        angle: `Normal` of one dimension, unwrapped [rad], or `Circular`.
        shift: (b, 2) (x, y) in units of the shift's prior.
        content: (b, d).
    """

    angle: Normal | Circular
    shift: Normal
    content: Normal


def _split(out: Float[Array, "b latents"]) -> Encoded:
    mean, log_sd = jnp.split(out, 2, axis=-1)
    parts = [Normal(mean[:, s], log_sd[:, s]) for s in (slice(0, 1), slice(1, 3), slice(3, None))]
    return Encoded(*parts)


class _MLP(nn.Module):
    config: MLPEncoder
    content_dim: int

    @nn.compact
    def __call__(self, images: Float[Array, "b h w c"]) -> Encoded:
        x = images.reshape(len(images), -1)
        for _ in range(self.config.layers):
            x = jnp.tanh(nn.Dense(self.config.hidden)(x))
        return _split(nn.Dense(2 * (3 + self.content_dim))(x))


class _Conv(nn.Module):
    config: ConvEncoder
    content_dim: int

    @nn.compact
    def __call__(self, images: Float[Array, "b h w c"]) -> Encoded:
        x = images
        for filters in self.config.filters:
            x = nn.relu(nn.Conv(filters, (3, 3), strides=2)(x))
        x = nn.relu(nn.Dense(self.config.hidden)(x.reshape(len(x), -1)))
        return _split(nn.Dense(2 * (3 + self.content_dim))(x))


class _CircularDense(nn.Module):
    """A circular convolution along the orientations with full-width, band-limited kernels, in the Fourier domain."""

    features: int
    harmonics: int

    @nn.compact
    def __call__(self, x: Float[Array, "b k i"]) -> Float[Array, "b k o"]:
        k, inputs, m = x.shape[1], x.shape[2], self.harmonics
        phase = 2 * np.pi * np.outer(np.arange(k), np.arange(m + 1)) / k
        cos, sin = jnp.asarray(np.cos(phase), x.dtype), jnp.asarray(np.sin(phase), x.dtype)
        scale = inputs**-0.5
        real = self.param("real", nn.initializers.normal(scale), (m + 1, inputs, self.features))
        imag = self.param("imag", nn.initializers.normal(scale), (m + 1, inputs, self.features))
        basis = jnp.concatenate([cos, -sin], axis=1) * (2 / k) ** 0.5
        spectrum = jnp.einsum("bki,kn->nbi", x, basis)
        spectrum = jnp.concatenate([spectrum[: m + 1], spectrum[m + 1 :]], axis=-1)
        # (s0 + i s1) (w0 + i w1), one real matrix product per harmonic
        weights = jnp.concatenate([jnp.concatenate([real, imag], -1), jnp.concatenate([-imag, real], -1)], axis=1)
        product = jnp.concatenate(jnp.split(spectrum @ weights, 2, axis=-1))
        out = jnp.einsum("nbo,kn->bko", product, basis)
        return out + self.param("bias", nn.initializers.zeros, (1, 1, self.features))


def _standardised(module: nn.Module, x: Float[Array, "b f"]) -> Float[Array, "b f"]:
    """Features less their mean over their standard deviation, both over the images that `init` is given.

    From then on they are constants (Salimans and Kingma 2016, arXiv:1602.07868). What all sub-images have in common is
    most of a pooled feature: without this, the content's first differences drown in its posterior's width.
    """
    deviation = x.std(0)
    centre = module.param("centre", lambda _: x.mean(0))
    floored = jnp.maximum(deviation, 0.2 * deviation.mean())
    spread = module.param("spread", lambda _: jnp.where(deviation.mean() > 1e-6, floored, 1.0))
    # Features move on while the encoder learns. Bounded, they would lose their differences; unbounded, they run off.
    return jnp.arcsinh((x - jax.lax.stop_gradient(centre)[None]) / jax.lax.stop_gradient(spread)[None])


class _Polar(nn.Module):
    """Scores every orientation with one shared network; content and shift are read from all of them together.

    The content is pooled over the orientations, so that it cannot say in which frame it was read: of three equivalent
    neighbours that may be missing, only the angle can tell which one it is. The shift is the mean of vectors, one per
    orientation, each turned with its orientation.
    """

    config: PolarEncoder
    content_dim: int

    @nn.compact
    def __call__(self, x: Float[Array, "b k features"]) -> Encoded:
        c, k = self.config, self.config.orientations
        for i in range(c.layers):
            skip = 0.0 if i == 0 else nn.Dense(c.hidden)(x)
            x = nn.relu(nn.LayerNorm()(_CircularDense(c.hidden, c.harmonics)(x) + skip))
        heads = nn.Dense(5, kernel_init=nn.initializers.normal(0.3 * c.hidden**-0.5))(x)
        pooled = nn.relu(nn.Dense(c.hidden)(x))
        pooled = jnp.concatenate([pooled.mean(1), jnp.sqrt((pooled**2).mean(1) + 1e-6)], axis=-1)
        if c.standardise:
            # Normalised and without a bias, these units cannot all fall silent and leave one content for everything.
            pooled = nn.relu(nn.LayerNorm()(nn.Dense(c.hidden, use_bias=False)(_standardised(self, pooled))))
        else:
            pooled = nn.relu(nn.Dense(c.hidden)(pooled))
        invariant = nn.Dense(2 * self.content_dim + 1)(pooled)
        content = Normal(invariant[:, : self.content_dim], invariant[:, self.content_dim : -1] - 1)
        theta = 2 * np.pi * np.arange(k) / k
        cos, sin = jnp.asarray(np.cos(theta)[None], x.dtype), jnp.asarray(np.sin(theta)[None], x.dtype)
        vx, vy = heads[..., 3], heads[..., 4]
        turned = jnp.stack([vx * cos + vy * sin, -vx * sin + vy * cos], axis=-1)  # counter-clockwise with y down
        shift = Normal(turned.mean(1), jnp.broadcast_to(invariant[:, -1:] - 1, (len(x), 2)))
        residual = Normal(heads[..., 1], heads[..., 2] - 1)
        return Encoded(Circular(nn.log_softmax(heads[..., 0]), residual), shift, content)


def build(config: Encoder, shape: tuple[int, int, int], content_dim: int) -> Network:
    """The encoder of windows of shape (h, w, c).

    Returns:
        `init(*, key, images) -> params`, where the images, if given, set the scale of features, and
        `apply(params, images (b, h, w, c)) -> Encoded`.
    """
    blank = jnp.zeros((1, *shape))
    if isinstance(config, PolarEncoder):
        taps, weights = polar_taps(polar_points(shape[0], config.orientations, config.radii), shape[:2])
        polar = _Polar(config, content_dim)

        def features(images: Float[Array, "b h w c"]) -> Float[Array, "b k features"]:
            return polar_features(images, taps, weights, config.orientations)

        return Network(
            lambda *, key, images=blank: polar.init(key, features(images)),
            lambda params, images: polar.apply(params, features(images)),
        )
    module = _MLP(config, content_dim) if isinstance(config, MLPEncoder) else _Conv(config, content_dim)
    return Network(lambda *, key, images=blank: module.init(key, images), module.apply)
