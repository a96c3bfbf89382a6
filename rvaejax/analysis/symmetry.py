"""The rotational symmetry of a site, by its self-similarity under rotation about the window's centre.

A window f(r, phi) = sum over m of c_m(r) exp(i m phi) has the angular energies E_m = sum over r of r |c_m(r)|^2. What
is left of it when it is averaged over the turns by 2 pi / N are the orders that N divides, so that

    S_N = (sum of E_m over multiples of N) / (sum of E_m over all m >= 1)

is the share of the angular variance that is N-fold: the mean correlation of the window with its own turned copies.
The symmetry is the largest N with S_N of at least `LEAST`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer

from rvaejax.nets.polar import polar_features, polar_points, polar_taps
from rvaejax.rvae import elbo
from rvaejax.rvae.config import RVAEConfig
from rvaejax.rvae.inference import decoder_content
from rvaejax.rvae.record import TrainedRVAE

FOLDS = (2, 3, 4, 6)
LEAST = 0.95  # of S_N; a carbon site that lost one of three neighbours has S_3 = 0.87 in a window of 32 px
ISOTROPIC = 0.02  # least share of the variance over the disc that is angular, for a site to have an angle at all
ORIENTATIONS = 64
HIGHEST = 24  # order; above it only noise is looked for
_BATCH = 256


class Energies(NamedTuple):
    """Energies of each site, in any unit.

    Attributes:
        angular: (n, m) of the orders 1, 2, ..., without the noise's; scattered about 0 where there is only noise.
        radial: (n,) of the variation along the radius.
        noise: (n,) standard deviation of the sum of `angular` by noise alone.
    """

    angular: Float[np.ndarray, "n m"]
    radial: Float[np.ndarray, " n"]
    noise: Float[np.ndarray, " n"]


class Symmetry(NamedTuple):
    """The symmetry of each site.

    Attributes:
        fold: (n,) N; 1 where there is none, 0 where the site looks the same at every angle.
        similarity: (n,) S_N of that N; 1 where fold is 0 or 1.
    """

    fold: Integer[np.ndarray, " n"]
    similarity: Float[np.ndarray, " n"]


def site_symmetry(energies: Energies, *, folds: tuple[int, ...] = FOLDS, least: float = LEAST) -> Symmetry:
    """The largest N of `folds` for which at least the share `least` of a site's angular variance is N-fold."""
    total = energies.angular.sum(1)
    isotropic = total <= np.maximum(ISOTROPIC * (total + energies.radial), 3 * energies.noise)
    fold, similarity = np.ones(len(total), int), np.ones(len(total))
    for n in sorted(folds):
        share = energies.angular[:, n - 1 :: n].sum(1) / np.maximum(total, 1e-300)
        fold, similarity = np.where(share >= least, n, fold), np.where(share >= least, share, similarity)
    return Symmetry(np.where(isotropic, 0, fold), np.where(isotropic, 1.0, np.minimum(similarity, 1.0)))


def lacks(energies: Energies, fold: Integer[np.ndarray, " n"], *, least: float = LEAST) -> Bool[np.ndarray, " n"]:
    """Which sites do not have the symmetry `fold`, beyond three standard deviations of the noise.

    A decoder that averages over equal orientations draws a site with more symmetry than its image has; for these,
    the content does not say what is missing and the angle does not say where.
    """
    n, total = np.maximum(fold, 1), np.maximum(energies.angular.sum(1), 1e-300)
    multiple = (np.arange(energies.angular.shape[1]) + 1)[None] % n[:, None] == 0
    share = np.where(multiple, energies.angular, 0.0).sum(1) / total
    angular = energies.angular.sum(1) > np.maximum(ISOTROPIC * (total + energies.radial), 3 * energies.noise)
    return np.where(fold == 0, angular, angular & (share + 3 * energies.noise / total < least))


def image_energies(images: Float[np.ndarray, "n h w c"]) -> Energies:
    """Energies of windows as they are; the noise is estimated from the highest orders and taken off."""
    points = polar_points(images.shape[1], ORIENTATIONS, None)
    taps, weights = polar_taps(points, images.shape[1:3])
    apply = jax.jit(lambda x: polar_features(x, taps, weights, ORIENTATIONS))
    radius, noise = np.hypot(*points[0].T), noise_energies(images.shape[1])
    return _in_batches(lambda x: apply(x).reshape(len(x), *points.shape[:2], -1), images, radius, noise)


