"""Points that windows are centred on where these are no atoms: a grid, or a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rvaejax.errors import FormatError
from rvaejax.io.tables import read_atoms
from rvaejax.types import Atoms


def grid_centres(frames: int, size: tuple[int, int], side: int, pixel_size_nm: float) -> Atoms:
    """A square grid of points half a window apart, the same in every frame, centred; they have no species.

    Args:
        frames: of the movie.
        size: (h, w) of a frame [px].
        side: of a window [px].
        pixel_size_nm: of a frame's pixel [nm].
    """
    step = max(side // 2, 1)
    lines = []
    for length in size:
        count = (length - side) // step + 1
        lines.append((length - 1) / 2 + step * (np.arange(count) - (count - 1) / 2))
    y, x = (axis.ravel() for axis in np.meshgrid(*lines, indexing="ij"))
    return _points(np.repeat(np.arange(frames), len(x)), np.tile(x, frames), np.tile(y, frames), pixel_size_nm)


def table_centres(path: Path, frames: int, pixel_size_nm: float) -> Atoms:
    """The points of a table (columns frame, x_px, y_px; without a frame, of every frame).

    Raises:
        MissingFileError, FormatError: see `read_atoms`.
        FormatError: no points, or points of frames that the movie has not.
    """
    table = read_atoms(path)
    if not len(table):
        raise FormatError(f"{path}: a table without points; give at least one row")
    if table.frame.min() < 0 or table.frame.max() >= frames:
        raise FormatError(f"{path}: points of frame {table.frame.max()}, but the movie has {frames}, from 0 on")
    with open(path, encoding="utf-8-sig", errors="replace") as handle:
        everywhere = "frame" not in handle.readline().replace('"', "").strip().split(",")
    repeat = frames if everywhere else 1
    frame = np.repeat(np.arange(frames), len(table)) if everywhere else table.frame
    return _points(frame, np.tile(table.x, repeat), np.tile(table.y, repeat), pixel_size_nm)


def _points(frame: np.ndarray, x: np.ndarray, y: np.ndarray, pixel_size_nm: float) -> Atoms:
    ones = np.ones(len(x))
    return Atoms(frame, x, y, np.full(len(x), ""), ones, 0 * ones, pixel_size_nm)
