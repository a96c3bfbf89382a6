"""Windows on rings about a centre that may lie anywhere, as a Fourier series along each ring.

There a rotation turns each pair of a cosine's and a sine's coefficient, and the inner product of two windows, each
pixel counted once, is that of their coefficients. What a band-limited decoder draws needs few of them: along a ring of
radius r, a wave of angular frequency k has amplitudes J_n(k r), next to nothing for n above k r (Abramowitz and Stegun
1964, 9.1.41 and 9.3).

A function is (..., p) at samples, ring by ring, counter-clockwise along each, or (..., q) in coefficients: those of all
cosines, then those of the sines.
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
_TAIL = 4.0  # J_n(x) is about 1e-4 at n = x + 4 x^(1/3), for x above 1


class Rings(NamedTuple):
    """The rings of a window, and what is done on them.

    Attributes:
        points: (p, 2) samples around the centre [half windows].
        sample: `(images (b, h, w, c), centre (b, 2) [half windows], scale) -> (b, c, p)`, bilinear; beyond the window,
            its border.
        series: `(..., p) -> (..., q)`, coefficients; products of two functions' sum to the integral of their product
            over the window [px^2]. Linear, of NumPy's arrays and of JAX's.
        correlate: `(x (b, c, q), t (b, c, q)) -> (b, K FINE)`: the inner product of x, turned back by each angle, and
            t, less what is the same for all angles. Angle FINE k + i lies (i - (FINE - 1) / 2) / FINE bins beyond
            orientation k.
        peak: `(x, t) -> (b,)`: the largest over these angles of the whole inner product.
        all_peaks: `(x (b), t (m)) -> (b, m)`: the same of all pairs.
        turned_back: `(x, weight (b, K FINE)) -> (b, c, q)`: x turned back by each angle, averaged with weights.
    """

    points: Float[np.ndarray, "p 2"]
    sample: Callable[..., Float[Array, "b c p"]]
    series: Callable[..., Float[Array, "... q"]]
    correlate: Callable[..., Float[Array, "b angles"]]
    peak: Callable[..., Float[Array, " b"]]
    all_peaks: Callable[..., Float[Array, "b m"]]
    turned_back: Callable[..., Float[Array, "b c q"]]


def build(size: int, orientations: int, fastest: float = np.inf) -> Rings:
    """Rings of a window of `size` px, out to its border.

    Args:
        size: of the window [px].
        orientations: K.
        fastest: angular frequency above which nothing is drawn [rad per half window]; coefficients that only faster
            waves have are left out.
    """
    samples = _samples(size, orientations)
    order, ring, series = _coefficients(samples, fastest)
    fine = (np.arange(FINE * orientations) - (FINE - 1) / 2) * 2 * np.pi / (FINE * orientations)
    orders = np.arange(order.max() + 1)
    angles = np.concatenate([np.cos(np.outer(orders, fine)), np.sin(np.outer(orders, fine))]).astype(np.float32)
    varying = angles.copy()
    varying[0] = 0.0  # the rings' means: the same for all angles, and most of the sum
    of_order = (order[:, None] == orders[None]).astype(np.float32)
    each = np.concatenate([order, len(orders) + order])  # the row of `angles` of each coefficient
    numbers = np.full((len(orders), len(samples.weight)), len(order))  # of coefficients by order and ring; gaps: none
    numbers[order, ring] = np.arange(len(order))

    def halves(v: Float[Array, "... q"]) -> tuple[Float[Array, "... h"], Float[Array, "... h"]]:
        return v[..., : len(order)], v[..., len(order) :]

    def product(x: Float[Array, "b c q"], t: Float[Array, "b c q"]) -> Float[Array, "b m"]:
        (xc, xs), (tc, ts) = halves(x), halves(t)
        real, imag = (xc * tc + xs * ts).sum(1), (xs * tc - xc * ts).sum(1)
        return jnp.concatenate([real @ of_order, imag @ of_order], -1)

    def by_order(v: Float[Array, "b c h"]) -> Float[Array, "n b cr"]:
        with_gap = jnp.concatenate([v, jnp.zeros((*v.shape[:-1], 1), v.dtype)], -1)
        return jnp.moveaxis(with_gap[..., numbers], 2, 0).reshape(len(orders), len(v), -1)

    def all_peaks(x, t):
        xc, xs, tc, ts = (by_order(half) for v in (x, t) for half in halves(v))
        right = jnp.concatenate([tc, ts], -1)
        pairs = [jnp.einsum("nbk,nmk->nbm", jnp.concatenate(left, -1), right) for left in ((xc, xs), (xs, -xc))]
        both = jnp.moveaxis(jnp.concatenate(pairs), 0, -1)
        return (both @ angles).max(-1)

    def turned_back(x, weight):
        (c, s), (cos, sin) = halves(x), (v[:, None] for v in halves((weight @ angles.T)[:, each]))
        return jnp.concatenate([c * cos + s * sin, s * cos - c * sin], -1)

    return Rings(
        points=samples.points,
        sample=samples.sample,
        series=series,
        correlate=lambda x, t: product(x, t) @ varying,
        peak=lambda x, t: (product(x, t) @ angles).max(-1),
        all_peaks=all_peaks,
        turned_back=turned_back,
    )


class _Samples(NamedTuple):
    """Samples on rings: where they are [half windows], what area a ring stands for [px^2], and how they are taken."""

    points: Float[np.ndarray, "p 2"]
    weight: Float[np.ndarray, " r"]
    sample: Callable[..., Float[Array, "b c p"]]


def _samples(size: int, orientations: int) -> _Samples:
    """Along a ring there are a multiple of the orientations, so that a quarter turn of the window permutes them.

    Every pixel counts, however far apart the rings are: a sample is the mean over rings a pixel apart, with weights
    that fall in a straight line to the next ring.
    """
    around = orientations * max(1, -(-int(np.pi * (size - 1) / SPACING) // orientations))
    points = polar_points(size, around, None).transpose(1, 0, 2).astype(np.float32)
    area = np.hypot(*points[:, 0].T) * 2 * np.pi * (points[1, 0, 0] - points[0, 0, 0])
    every = np.arange(len(points))
    kept = every[:: 2 if size > WIDE else 1]
    near = np.stack([np.interp(every, kept, one) for one in np.eye(len(kept))]) * area
    weight = near.sum(1)
    bilinear, means = _sampler(points.reshape(-1, 2), size), (near / weight[:, None]).astype(np.float32)

    def sample(images, centre, scale=1.0):
        fine = bilinear(images, centre, scale)
        if len(kept) == len(points):
            return fine
        rings = fine.reshape(*fine.shape[:2], len(points), around)
        return jnp.einsum("kr,bcra->bcka", means, rings).reshape(*fine.shape[:2], -1)

    return _Samples(points[kept].reshape(-1, 2) / np.float32(size / 2), weight, sample)


def _coefficients(samples: _Samples, fastest: float) -> tuple[np.ndarray, np.ndarray, Callable]:
    """The order and the ring of each cosine, and of each sine, that is kept, and `Rings.series`."""
    rings = len(samples.weight)
    around = len(samples.points) // rings
    order, ring = np.meshgrid(np.arange(around // 2 + 1), np.arange(rings))
    reach = fastest * np.hypot(*samples.points[::around].T)[ring]
    order, ring = (v[order <= np.maximum(reach + _TAIL * np.cbrt(reach), 1)] for v in (order, ring))
    phase = 2 * np.pi * np.outer(np.arange(around), np.arange(around // 2 + 1)) / around
    waves = np.concatenate([np.cos(phase), np.sin(phase)], 1).astype(np.float32)
    half = ring * waves.shape[1] + order
    kept = np.concatenate([half, half + around // 2 + 1])
    twice = np.where(order % (around // 2) == 0, 1.0, 2.0)
    scale = np.tile(np.sqrt(samples.weight[ring] * twice) / around, 2).astype(np.float32)

    def series(v):
        every = v.reshape(*v.shape[:-1], rings, around) @ waves
        return every.reshape(*v.shape[:-1], -1)[..., kept] * scale.reshape((1,) * (v.ndim - 1) + (-1,))

    return order, ring, series


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