@functools.lru_cache(maxsize=8)
def noise_energies(size: int) -> Float[np.ndarray, "k r"]:
    """Energies r |c_m(r)|^2 of independent pixels of unit variance: their mean, from the polar samples' weights."""
    points = polar_points(size, ORIENTATIONS, None)
    taps, weights = polar_taps(points, (size, size))
    samples = np.zeros((len(taps), size * size))
    np.add.at(samples, (np.arange(len(taps))[:, None], taps), weights)
    spectrum = np.abs(np.fft.rfft(samples.reshape(*points.shape[:2], -1), axis=0)[: ORIENTATIONS // 2]) ** 2
    return spectrum.sum(2) * np.hypot(*points[0].T)[None]


def content_energies(
    model: TrainedRVAE, content: Float[np.ndarray, "n d"], classes: Float[np.ndarray, "n k"] | None = None
) -> Energies:
    """Energies of what the decoder draws of each site's content: free of noise, angle and shift.

    Args:
        model: a trained rVAE.
        content: in the reported order and sign.
        classes: probabilities of the classes, where there are such.
    """
    own = decoder_content(model, content, classes)
    apply = functools.partial(_drawer(model.config, model.image_shape), model.params)
    return _in_batches(apply, own, np.hypot(*polar_points(model.image_shape[0], ORIENTATIONS, None)[0].T))


def energies(
    samples: Float[np.ndarray, "n k r c"],
    radius: Float[np.ndarray, " r"],
    noise: Float[np.ndarray, "m r"] | None = None,
) -> Energies:
    """Energies of polar samples at k equally spaced angles and at radii [px].

    Args:
        samples: the windows.
        radius: of the samples.
        noise: what noise of unit variance has on average at each order and radius; its variance is estimated from the
            orders above `HIGHEST` at the radii that reach them. None where there is no noise.
    """
    k = samples.shape[1]
    white = np.zeros((k // 2, len(radius))) if noise is None else noise
    spectrum = np.abs(np.fft.rfft(samples, axis=1)[:, : k // 2]) ** 2 * radius[None, None, :, None]
    silent = (np.arange(k // 2)[:, None] > HIGHEST) & (white > 0.2 * white.max())
    level = (spectrum * silent[None, ..., None]).sum((1, 2)) / max((white * silent).sum(), 1e-300)  # (n, c)
    level = level if noise is not None else np.zeros_like(level)
    low = slice(1, min(HIGHEST, k // 2 - 1) + 1)
    angular = 2 * (spectrum[:, low].sum((2, 3)) - white[low].sum(1)[None] * level.sum(1, keepdims=True))
    # each energy is exponentially distributed, and so are those that the level is taken from
    variance = (white[low] ** 2).sum() + white[low].sum() ** 2 / max(int(silent.sum()), 1)
    mean = samples.mean(1)
    centred = mean - (mean * (radius / radius.sum())[None, :, None]).sum(1, keepdims=True)
    radial = k**2 * (radius[None, :, None] * centred**2).sum((1, 2)) - white[0].sum() * level.sum(1)
    return Energies(angular, np.maximum(radial, 0.0), 2 * np.sqrt(variance * (level**2).sum(1)))


def pooled(energies: Energies) -> Energies:
    """One site for many of the same kind: the mean of their energies, through more noise than one site bears."""
    n = len(energies.radial)
    noise = np.sqrt((energies.noise**2).sum(keepdims=True)) / n
    return Energies(energies.angular.mean(0, keepdims=True), energies.radial.mean(keepdims=True), noise)


@functools.lru_cache(maxsize=8)
def _drawer(config: RVAEConfig, shape: tuple[int, int, int]) -> Callable[..., Array]:
    """`(params, content (b, d)) -> polar samples (b, k, r, c)` at angle 0 and no shift, compiled once."""
    model, size = elbo.build(config, shape), shape[0]
    points = polar_points(size, ORIENTATIONS, None)
    flat = (points.reshape(-1, 2) / (size / 2)).astype(np.float32)

    def draw(params, content):
        drawn = model.decode(params, jnp.asarray(flat), jnp.zeros(()), jnp.zeros(2), content)
        return drawn.reshape(*points.shape[:2], -1)

    return jax.jit(jax.vmap(draw, in_axes=(None, 0)))


def _in_batches(
    apply: Callable[..., Array],
    rows: np.ndarray,
    radius: Float[np.ndarray, " r"],
    noise: Float[np.ndarray, "m r"] | None = None,
) -> Energies:
    """Energies of what a compiled function of `_BATCH` rows makes of all rows; the last batch is filled up."""
    parts = []
    for start in range(0, len(rows), _BATCH):
        part = np.asarray(rows[start : start + _BATCH], np.float32)
        samples = np.asarray(apply(np.resize(part, (_BATCH, *rows.shape[1:]))))[: len(part)]
        parts.append(energies(samples, radius, noise))
    return Energies(*(np.concatenate(field) for field in zip(*parts, strict=True)))
