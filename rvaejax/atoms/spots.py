"""Blobs in probability maps: their peaks, centroids, widths, masses and overlaps with the label, on the device.

One compiled call a frame, `find_spots`, in arrays of a fixed number of rows; `jax.vmap` takes it over frames. Rows
come last, so that a sum over a blob's pixels is a sum over whole vectors of blobs.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Num

ITERATIONS = 4
DISC_OF_BLOB = 2.2  # radius within which a blob's mass is told, over the label's width: half a bond
WINDOW_OF_BLOB = 0.75  # width of the centroid's weight over the label's: narrow enough that neighbours do not pull
ANGLES, LENGTHS = 18, 21  # directions and distances that are tried for two atoms in one blob


class Lengths(NamedTuple):
    """What is compiled in. Lengths in px of the maps.

    Attributes:
        blob: standard deviation of a label.
        smoothing: standard deviation of the smoothing before peaks are sought.
        separation: two peaks nearer than this, rounded to whole pixels, are one atom.
        least: density that a peak must exceed.
    """

    blob: float
    smoothing: float
    separation: float
    least: float

    @property
    def reach(self) -> int:
        """Pixels from a patch's middle to its rim."""
        return math.ceil(2.5 * self.blob)


class Spots(NamedTuple):
    """Blobs of one frame, one a row; those after the first `total` are empty.

    Attributes:
        pixel: (n, 2) where the smoothed density peaks (x, y).
        offset: (n, 2) the blob's centre from there [px].
        variance: (n,) of the blob, per axis [px²].
        mass: (n,) of the blob, in units of a label's.
        overlap: (n, species) with the label, in units of the label's with itself.
        total: how many peaks there are; those beyond n are left out.
    """

    pixel: Int[Array, "n 2"]
    offset: Float[Array, "n 2"]
    variance: Float[Array, " n"]
    mass: Float[Array, " n"]
    overlap: Float[Array, "n species"]
    total: Int[Array, ""]


def _along(x: Float[Array, "h w"], axis: int, shift: int, length: int) -> Float[Array, "h w"]:
    return jax.lax.slice_in_dim(x, shift, shift + length, axis=axis)


