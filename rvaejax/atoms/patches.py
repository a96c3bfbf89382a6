"""The frame cut into patches around atoms, in chunks of one size, and the list of who shines into whose patch."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from scipy import ndimage
from scipy.spatial import cKDTree

from rvaejax.atoms.fit import Patches

CHUNK = 256  # atoms per compiled call: few shapes to compile, and what one call touches stays in a CPU's cache
REACH_NM = 0.12  # radius of the disc to which an atom is fitted
NEIGHBOUR_NM = 0.45  # atoms farther away do not shine into the disc
NEIGHBOURS = 12
SLOPE_SHARE = 0.35  # by how much of its slope the smooth background may be wrong within a patch


def padded_rows(n: int) -> int:
    """`n` rounded up to whole chunks."""
    return CHUNK * max(1, -(-n // CHUNK))


def padded(values: np.ndarray, rows: int) -> np.ndarray:
    """Zeros appended along the first axis."""
    return np.pad(values, [(0, rows - len(values))] + [(0, 0)] * (values.ndim - 1))


def on_device(values: np.ndarray, rows: int) -> Array:
    """Zeros appended along the first axis, as float32 on the device."""
    return jnp.asarray(padded(values.astype(np.float32), rows))


def heights(image: Float[np.ndarray, "h w"], xy: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " n"]:
    """Heights read off the frame at the nearest pixels."""
    x, y = middles(image.shape, xy).T
    floor = 1e-3 * max(float(np.ptp(image)), 1e-12)
    return np.maximum(image[y, x] - np.percentile(image, 5), floor)


def neighbours(xy: Float[np.ndarray, "n 2"], count: int, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows of each atom itself and of its `count` nearest others, and which of them exist within `reach`."""
    n, k = len(xy), min(count + 1, len(xy))
    distance, near = cKDTree(xy).query(xy, k)
    distance, near = distance.reshape(n, k), near.reshape(n, k)
    missing = ((0, 0), (0, count + 1 - k))
    return np.pad(near, missing).astype(np.int32), np.pad(distance <= reach, missing)


def _reach(pixel_size_nm: float) -> int:
    """Pixels from a patch's middle to its rim."""
    return int(np.ceil(REACH_NM / pixel_size_nm))


def middles(shape: tuple[int, ...], xy: Float[np.ndarray, "n 2"]) -> Int[np.ndarray, "n 2"]:
    """The pixel (x, y) in the middle of each atom's patch."""
    return np.clip(np.round(xy).astype(int), 0, [shape[1] - 1, shape[0] - 1])


def view(image: Float[np.ndarray, "h w"], reach: int) -> Float[np.ndarray, "h w k k"]:
    """The patch around every pixel, zeros beyond the border, without a copy."""
    return np.lib.stride_tricks.sliding_window_view(np.pad(image, reach), (2 * reach + 1, 2 * reach + 1))


def recut(
    chunks: list[Patches],
    image: Float[np.ndarray, "h w"],
    smooth: Float[np.ndarray, "h w"],
    xy: Float[np.ndarray, "n 2"],
    pixel_size_nm: float,
) -> list[Patches]:
    """The same patches of an image less what is smooth in it, which may still be off by a share of its own slope.

    Args:
        chunks: patches of all atoms.
        image: the frame.
        smooth: its background.
        xy: positions that the patches were cut at [px].
        pixel_size_nm: the frame's pixel [nm].
    """
    reach = _reach(pixel_size_nm)
    flat = view(image - smooth, reach)
    steep = ndimage.maximum_filter(np.hypot(*np.gradient(smooth)), 2 * (reach // 2) + 1)
    parts = np.split(middles(image.shape, xy), range(CHUNK, len(xy), CHUNK))
    return [
        chunk._replace(
            values=jnp.asarray(padded(flat[part[:, 1], part[:, 0]], CHUNK)),
            taken=on_device(smooth[part[:, 1], part[:, 0]], CHUNK),
            slope=on_device(SLOPE_SHARE * reach * steep[part[:, 1], part[:, 0]], CHUNK),
        )
        for chunk, part in zip(chunks, parts, strict=True)
    ]


def cut_patches(
    image: Float[np.ndarray, "h w"],
    xy: Float[np.ndarray, "n 2"],
    species: Int[np.ndarray, " n"],
    pixel_size_nm: float,
) -> tuple[list[Patches], Int[np.ndarray, "n j"], Float[np.ndarray, "n j"]]:
    """Patches of all atoms in chunks, the last filled up with empty ones; and the neighbours of each atom."""
    reach = _reach(pixel_size_nm)
    grid = np.arange(-reach, reach + 1)
    disc = np.hypot(grid[:, None], grid[None, :]) <= REACH_NM / pixel_size_nm + 0.5
    origin = middles(image.shape, xy)
    frame = view(image, reach)
    near, real = neighbours(xy, NEIGHBOURS, NEIGHBOUR_NM / pixel_size_nm)

    def within(middle: Int[np.ndarray, " c"], side: int) -> Bool[np.ndarray, "c k"]:
        at = middle[:, None] + grid
        return (at >= 0) & (at < side)

    chunks = []
    for first in range(0, padded_rows(len(xy)), CHUNK):
        rows = slice(first, min(first + CHUNK, len(xy)))
        x, y = origin[rows].T
        exists = disc & within(y, image.shape[0])[:, :, None] & within(x, image.shape[1])[:, None, :]
        columns = (
            origin[rows].astype(np.float32),
            frame[y, x],
            exists.astype(np.float32),
            np.zeros((len(x), *disc.shape), np.float32),
            np.zeros(len(x), np.float32),
            np.zeros(len(x), np.float32),
            near[rows],
            real[rows].astype(np.float32),
            species[near[rows]].astype(np.int32),
        )
        chunks.append(Patches(jnp.asarray(grid, jnp.float32), *(jnp.asarray(padded(c, CHUNK)) for c in columns)))
    return chunks, near, real
