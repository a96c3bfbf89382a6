"""Tables of coordinates as movies: known positions, and frames drawn from them."""

from __future__ import annotations

import gzip
import logging
import re
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rvaejax.errors import FormatError
from rvaejax.io.raw import LazyFrames, RawMovie, one_line
from rvaejax.io.render import HEIGHTS, blob_sigma, render
from rvaejax.types import Atoms

log = logging.getLogger(__name__)

X_NAMES, Y_NAMES = ("x_px", "col_px", "x"), ("y_px", "row_px", "y")
DEFAULT_CLASSES = {"0": "C", "1": "Si"}
LARGEST_IMAGE = 16384
"""Coordinates beyond this [px] are in other units than px."""


class Table(NamedTuple):
    """A text table: names of the columns, cells as text (rows, columns)."""

    names: tuple[str, ...]
    cells: np.ndarray


def read_text_table(path: Path) -> Table:
    """The comma-separated table in `path` (.csv, or .csv.gz): one line of column names, then the rows.

    Raises:
        FormatError: not text, damaged, no rows, or rows of different length.
    """
    try:
        opened = (
            gzip.open(path, "rt", encoding="utf-8-sig") if path.suffix == ".gz" else open(path, encoding="utf-8-sig")
        )
        with opened as handle:
            names = tuple(part.strip().strip('"') for part in handle.readline().split(","))
            rows = [line.strip().split(",") for line in handle if line.strip()]
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise FormatError(
            f"{path}: not a readable table ({one_line(error)}); save it as comma-separated text"
        ) from error
    wrong = [number for number, row in enumerate(rows, 2) if len(row) != len(names)]
    if wrong:
        raise FormatError(f"{path}: line {wrong[0]} has not the {len(names)} columns of the first line; mend the table")
    cells = np.array(rows, dtype=np.str_).reshape(len(rows), len(names))
    return Table(names, np.char.strip(cells, ' \t"'))


def numbers(table: Table, name: str, path: Path) -> np.ndarray:
    """Column `name` as float64.

    Raises:
        FormatError: a cell is not a number.
    """
    column = table.cells[:, table.names.index(name)]
    try:
        return column.astype(np.float64)
    except ValueError as error:
        raise FormatError(f"{path}: column {name} holds something else than numbers ({one_line(error)})") from error


def read_atoms_table(path: Path) -> Atoms:
    """The atoms of a table with columns for x, y and, where given, frame, species (or class), score and sd_px.

    Columns `x_px`, `y_px` as this package writes them, or `col_px`, `row_px`. A column `class` holds numbers whose
    meaning its name gives, as in `class(0=C;1=Si)`. The pixel size comes from `x_nm`, `y_nm` where the table has them.

    Raises:
        FormatError: see `read_text_table`; no columns for x and y, or coordinates that are not numbers.
    """
    table = read_text_table(path)
    x_name = next((name for name in X_NAMES if name in table.names), None)
    y_name = next((name for name in Y_NAMES if name in table.names), None)
    if x_name is None or y_name is None:
        raise FormatError(
            f"{path}: no coordinates among its columns ({', '.join(table.names)[:120]}); "
            "name them frame,x_px,y_px,species"
        )
    x, y = numbers(table, x_name, path), numbers(table, y_name, path)
    frame = numbers(table, "frame", path) if "frame" in table.names else np.zeros(len(x))
    if not (np.isfinite(x).all() and np.isfinite(y).all() and np.isfinite(frame).all()):
        raise FormatError(f"{path}: frame numbers or coordinates that are NaN or infinite; remove these rows")
    ones, zeros = np.ones(len(x)), np.zeros(len(x))
    return Atoms(
        frame=frame.astype(np.int64),
        x=x,
        y=y,
        species=_species(table, path),
        score=numbers(table, "score", path) if "score" in table.names else ones,
        sd=numbers(table, "sd_px", path) if "sd_px" in table.names else zeros,
        pixel_size_nm=_pixel_size(table, x, y, path),
    )


def read_coordinates(path: Path) -> RawMovie:
    """A movie of blobs, drawn when a frame is asked for, and the positions they are drawn from.

    The image is as large as the largest coordinate, rounded up to a multiple of 16 px. Frames are counted from the
    smallest frame number; one that has no atoms is black.

    Raises:
        FormatError: see `read_atoms_table`; no atoms, or coordinates that cannot be pixels.
    """
    atoms = read_atoms_table(path)
    if not len(atoms):
        raise FormatError(f"{path}: a table without atoms; give at least one row")
    if min(atoms.x.min(), atoms.y.min()) < -0.5 or max(atoms.x.max(), atoms.y.max()) > LARGEST_IMAGE:
        raise FormatError(f"{path}: coordinates outside 0 to {LARGEST_IMAGE} px; give them in px of the frame")
    first = int(atoms.frame.min())
    if first:
        log.info("%s: frames are numbered from %d; this one is frame 0 from here on", path, first)
        atoms = Atoms(atoms.frame - first, atoms.x, atoms.y, atoms.species, atoms.score, atoms.sd, atoms.pixel_size_nm)
    height, width = (16 * int(np.ceil((np.max(c) + 1) / 16)) for c in (atoms.y, atoms.x))
    sigma = blob_sigma(atoms.frame, atoms.x, atoms.y)
    brightness = np.array([HEIGHTS.get(str(s), 1.0) for s in atoms.species])

    def frame(index: int) -> np.ndarray:
        here = atoms.frame == index
        return render(atoms.x[here], atoms.y[here], brightness[here], sigma, (height, width))

    known = None if np.isnan(atoms.pixel_size_nm) else atoms.pixel_size_nm
    metadata = {"rendered": "Gaussian blobs at the table's coordinates", "blob_sigma_px": sigma}
    size = (int(atoms.frame.max()) + 1, height, width)
    return RawMovie(LazyFrames(size, frame, np.float32), known, metadata=metadata, atoms=atoms)


def _species(table: Table, path: Path) -> np.ndarray:
    if "species" in table.names:
        return np.array(table.cells[:, table.names.index("species")].tolist(), dtype=np.str_)
    column = next((name for name in table.names if name.startswith("class")), None)
    if column is None:
        return np.full(len(table.cells), "C")
    classes = dict(re.findall(r"(\d+)\s*=\s*([A-Z][a-z]?)", column)) or DEFAULT_CLASSES
    cells = table.cells[:, table.names.index(column)]
    unknown = sorted(set(np.unique(cells).tolist()) - set(classes))
    if unknown:
        raise FormatError(f"{path}: class {unknown[0]!r} has no meaning in the column name {column!r}; write 0=C;1=Si")
    return np.array([classes[str(cell)] for cell in cells], dtype=np.str_)


def _pixel_size(table: Table, x: np.ndarray, y: np.ndarray, path: Path) -> float:
    """Least squares of nm on px over both axes [nm]; NaN where the table has no nm."""
    if "x_nm" not in table.names or "y_nm" not in table.names:
        return float("nan")
    pixels = np.concatenate([x, y])
    lengths = np.concatenate([numbers(table, "x_nm", path), numbers(table, "y_nm", path)])
    squares = float(pixels @ pixels)
    return float(pixels @ lengths) / squares if squares > 0 else float("nan")