def _smoothed(density: Float[Array, "h w"], sigma: float) -> Float[Array, "h w"]:
    """Gaussian filter, cut off at four standard deviations, the image mirrored at its border."""
    reach = int(4 * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        wide = jnp.pad(density, [(reach * (a == axis), reach * (a == axis)) for a in (0, 1)], mode="symmetric")
        shifted = (float(k) * _along(wide, axis, i, density.shape[axis]) for i, k in enumerate(kernel))
        density = functools.reduce(jnp.add, shifted)
    return density


def _highest(density: Float[Array, "h w"], reach: int) -> Float[Array, "h w"]:
    """The maximum over the square around each pixel, 0 beyond the border."""
    for axis in (0, 1):
        n = density.shape[axis]
        wide = jnp.pad(density, [(reach * (a == axis), reach * (a == axis)) for a in (0, 1)])
        span = 1
        while span < 2 * reach + 1:  # the maximum over `span` pixels becomes that over up to twice as many
            step = min(span, 2 * reach + 1 - span)
            length = wide.shape[axis] - step
            wide = jnp.maximum(_along(wide, axis, 0, length), _along(wide, axis, step, length))
            span += step
        density = _along(wide, axis, 0, n)
    return density


def is_peak(density: Float[Array, "h w"], separation: float, least: float) -> Bool[Array, "h w"]:
    """Local maxima of more than `least`; of two nearer than `separation` [px] the higher stays, of equals the first."""
    h, w = density.shape
    reach = max(round(separation), 1)
    highest = (density == _highest(density, reach)) & (density > least)
    wide = jnp.pad(highest, ((reach, 0), (reach, reach)))
    before = [
        (y, x)
        for y in range(-reach, 1)
        for x in range(-reach, reach + 1)
        if (y, x) < (0, 0) and math.hypot(y, x) <= reach
    ]
    taken = functools.reduce(jnp.logical_or, (wide[reach + y :, reach + x :][:h, :w] for y, x in before))
    return highest & ~taken


def _patches(maps: Num[Array, "h w c"], pixel: Int[Array, "n 2"], reach: int) -> Float[Array, "c k k n"]:
    """Each map around some pixels, zeros beyond the border."""
    wide = jnp.pad(maps.astype(jnp.float32), ((reach, reach), (reach, reach), (0, 0)))
    d = jnp.arange(2 * reach + 1)[:, None]
    x, y = d + pixel[None, :, 0], d + pixel[None, :, 1]
    return jnp.stack([wide[..., c][y[:, None, :], x[None, :, :]] for c in range(maps.shape[2])])


def _summed(terms: Iterable[Array]) -> Array:
    """Their sum, written out: XLA makes one loop of it, where it would take a reduction number by number."""
    return functools.reduce(operator.add, terms)


def _inside(shape: tuple[int, ...], pixel: Int[Array, "n 2"], reach: int) -> Float[Array, "2 k n"]:
    """1 where a patch's columns and rows lie in the frame, else 0."""
    at = jnp.arange(-reach, reach + 1)[None, :, None] + pixel.T[:, None]
    size = jnp.array([shape[1], shape[0]])[:, None, None]
    return ((at >= 0) & (at < size)).astype(jnp.float32)


def _bell(grid: Float[Array, " k"], centre: Float[Array, " n"], sigma: float) -> Float[Array, "k n"]:
    return jnp.exp(-0.5 * ((grid[:, None] - centre[None]) / sigma) ** 2)


def weighted_centroids(
    patches: Float[Array, "k k n"], inside: Float[Array, "2 k n"], blob: float
) -> tuple[Float[Array, "2 n"], Float[Array, " n"]]:
    """Centre (x, y) of the blob in each patch, from the patch's middle, and its variance per axis [px, px²].

    A centroid weighted by a Gaussian of width w moves from its centre by w² / (w² + b²) of the way to a Gaussian blob
    of width b; dividing by that factor and repeating converges on the blob's centre. Where the frame's border cuts the
    blob, its centroid is compared with that of a Gaussian that is cut at the same place.
    """
    reach = patches.shape[0] // 2
    window = WINDOW_OF_BLOB * blob
    gain = 1 + (blob / window) ** 2
    grid = jnp.arange(-reach, reach + 1.0)

    def moment(centre: Float[Array, "2 n"], order: int) -> Float[Array, "2 n"]:
        """Weighted means of (x, y), or of the squares of their distances from the centre."""
        wx, wy = (_bell(grid, c, window) for c in centre)
        dx, dy = (grid[:, None] - (c[None] if order == 2 else 0.0) for c in centre)
        rows = _summed(patches[:, j] * wx[j][None] for j in range(len(grid))) * wy
        columns = _summed(patches[i] * wy[i][None] for i in range(len(grid))) * wx
        first = jnp.stack([_summed(columns * dx**order), _summed(rows * dy**order)])
        return first / jnp.maximum(_summed(rows), 1e-12)[None]

    both = 1 / math.hypot(1 / blob, 1 / window)  # width of blob times weight

    def expected(centre: Float[Array, " n"], seen: Float[Array, "k n"]) -> Float[Array, " n"]:
        shown = _bell(grid, centre, both) * seen
        return _summed(shown * grid[:, None]) / jnp.maximum(_summed(shown), 1e-12)

    def nearer(_: int, centre: Float[Array, "2 n"]) -> Float[Array, "2 n"]:
        cut = jnp.stack([expected(c, seen) for c, seen in zip(centre, inside, strict=True)])
        return jnp.clip(centre + gain * (moment(centre, 1) - cut), -reach / 2, reach / 2)

    centre = jax.lax.fori_loop(0, ITERATIONS, nearer, jnp.zeros((2, patches.shape[2])))
    variance = moment(centre, 2).mean(0)
    # the weighted variance v of a blob of variance s: 1/v = 1/s + 1/w²
    return centre, 1 / jnp.maximum(1 / jnp.maximum(variance, 1e-6) - 1 / window**2, 1e-3)


def _overlaps(
    patches: Float[Array, "c k k n"], inside: Float[Array, "2 k n"], centre: Float[Array, "2 n"], blob: float
) -> Float[Array, "n c"]:
    """Overlap of each map with a label at the centre, over that of what the frame shows of the label with itself."""
    reach = patches.shape[1] // 2
    gx, gy = (_bell(jnp.arange(-reach, reach + 1.0), c, blob) for c in centre)
    norm = jnp.maximum(_summed(gx**2 * inside[0]) * _summed(gy**2 * inside[1]), 1e-12)
    rows = _summed(patches[:, :, j] * gx[j][None, None] for j in range(len(gx)))
    return (_summed(rows[:, i] * gy[i][None] for i in range(len(gy))) / norm[None]).T


def _disc(reach: int, blob: float) -> Bool[np.ndarray, "k k"]:
    d = np.arange(-reach, reach + 1)
    return np.hypot(d[:, None], d[None]) <= DISC_OF_BLOB * blob


@functools.partial(jax.jit, static_argnames=("lengths", "rows"))
def find_spots(maps: Num[Array, "h w c"], lengths: Lengths, rows: int) -> Spots:
    """Blobs of one frame of maps, from top to bottom.

    Args:
        maps: probabilities per species.
        lengths: what a blob is.
        rows: room for so many.
    """
    density = maps.astype(jnp.float32).sum(-1)
    peak = is_peak(_smoothed(density, lengths.smoothing), lengths.separation, lengths.least)
    y, x = jnp.nonzero(peak, size=rows)
    pixel = jnp.stack([x, y], 1)
    patches = _patches(maps, pixel, lengths.reach)
    whole = patches.sum(0)
    inside = _inside(density.shape, pixel, lengths.reach)
    centre, variance = weighted_centroids(whole, inside, lengths.blob)
    disc = jnp.asarray(_disc(lengths.reach, lengths.blob), jnp.float32)
    mass = (whole * disc[:, :, None]).sum((0, 1)) / (2 * math.pi * lengths.blob**2)
    overlap = _overlaps(patches, inside, centre, lengths.blob)
    return Spots(pixel, centre.T, variance, mass, overlap, peak.sum(dtype=jnp.int32))


@functools.partial(jax.jit, static_argnames="lengths")
def split_spots(
    maps: Num[Array, "h w c"], pixel: Int[Array, "m 2"], lengths: Lengths
) -> tuple[Float[Array, "m 2 2"], Float[Array, "m 2 c"]]:
    """Blobs that hold two atoms: where these are, and their overlaps with the label.

    Each blob is compared with two labels, clipped to a sum of 1 as the training's are, at every direction and distance
    on a grid around its centroid.

    Args:
        maps: probabilities per species.
        pixel: where the blobs peak (x, y).
        lengths: what a blob is.

    Returns:
        Two positions (x, y) of each, from its pixel [px], and for each position the overlaps.
    """
    reach, blob = lengths.reach, lengths.blob
    patches = _patches(maps, pixel, reach)
    disc = jnp.asarray(_disc(reach, blob), jnp.float32)[:, :, None]
    whole = patches.sum(0) * disc
    grid = jnp.arange(-reach, reach + 1.0)
    mean = jnp.stack([jnp.einsum("yxn,x->n", whole, grid), jnp.einsum("yxn,y->n", whole, grid)])
    mean = mean / jnp.maximum(whole.sum((0, 1)), 1e-12)[None]
    phi, half = np.meshgrid(np.arange(ANGLES) * np.pi / ANGLES, blob * np.linspace(0.5, 1.5, LENGTHS))
    arms = jnp.asarray(np.stack([half * np.cos(phi), half * np.sin(phi)]).reshape(2, -1), jnp.float32)

    def label(side: float) -> Float[Array, "k k arms n"]:
        at = (mean[:, None] + side * arms[:, :, None]).reshape(2, -1)
        gx, gy = (_bell(grid, c, blob).reshape(len(grid), -1, len(pixel)) for c in at)
        return gy[:, None] * gx[None]

    missed = (((jnp.minimum(label(1.0) + label(-1.0), 1.0) - whole[:, :, None]) ** 2) * disc[..., None]).sum((0, 1))
    best = arms[:, missed.argmin(0)]
    ends = (mean + best, mean - best)
    inside = _inside(maps.shape, pixel, reach)
    overlaps = [_overlaps(patches, inside, end, blob) for end in ends]
    return jnp.stack([end.T for end in ends], 1), jnp.stack(overlaps, 1)
