"""The networks that the rVAE is compared with: the paper's convolutional autoencoder, and a VAE without a pose."""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rvaejax.nets.convolutions import Convolution
from rvaejax.nets.encoders import Normal
from rvaejax.nets.network import Network

Shape = tuple[int, int, int]


class Autoencoder(NamedTuple):
    """An encoder and a decoder.

    Attributes:
        encode: `init(*, key)` and `apply(params, images (b, h, w, c)) -> Normal` of (b, d); the standard deviation of
            an autoencoder without a posterior is exp(-inf) = 0.
        decode: `init(*, key)` and `apply(params, latents (b, d)) -> images (b, h, w, c)`.
    """

    encode: Network
    decode: Network


class _ConvEncoder(nn.Module):
    filters: tuple[int, ...]
    latents: int

    @nn.compact
    def __call__(self, images: Float[Array, "b h w c"]) -> Normal:
        x = images
        for filters in self.filters:
            x = nn.relu(Convolution(filters)(x))
        mean = nn.Dense(self.latents)(x.reshape(len(x), -1))
        return Normal(mean, jnp.full_like(mean, -jnp.inf))


class _ConvDecoder(nn.Module):
    filters: tuple[int, ...]
    shape: Shape

    @nn.compact
    def __call__(self, latents: Float[Array, "b d"]) -> Float[Array, "b h w c"]:
        h, w, c = self.shape
        small = [-(-side // 2 ** len(self.filters)) for side in (h, w)]
        x = nn.relu(nn.Dense(small[0] * small[1] * self.filters[-1])(latents))
        x = x.reshape(len(x), *small, self.filters[-1])
        for filters in reversed(self.filters):
            x = nn.relu(Convolution(filters, up=True)(x))
        return Convolution(c, stride=1, up=True)(x)[:, :h, :w]


class _PlainEncoder(nn.Module):
    hidden: tuple[int, ...]
    latents: int

    @nn.compact
    def __call__(self, images: Float[Array, "b h w c"]) -> Normal:
        x = images.reshape(len(images), -1)
        for hidden in self.hidden:
            x = jnp.tanh(nn.Dense(hidden)(x))
        return Normal(*jnp.split(nn.Dense(2 * self.latents)(x), 2, axis=-1))


class _PlainDecoder(nn.Module):
    hidden: tuple[int, ...]
    shape: Shape

    @nn.compact
    def __call__(self, latents: Float[Array, "b d"]) -> Float[Array, "b h w c"]:
        x = latents
        for hidden in self.hidden:
            x = jnp.tanh(nn.Dense(hidden)(x))
        h, w, c = self.shape
        return nn.Dense(h * w * c)(x).reshape(len(x), h, w, c)


def convolutional(shape: Shape, *, filters: tuple[int, ...], latents: int) -> Autoencoder:
    """Convolutions 3x3 of stride 2 with ReLU, a dense latent layer, and transposed convolutions in mirrored order.

    The paper does not say how the last transposed convolution's filters become channels: one more 3x3 layer, linear.
    """
    return _pair(_ConvEncoder(filters, latents), _ConvDecoder(filters, shape), shape, latents)


def fully_connected(shape: Shape, *, hidden: tuple[int, ...], latents: int) -> Autoencoder:
    """The rVAE's fully connected layers with tanh, from and to all pixels at once: no angle, no shift."""
    return _pair(_PlainEncoder(hidden, latents), _PlainDecoder(hidden, shape), shape, latents)


def _pair(encoder: nn.Module, decoder: nn.Module, shape: Shape, latents: int) -> Autoencoder:
    def start_encoder(*, key: jax.Array):
        return encoder.init(key, jnp.zeros((1, *shape)))

    def start_decoder(*, key: jax.Array):
        return decoder.init(key, jnp.zeros((1, latents)))

    return Autoencoder(Network(start_encoder, encoder.apply), Network(start_decoder, decoder.apply))
