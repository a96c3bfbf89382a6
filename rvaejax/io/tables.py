"""Tables: of atoms, atoms.csv, and of rows of named values."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rvaejax.errors import MissingFileError
from rvaejax.io.coordinates import read_atoms_table
from rvaejax.io.files import atomic_path, write_text
from rvaejax.types import Atoms

COLUMNS = ("frame", "x_px", "y_px", "x_nm", "y_nm", "species", "score", "sd_px")


def write_atoms(path: str | os.PathLike[str], atoms: Atoms) -> None:
    """Writes atoms.csv: one row per atom, in the order of the record.

    Columns: frame; x_px, y_px (pixel centres at whole numbers, x to the right, y down); x_nm, y_nm (the same in nm,
    "nan" where the pixel size is not known); species (chemical symbol); score (probability that an atom is there);
    sd_px (standard deviation of the position, per axis).
    """
    nm = atoms.pixel_size_nm
    species = [str(s) for s in atoms.species]
    columns = (atoms.frame, atoms.x, atoms.y, atoms.x * nm, atoms.y * nm, species, atoms.score, atoms.sd)
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as handle:
        handle.write(",".join(COLUMNS) + "\n")
        handle.writelines(
            f"{int(f)},{x:.4f},{y:.4f},{xn:.7f},{yn:.7f},{s},{score:.5f},{sd:.5f}\n"
            for f, x, y, xn, yn, s, score, sd in zip(*columns, strict=True)
        )


def read_atoms(path: str | os.PathLike[str]) -> Atoms:
    """The atoms of an atoms.csv (or of another table of coordinates), in the order of its rows.

    Returns:
        Atoms; `pixel_size_nm` from the columns in nm, NaN where there are none.

    Raises:
        MissingFileError: there is no such file.
        FormatError: not a table, or one without coordinates.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingFileError(f"{file}: no such file; check the path")
    atoms = read_atoms_table(file)
    return atoms if len(atoms) else atoms.select(np.zeros(0, np.int64))


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows of named values as a CSV file; a column for each name, empty where a row has no such value."""
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
