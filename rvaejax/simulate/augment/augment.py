"""Augmentation: a labelled image as it could have been taken at another angle, dose, contrast, on another day."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from rvaejax.simulate.augment.config import AugmentConfig
from rvaejax.simulate.augment.geometry import random_warp, sample, sources
from rvaejax.simulate.degrade import blur, contamination, poisson, shift_rows, smooth_field
from rvaejax.simulate.draws import between, log_between


def augment(
    image: Float[Array, "h w"],
    labels: Float[Array, "h w classes"],
    config: AugmentConfig,
    *,
    key: PRNGKeyArray,
    pixel_size_nm: float = 0.02,
    size_px: int | None = None,
    extent: Integer[Array, "2"] | None = None,
) -> tuple[Float[Array, "size size"], Float[Array, "size size classes"]]:
    """A random crop of the image, changed at random, and its labels, moved with what moves in it.

    Slow drift and everything else that moves atoms moves their labels; the jitter of single rows does not, because an
    atom's place is its mean over rows. A magnified image has magnified labels.

    Args:
        image: intensities from about 0 to about 1 (an atom's peak).
        labels: class probabilities, the background first.
        config: what may change; what it turns off leaves the image exactly as it is.
        key: source of all randomness.
        pixel_size_nm: for the size of contamination's texture [nm].
        size_px: side of the crop; by default the image's own, which must then be square.
        extent: (height, width) of the image where it is padded at the bottom and to the right; by default all of it.

    Returns:
        Image and labels, the labels again in [0, 1] with sum 1.
    """
    side = image.shape[0] if size_px is None else size_px
    extent = jnp.array(image.shape) if extent is None else extent
    k_warp, k_light = jax.random.split(key)
    xy = sources(random_warp(config, side, extent, key=k_warp))
    moved = sample(jnp.concatenate([image[..., None], labels[..., 1:]], -1), xy, extent)
    atoms = jnp.clip(moved[..., 1:], 0.0, 1.0)
    atoms = atoms / jnp.maximum(atoms.sum(-1, keepdims=True), 1.0)
    background = 1 - atoms.sum(-1, keepdims=True)
    exposed = relight(moved[..., 0], config, pixel_size_nm=pixel_size_nm, key=k_light)
    return exposed, jnp.concatenate([background, atoms], -1)


def relight(
    image: Float[Array, "h w"], config: AugmentConfig, *, pixel_size_nm: float, key: PRNGKeyArray
) -> Float[Array, "h w"]:
    """The image with another resolution, background, contrast, contamination and dose; nothing but rows moves."""
    k = jax.random.split(key, 14)
    h, w = image.shape
    if config.blur_px[1] > 0:
        sigma = between(config.blur_px, key=k[0])
        image = jnp.where(sigma > 0.2, blur(image, sigma), image)
    if config.background[1] > 0:
        slope = smooth_field((h, w), h / 3, key=k[1])
        image = image + between(config.background, key=k[2]) * (1 + 0.4 * slope)
    if config.contamination_probability:
        here = jax.random.bernoulli(k[3], config.contamination_probability)
        bright = between(config.contamination, key=k[4])
        image = image + here * contamination((h, w), pixel_size_nm, bright, key=k[5])
    if config.contrast:
        image = image * jnp.exp(config.contrast * jax.random.normal(k[6]))
    if config.gamma != (1.0, 1.0):
        image = jnp.sign(image) * jnp.abs(image) ** between(config.gamma, key=k[7])
    if config.row_jitter_px[1] > 0:
        spread = between(config.row_jitter_px, key=k[8])
        image = shift_rows(image, spread * jax.random.normal(k[9], (h,)))
    if config.counts is not None:
        counts = log_between(config.counts, key=k[10])
        image = poisson(jnp.maximum(image, 0.0) * counts, key=k[11]) / counts
    if config.readout[1] > 0:
        image = image + between(config.readout, key=k[12]) * jax.random.normal(k[13], (h, w))
    return image
