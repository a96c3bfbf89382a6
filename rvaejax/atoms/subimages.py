"""Sub-images: square windows centred on atoms, at sub-pixel positions, from probability maps or raw frames."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from rvaejax.atoms.config import WindowConfig
from rvaejax.errors import ImageError, NoAtomsError
from rvaejax.progress import progress
from rvaejax.types import Atoms, Maps, Movie, SubImages

log = logging.getLogger(__name__)


def window_side(window_nm: float, pixel_size_nm: float) -> int:
    """Side of a window [px]: the nearest even number, so that it can be halved, and at least 8."""
    return max(2 * round(window_nm / pixel_size_nm / 2), 8)


def check_window(window_nm: float, size: tuple[int, int], pixel_size_nm: float, name: str) -> None:
    """A window fits into a frame of `size` px.

    Raises:
        ImageError: it does not.
    """
    if window_side(window_nm, pixel_size_nm) > min(size):
        raise ImageError(
            f"{name}: the image ({size[1] * pixel_size_nm:.3g} x {size[0] * pixel_size_nm:.3g} nm) is smaller than "
            f"the window ({window_nm:g} nm); choose a smaller --window-nm"
        )


def inside(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], side: float, shape: tuple[int, int]
) -> Bool[np.ndarray, " n"]:
    """Which windows of `side` px about (x, y) lie in a frame of `shape` as a whole, rounding to whole pixels."""
    left, top = np.round(x) - side / 2, np.round(y) - side / 2
    return (left >= 0) & (top >= 0) & (left + side <= shape[1]) & (top + side <= shape[0])


def windows(
    frame: Float[np.ndarray, "h w c"],
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " n"],
    side: int,
    step: float = 1.0,
) -> Float[np.ndarray, "n side side c"]:
    """Windows of `side` px centred on (x, y) [px], by cubic interpolation; beyond the border the edge goes on.

    A window's pixel is `step` of the frame's; pixels that are coarser than the frame's are not averaged over.
    """
    d = step * (np.arange(side) - (side - 1) / 2)
    rows = np.broadcast_to(y[:, None, None] + d[None, :, None], (len(x), side, side))
    columns = np.broadcast_to(x[:, None, None] + d[None, None, :], (len(x), side, side))
    out = np.empty((len(x), side, side, frame.shape[-1]), np.float32)
    for c in range(frame.shape[-1]):
        out[..., c] = ndimage.map_coordinates(frame[..., c], [rows, columns], order=3, mode="nearest")
    return out


def _robust_unit(frame: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """A raw frame on a scale on which its 1 % and 99 % quantiles are 0 and 1."""
    low, high = np.percentile(frame, [1, 99])
    return (frame - low) / max(high - low, 1e-12)


def stacked(parts: Sequence[SubImages]) -> SubImages:
    """Sub-images of several movies as one stack; `atom` goes on counting in the table of each movie.

    Raises:
        ImageError: they differ in size, pixel or channels.
    """
    first = parts[0]
    for part in parts[1:]:
        if part.images.shape[1:] != first.images.shape[1:] or part.channels != first.channels:
            a, b = (f"{p.images.shape[1]} px of {', '.join(p.channels)}" for p in (first, part))
            raise ImageError(f"sub-images of {a} and of {b} cannot be trained on together; cut them the same way")
    names = ("images", "frame", "x", "y", "species", "atom")
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    dropped = sum(part.dropped for part in parts)
    return SubImages(**columns, pixel_size_nm=first.pixel_size_nm, channels=first.channels, dropped=dropped)


def cut_subimages(
    source: Maps | Movie,
    atoms: Atoms,
    *,
    window_nm: float = 0.4,
    window_px_nm: float | None = None,
    centres: tuple[str, ...] = ("C", "Si"),
) -> SubImages:
    """Windows centred on atoms, in the order of the atoms table.

    Args:
        source: probability maps (one channel per species; the paper's way), or the movie itself (one channel, each
            frame scaled by its own 1 % and 99 % quantiles).
        atoms: centres, in px of the input frames.
        window_nm: side of a window [nm].
        window_px_nm: size of a window's pixel [nm]; by default the source's.
        centres: only atoms of these species are centres; empty for all points of the table, which are then no rows
            of a table of atoms (`SubImages.atom` is -1).

    Returns:
        Sub-images; windows that would leave the image are counted in `dropped`.

    Raises:
        ImageError: the image is smaller than the window.
        NoAtomsError: no atom is far enough from the border.
    """
    config = WindowConfig(window_nm=window_nm, centres=tuple(centres))
    if isinstance(source, Maps):
        frames, scale, px, channels = source.probabilities, source.scale, source.pixel_size_nm, source.species
    else:
        frames, scale, px, channels = source.frames, (1.0, 1.0), atoms.pixel_size_nm, ("intensity",)
    pixel = px if window_px_nm is None else window_px_nm
    side, step = window_side(config.window_nm, pixel), pixel / px
    shape = int(frames.shape[1]), int(frames.shape[2])
    check_window(config.window_nm, shape, px, source.name)
    x, y = (atoms.x + 0.5) / scale[1] - 0.5, (atoms.y + 0.5) / scale[0] - 0.5
    wanted = np.isin(atoms.species, config.centres) if config.centres else np.ones(len(atoms), bool)
    rows = np.flatnonzero(wanted & inside(x, y, side * step, shape))
    dropped = int(wanted.sum()) - len(rows)
    if not len(rows):
        what = "atoms" if config.centres else "points"
        raise NoAtomsError(f"{source.name}: none of {int(wanted.sum())} {what} is {window_nm / 2:g} nm from the border")
    images = np.empty((len(rows), side, side, len(channels)), np.float16)
    for t in progress(np.unique(atoms.frame[rows]), desc="cutting sub-images"):
        here = np.flatnonzero(atoms.frame[rows] == t)
        frame = np.asarray(frames[int(t)], np.float32)
        frame = _robust_unit(frame)[..., None] if frame.ndim == 2 else frame
        images[here] = np.clip(windows(frame, x[rows[here]], y[rows[here]], side, step), -60000, 60000)
    log.info("%s: %d sub-images of %d px, %d dropped at the border", source.name, len(rows), side, dropped)
    row = rows if config.centres else np.full(len(rows), -1)
    return SubImages(
        images, atoms.frame[rows], atoms.x[rows], atoms.y[rows], atoms.species[rows], row, pixel, channels, dropped
    )
