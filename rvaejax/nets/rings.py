"""Windows on rings about a centre that may lie anywhere: there a rotation is a shift along each ring.

A function on the rings is (b, c, p): channels, and samples, ring by ring, counter-clockwise along each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rvaejax.nets.polar import polar_points

SPACING = 1.6  # largest distance of samples along a ring [px]
WIDE = 40  # windows of more pixels have rings two pixels apart: more would be drawn than is told by the noise
FINE = 8  # angles in each orientation's bin at which a correlation is evaluated


class Spectrum(NamedTuple):
    """Fourier series along each ring: sums over its samples times cosine and sine of n times their angle."""

    cos: Float[Array, "b f n"]
    sin: Float[Array, "b f n"]


class Rings(NamedTuple):
    """The rings of a window, and what is done on them.

    Attributes:
        points: (p, 2) samples around the centre [half windows].
        weight: (p,) area of the window that each stands for [px^2].
        sample: `(images (b, h, w, c), centre (b, 2) [half windows], scale) -> (b, c, p)`, bilinear; beyond the window,
            its border.
        spectrum: `(b, c, p) -> Spectrum`.
        correlate: `(x, t) -> (b, K FINE)`: the sum over all samples of x, turned back by each angle, times t, less what
            is the same for all angles. Angle FINE k + i lies (i - (FINE - 1) / 2) / FINE bins beyond orientation k.
        peak: `(x, t) -> (b,)`: the largest over these angles of the whole sum.
        all_peaks: `(x (b), t (m)) -> (b, m)`: the same of all pairs, over the K orientations alone.
        turned_back: `(x, weight (b, K FINE)) -> (b, c, p)`: x turned back by each angle, averaged with weights.
    """

    points: Float[np.ndarray, "p 2"]
    weight: Float[np.ndarray, " p"]
    sample: Callable[..., Float[Array, "b c p"]]
    spectrum: Callable[..., Spectrum]
    correlate: Callable[..., Float[Array, "b angles"]]
    peak: Callable[..., Float[Array, " b"]]
    all_peaks: Callable[..., Float[Array, "b m"]]
    turned_back: Callable[..., Float[Array, "b c p"]]


def build(size: int, orientations: int) -> Rings:
    """Rings of a window of `size` px, out to its border.

    Samples along a ring are a multiple of the orientations, so that a quarter turn of the window permutes them. Every
    pixel counts, however far apart the rings are: a sample is the mean over rings a pixel apart, with weights that fall
    in a straight line to the next ring.
    """
    around = orientations * max(1, -(-int(np.pi * (size - 1) / SPACING) // orientations))
    points = polar_points(size, around, None).transpose(1, 0, 2).astype(np.float32)
    area = np.hypot(*points[:, 0].T) * 2 * np.pi / around * (points[1, 0, 0] - points[0, 0, 0])
    every = np.arange(len(points))
    kept = every[:: 2 if size > WIDE else 1]
    near = np.stack([np.interp(every, kept, one) for one in np.eye(len(kept))]) * area
    weight = near.sum(1)
    n = np.arange(around // 2 + 1)
    phase = 2 * np.pi * np.outer(np.arange(around), n) / around
    series = np.concatenate([np.cos(phase), np.sin(phase)], 1).astype(np.float32)
    twice = np.where(n % (around // 2) == 0, 1.0, 2.0)[:, None] / around
    back = np.concatenate([twice * np.cos(phase).T, -twice * np.sin(phase).T]).astype(np.float32)
    fine = (np.arange(FINE * orientations) - (FINE - 1) / 2) * 2 * np.pi / (FINE * orientations)
    angles = np.concatenate([np.cos(np.outer(n, fine)), np.sin(np.outer(n, fine))]).astype(np.float32)
    to_sums = (np.concatenate([twice, twice]) * angles).astype(np.float32)
    to_fits = to_sums.copy()
    to_fits[0] = 0.0  # the rings' means: the same for all angles, and most of the sum

    def spectrum(v: Float[Array, "b c p"]) -> Spectrum:
        both = v.reshape(len(v), -1, around) @ series
        return Spectrum(both[..., : len(n)], both[..., len(n) :])

    def product(x: Spectrum, t: Spectrum) -> Float[Array, "b m"]:
        real = (x.cos * t.cos + x.sin * t.sin).sum(1)
        imag = (x.sin * t.cos - x.cos * t.sin).sum(1)
        return jnp.concatenate([real, imag], -1)

    def correlate(x: Spectrum, t: Spectrum) -> Float[Array, "b angles"]:
        return product(x, t) @ to_fits

    def peak(x: Spectrum, t: Spectrum) -> Float[Array, " b"]:
        return (product(x, t) @ to_sums).max(-1)

    def all_peaks(x: Spectrum, t: Spectrum) -> Float[Array, "b m"]:
        def pairs(one, other):
            return jnp.einsum("bfn,mfn->bmn", one, other)

        real = pairs(x.cos, t.cos) + pairs(x.sin, t.sin)
        imag = pairs(x.sin, t.cos) - pairs(x.cos, t.sin)
        return (jnp.concatenate([real, imag], -1) @ to_sums[:, FINE // 2 :: FINE]).max(-1)

    def turned_back(x: Spectrum, weight: Float[Array, "b angles"]) -> Float[Array, "b c p"]:
        c, s = jnp.split((weight @ angles.T)[:, None], 2, axis=-1)
        both = jnp.concatenate([x.cos * c + x.sin * s, x.cos * s - x.sin * c], -1) @ back
        return both.reshape(len(both), -1, len(kept) * around)

    bilinear, means = _sampler(points.reshape(-1, 2), size), (near / weight[:, None]).astype(np.float32)

    def sample(images, centre, scale=1.0):
        fine = bilinear(images, centre, scale)
        if len(kept) == len(points):
            return fine
        rings = fine.reshape(*fine.shape[:2], len(points), around)
        return jnp.einsum("kr,bcra->bcka", means, rings).reshape(*fine.shape[:2], -1)

    at = points[kept].reshape(-1, 2) / np.float32(size / 2)
    of = np.repeat(weight, around).astype(np.float32)
    return Rings(at, of, sample, spectrum, correlate, peak, all_peaks, turned_back)


def _sampler(points: Float[np.ndarray, "p 2"], size: int) -> Callable[..., Float[Array, "b c p"]]:
    def sample(
        images: Float[Array, "b h w c"], centre: Float[Array, "b 2"], scale: Float[Array, "b 1 1"] | float = 1.0
    ) -> Float[Array, "b c p"]:
        at = jnp.clip(points[None] * scale + (centre * (size / 2))[:, None] + (size - 1) / 2, 0, size - 1)
        low = jnp.minimum(jnp.floor(at), size - 2)
        across, down = jnp.moveaxis(at - low, -1, 0)[..., None]
        first = (low[..., 1] * size + low[..., 0]).astype(jnp.int32)
        flat = images.reshape(len(images), size * size, -1)

        def tap(offset: int) -> Float[Array, "b p c"]:
            return jnp.take_along_axis(flat, (first + offset)[..., None], axis=1)

        upper, lower = (tap(o) * (1 - across) + tap(o + 1) * across for o in (0, size))
        return jnp.moveaxis(upper * (1 - down) + lower * down, -1, 1)

    return sample
