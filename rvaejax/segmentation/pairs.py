"""A user's pairs made ready for training: at the canonical pixel, on one scale, with the network's own kind of labels.

The labels are Gaussians of `ImagingConfig.label_nm` at the known positions, as in simulated images, so that maps mean
the same after fine-tuning as before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from rvaejax.errors import ImageError
from rvaejax.io.pairs import Pairs
from rvaejax.segmentation.config import SegmenterConfig
from rvaejax.segmentation.pixel_size import known_pixel_size
from rvaejax.segmentation.scaling import SMALLEST_PX, canonical_shape, resample, robust_scale
from rvaejax.simulate.augment.augment import augment
from rvaejax.simulate.imaging import gaussians
from rvaejax.types import Atoms, Movie

FLOOR, PEAK = 0.02, 0.99  # quantiles of the intensities that become 0 and 1


class PairStack(NamedTuple):
    """Pairs of all sizes in one array, padded at the bottom and to the right.

    Attributes:
        images: (n, h, w) at the canonical pixel, from about 0 to about 1.
        labels: (n, h, w, classes), the background first; half precision.
        extent: (n, 2) height and width of each without the padding [px].
    """

    images: Float[Array, "n h w"]
    labels: Float[Array, "n h w classes"]
    extent: Integer[Array, "n 2"]


def movies(pairs: Pairs) -> list[tuple[Movie, Atoms]]:
    """Each image as a movie of one frame with a pixel size, and its atoms.

    Raises:
        PixelSizeError: a pixel size is unknown, and no lattice tells it.
    """
    out = []
    for number, (image, px, name) in enumerate(zip(pairs.images, pairs.pixel_size_nm, pairs.names, strict=True)):
        movie = Movie(image[None], px, "option" if px is not None else "", name=name)
        size, source = known_pixel_size(movie)
        here = pairs.atoms.select(pairs.atoms.frame == number)
        atoms = replace(here, frame=0 * here.frame, pixel_size_nm=size)
        out.append((replace(movie, pixel_size_nm=size, pixel_size_source=source), atoms))
    return out


def split(has_atoms: Sequence[bool], holdout: float, seed: int) -> tuple[list[int], list[int]]:
    """Numbers (to learn from, held out) of the pairs; on each side at least one that has atoms.

    Args:
        has_atoms: whether each pair has any; at least two must.
        holdout: share to hold out.
        seed: of the draw.
    """
    n = len(has_atoms)
    order = np.random.default_rng([seed, n]).permutation(n).tolist()
    first, second = [number for number in order if has_atoms[number]][:2]
    rest = [number for number in order if number not in (first, second)]
    more = min(max(0, round(holdout * n) - 1), len(rest))
    return sorted([second, *rest[more:]]), sorted([first, *rest[:more]])


def stack(known: list[tuple[Movie, Atoms]], config: SegmenterConfig) -> PairStack:
    """The pairs as arrays for the device.

    Raises:
        ImageError: an image is too small at the canonical pixel.
    """
    made = [_canonical(movie, atoms, config) for movie, atoms in known]
    height, width = (max(image.shape[axis] for image, _ in made) for axis in (0, 1))
    images = np.zeros((len(made), height, width), np.float32)
    labels = np.zeros((len(made), height, width, 1 + len(config.species)), np.float16)
    for number, (image, label) in enumerate(made):
        h, w = image.shape
        images[number, :h, :w], labels[number, :h, :w] = image, label
    extent = np.array([image.shape for image, _ in made], np.int32)
    return PairStack(jnp.asarray(images), jnp.asarray(labels), jnp.asarray(extent))


def _canonical(movie: Movie, atoms: Atoms, config: SegmenterConfig) -> tuple[np.ndarray, np.ndarray]:
    """Image and labels of one pair at the canonical pixel."""
    px = movie.pixel_size_nm
    assert px is not None
    shape = canonical_shape(movie.size, px, config.pixel_size_nm)
    if min(shape) < SMALLEST_PX:
        raise ImageError(f"{movie.name}: only {shape[1]} x {shape[0]} px of {config.pixel_size_nm} nm; too small")
    image = np.asarray(resample(jnp.asarray(movie.frames[0], jnp.float32), shape))
    low, high = np.quantile(image, [FLOOR, PEAK])
    image = (image - low) / max(high - low, 1e-12)
    scale = np.array(shape[::-1]) / np.array(movie.size[::-1])  # pixel edges, not centres, are what stays together
    xy = (np.column_stack([atoms.x, atoms.y]) + 0.5) * scale - 0.5
    rows, columns = jnp.arange(float(shape[0])), jnp.arange(float(shape[1]))
    sigma = config.imaging.label_nm / config.pixel_size_nm
    maps = [
        gaussians(jnp.asarray(xy, jnp.float32), jnp.asarray(atoms.species == s, jnp.float32), sigma, rows, columns)
        for s in config.species
    ]
    drawn = jnp.stack(maps, -1)
    drawn = drawn / jnp.maximum(drawn.sum(-1, keepdims=True), 1.0)
    return image, np.asarray(jnp.concatenate([1 - drawn.sum(-1, keepdims=True), drawn], -1))


def pairs_batch(
    pairs: PairStack, n: int, config: SegmenterConfig, *, key: PRNGKeyArray
) -> tuple[Float[Array, "n size size"], Float[Array, "n size size classes"]]:
    """`n` augmented crops, robustly scaled as the network takes them, and their labels."""
    k_rows, k_change = jax.random.split(key)
    rows = jax.random.randint(k_rows, (n,), 0, len(pairs.images))

    def one(row: Integer[Array, ""], key: PRNGKeyArray) -> tuple[Float[Array, "s s"], Float[Array, "s s classes"]]:
        image, labels = augment(
            pairs.images[row],
            pairs.labels[row].astype(jnp.float32),
            config.augment,
            key=key,
            pixel_size_nm=config.pixel_size_nm,
            size_px=config.imaging.size_px,
            extent=pairs.extent[row],
        )
        return robust_scale(image), labels

    return jax.vmap(one)(rows, jax.random.split(k_change, n))
