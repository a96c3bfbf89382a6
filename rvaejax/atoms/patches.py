"""The frame cut into patches around atoms, in chunks of one size, and the list of who shines into whose patch."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from rvaejax.atoms.fit import Patches

CHUNK = 256  # atoms per compiled call: few shapes to compile, and what one call touches stays in a CPU's cache
REACH_NM = 0.12  # radius of the disc to which an atom is fitted
NEIGHBOUR_NM = 0.45  # atoms farther away do not shine into the disc
NEIGHBOURS = 18


def padded_rows(n: int) -> int:
    """`n` rounded up to whole chunks."""
    return CHUNK * max(1, int(np.ceil(n / CHUNK)))


def padded(values: np.ndarray, rows: int) -> np.ndarray:
    """Zeros appended along the first axis."""
    return np.pad(values, [(0, rows - len(values))] + [(0, 0)] * (values.ndim - 1))


def neighbours(xy: Float[np.ndarray, "n 2"], count: int, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows of each atom itself and of its `count` nearest others, and which of them exist within `reach`."""
    n, k = len(xy), min(count + 1, len(xy))
    distance, near = cKDTree(xy).query(xy, k)
    distance, near = distance.reshape(n, k), near.reshape(n, k)
    missing = ((0, 0), (0, count + 1 - k))
    return np.pad(near, missing).astype(np.int32), np.pad(distance <= reach, missing)


def recut(
    chunks: list[Patches], image: Float[np.ndarray, "h w"], xy: Float[np.ndarray, "n 2"], pixel_size_nm: float
) -> list[Patches]:
    """The same patches of another image of the same shape; `xy` are the positions that they were cut at."""
    h, w = image.shape
    reach = int(np.ceil(REACH_NM / pixel_size_nm))
    origin = np.clip(np.round(xy).astype(int), 0, [w - 1, h - 1])
    view = np.lib.stride_tricks.sliding_window_view(np.pad(image, reach), (2 * reach + 1, 2 * reach + 1))
    cut = [view[part[:, 1], part[:, 0]] for part in np.split(origin, range(CHUNK, len(xy), CHUNK))]
    return [c._replace(values=jnp.asarray(padded(v, CHUNK))) for c, v in zip(chunks, cut, strict=True)]


def cut_patches(
    image: Float[np.ndarray, "h w"],
    xy: Float[np.ndarray, "n 2"],
    species: Int[np.ndarray, " n"],
    pixel_size_nm: float,
) -> tuple[list[Patches], Int[np.ndarray, "n j"], Float[np.ndarray, "n j"]]:
    """Patches of all atoms in chunks, the last filled up with empty ones; and the neighbours of each atom."""
    h, w = image.shape
    reach = int(np.ceil(REACH_NM / pixel_size_nm))
    grid = np.arange(-reach, reach + 1)
    disc = np.hypot(grid[:, None], grid[None, :]) <= REACH_NM / pixel_size_nm + 0.5
    origin = np.clip(np.round(xy).astype(int), 0, [w - 1, h - 1])
    side = (len(grid), len(grid))
    frame, exists = (
        np.lib.stride_tricks.sliding_window_view(np.pad(values, reach), side)
        for values in (image, np.ones((h, w), np.float32))
    )
    near, real = neighbours(xy, NEIGHBOURS, NEIGHBOUR_NM / pixel_size_nm)
    chunks = []
    for first in range(0, padded_rows(len(xy)), CHUNK):
        rows = slice(first, min(first + CHUNK, len(xy)))
        x, y = origin[rows].T
        columns = (
            origin[rows].astype(np.float32),
            frame[y, x],
            exists[y, x] * disc[None].astype(np.float32),
            near[rows],
            real[rows].astype(np.float32),
            species[near[rows]].astype(np.int32),
        )
        chunks.append(Patches(jnp.asarray(grid, jnp.float32), *(jnp.asarray(padded(c, CHUNK)) for c in columns)))
    return chunks, near, real
