"""Pixels of a periodic cell, and the sizes for which Fourier transforms are quick."""

from __future__ import annotations

import bisect
import functools
import math
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


@dataclass(frozen=True)
class Grid:
    """A periodic cell cut into pixels; pixel (0, 0) is centred on the cell's corner.

    Attributes:
        shape: (ny, nx) pixels.
        cell: (height, width) [nm].
    """

    shape: tuple[int, int]
    cell: tuple[float, float]

    @property
    def pixel(self) -> tuple[float, float]:
        """(dy, dx) [nm]."""
        return self.cell[0] / self.shape[0], self.cell[1] / self.shape[1]

    @property
    def largest_k(self) -> float:
        """Nyquist frequency of the coarser axis [1/nm]."""
        return 0.5 / max(self.pixel)


def frequencies(grid: Grid, *, half: bool = False) -> tuple[Float[Array, " ny"], Float[Array, " nx"]]:
    """Spatial frequencies ky, kx [1/nm] in the order of the FFT; `half`: kx as `rfft2` has it."""
    (ny, nx), (dy, dx) = grid.shape, grid.pixel
    kx = np.fft.rfftfreq(nx, dx) if half else np.fft.fftfreq(nx, dx)
    return jnp.asarray(np.fft.fftfreq(ny, dy), jnp.float32), jnp.asarray(kx, jnp.float32)


def squared_k(grid: Grid) -> Float[Array, "ny nx"]:
    """k² [1/nm²] of every pixel of the FFT."""
    ky, kx = frequencies(grid)
    return ky[:, None] ** 2 + kx[None, :] ** 2


@functools.cache
def _smooth(limit: int) -> list[int]:
    sizes = {2**a * 3**b * 5**c * 7**d for a in range(14) for b in range(9) for c in range(6) for d in range(3)}
    return sorted(n for n in sizes if n <= limit and n % 2 == 0)


def next_fast_size(least: int | float) -> int:
    """The least even number of at least `least` whose prime factors are 2, 3, 5 and 7."""
    sizes = _smooth(1 << 14)
    least = math.ceil(least - 1e-6)
    return sizes[bisect.bisect_left(sizes, least)] if least <= sizes[-1] else least + least % 2


def scan_and_grid_size(length_nm: float, step_nm: float, sampling_nm: float) -> tuple[int, int]:
    """(scan points, pixels) along an axis: steps of whole pixels, a quick transform, as few of both as may be."""
    least = math.ceil(length_nm / step_nm - 1e-6)
    best = None
    for points in range(least, math.ceil(1.1 * least) + 2):
        per_step = math.ceil(length_nm / sampling_nm / points - 1e-6)
        pixels = points * max(per_step, 1)
        cost = points * math.sqrt(pixels / (length_nm / sampling_nm))
        if next_fast_size(pixels) == pixels and (best is None or cost < best[0]):
            best = (cost, points, pixels)
    if best is None:
        return least, least * max(1, math.ceil(length_nm / sampling_nm / least - 1e-6))
    return best[1], best[2]
