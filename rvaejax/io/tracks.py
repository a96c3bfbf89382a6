"""The table of trajectories, trajectories.csv."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from rvaejax.errors import FormatError, MissingFileError
from rvaejax.io.coordinates import numbers, read_atoms_table, read_text_table
from rvaejax.io.files import atomic_path
from rvaejax.types import Atoms, Tracks

COLUMNS = ("track", "frame", "atom", "x_px", "y_px", "x_nm", "y_nm", "species", "drift_x_px", "drift_y_px")
SURE = "sure"


def write_trajectories(path: str | os.PathLike[str], atoms: Atoms, tracks: Tracks) -> None:
    """Writes trajectories.csv: one row per atom and frame, ordered by trajectory and then by frame.

    Columns: track (number of the trajectory); frame; atom (row in atoms.csv, from 0); x_px, y_px (where the atom is in
    the frame); x_nm, y_nm (the same in nm, "nan" where the pixel size is not known); species; drift_x_px, drift_y_px
    (how far the specimen has moved since the first frame with atoms: subtract it to see the atom's own path); sure (1,
    or 0 where another way to link this atom to those before is about as good; no such column where nobody asked).
    """
    order = np.lexsort((atoms.frame, tracks.track))
    drift = tracks.drift[np.searchsorted(tracks.frames, atoms.frame)]
    nm, asked = atoms.pixel_size_nm, tracks.sure is not None
    said = np.full(len(atoms), "") if tracks.sure is None else np.where(tracks.sure, ",1", ",0")
    columns = (tracks.track, atoms.frame, np.arange(len(atoms)), atoms.x, atoms.y, atoms.x * nm, atoms.y * nm)
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as handle:
        handle.write(",".join((*COLUMNS, SURE) if asked else COLUMNS) + "\n")
        handle.writelines(
            f"{n},{f},{a},{x:.4f},{y:.4f},{xn:.7f},{yn:.7f},{s},{dx:.4f},{dy:.4f}{k}\n"
            for n, f, a, x, y, xn, yn, s, k, dx, dy in zip(
                *(column[order] for column in (*columns, atoms.species, said)), *drift[order].T, strict=True
            )
        )


def read_trajectories(path: str | os.PathLike[str]) -> tuple[Atoms, Tracks]:
    """Atoms and their trajectories, in the order of atoms.csv.

    Raises:
        MissingFileError: there is no such file.
        FormatError: not a table of trajectories.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingFileError(f"{file}: no such file; check the path")
    table = read_text_table(file)
    missing = [name for name in COLUMNS if name not in table.names]
    if missing:
        raise FormatError(f"{file}: no column {missing[0]!r}; write the trajectories again")
    order = np.argsort(numbers(table, "atom", file).astype(int), kind="stable")
    atoms = read_atoms_table(file).select(order)
    track, dx, dy = (numbers(table, name, file)[order] for name in ("track", "drift_x_px", "drift_y_px"))
    frames, first = np.unique(atoms.frame, return_index=True)
    sure = numbers(table, SURE, file)[order] > 0 if SURE in table.names else None  # none in older tables
    return atoms, Tracks(track.astype(int), frames, np.column_stack([dx, dy])[first], sure)
