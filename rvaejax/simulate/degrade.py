"""What happens to an image between the specimen and the file: scan, sample, counting, camera, export."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


def poisson(rate: Float[Array, "..."], *, key: PRNGKeyArray) -> Float[Array, "..."]:
    """Counts of the given rate, as the square of a shifted normal: right in mean and variance within 1/8 count.

    (sqrt(rate - 1/4) + n/2)² has mean `rate` and variance `rate - 1/8` for rates above 1/4: the inverse of
    Anscombe's transform (Biometrika 35, 246, 1948). It is positive and skewed as counts are, and 20 times as fast on
    a CPU as a sampler by rejection.
    """
    z = jax.random.normal(key, rate.shape)
    root = jnp.sqrt(jnp.maximum(rate - 0.25, 0.0))
    # below a quarter count the spread shrinks with the rate, so that the mean stays right
    spread = jnp.where(rate > 0.25, 0.5, jnp.sqrt(jnp.maximum(rate, 0.0)))
    return (root + spread * z) ** 2


def blur(image: Float[Array, "h w"], sigma: Float[Array, ""] | float) -> Float[Array, "h w"]:
    """Gaussian blur [px] as two matrix products, each row of the kernel summing to 1 (also at the borders)."""

    def kernel(n: int) -> Float[Array, "n n"]:
        d = jnp.arange(n)[:, None] - jnp.arange(n)[None, :]
        k = jnp.exp(-0.5 * (d / jnp.maximum(sigma, 1e-3)) ** 2)
        return k / k.sum(1, keepdims=True)

    return kernel(image.shape[0]) @ image @ kernel(image.shape[1]).T


def smooth_field(shape: tuple[int, int], sigma: Float[Array, ""] | float, *, key: PRNGKeyArray) -> Float[Array, "h w"]:
    """A smooth random field of mean 0 and variance about 1 with correlation length `sigma` [px]."""
    f = blur(jax.random.normal(key, shape), sigma)
    return (f - f.mean()) / (f.std() + 1e-6)


def shift_rows(image: Float[Array, "h w"], shift: Float[Array, " h"]) -> Float[Array, "h w"]:
    """Each row moved to the right by its own `shift` [px], linearly interpolated: the jitter of a scan."""
    w = image.shape[1]
    x = jnp.clip(jnp.arange(w)[None, :] - shift[:, None], 0, w - 1)
    low = jnp.floor(x).astype(jnp.int32)
    part = x - low
    take = jnp.take_along_axis
    return (1 - part) * take(image, low, 1) + part * take(image, jnp.minimum(low + 1, w - 1), 1)


def amorphous(
    patch: Float[Array, "h w"], pixel_size_nm: float, brightness: Float[Array, ""] | float, *, key: PRNGKeyArray
) -> Float[Array, "h w"]:
    """Contamination where `patch` (0 to 1) is: bright, with a random, atom-sized texture."""
    k_fine, k_coarse, k_depth = jax.random.split(key, 3)
    h, w = patch.shape
    fine = smooth_field((h, w), 0.06 / pixel_size_nm, key=k_fine)
    coarse = smooth_field((h, w), 0.16 / pixel_size_nm, key=k_coarse)
    depth = jax.random.uniform(k_depth, (2,), minval=0.03, maxval=0.32)
    return brightness * patch * jnp.maximum(1 + depth[0] * fine + depth[1] * coarse, 0.1)


def contamination(
    shape: tuple[int, int], pixel_size_nm: float, brightness: Float[Array, ""] | float, *, key: PRNGKeyArray
) -> Float[Array, "h w"]:
    """Amorphous patches of a random smooth shape that cover part of the field."""
    k_shape, k_cover, k_texture, k_size = jax.random.split(key, 4)
    size = jnp.exp(jax.random.uniform(k_size, minval=math.log(0.15), maxval=math.log(0.7))) / pixel_size_nm
    cover = jax.random.uniform(k_cover, minval=0.0, maxval=1.6)
    patch = jax.nn.sigmoid(4.0 * (smooth_field(shape, size, key=k_shape) - cover))
    return amorphous(patch, pixel_size_nm, brightness, key=k_texture)
