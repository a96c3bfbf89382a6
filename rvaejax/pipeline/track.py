"""Trajectories from a table of atoms, or from a run, as the command line offers them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rvaejax.atoms.config import TrackingConfig
from rvaejax.atoms.tracking import track_atoms
from rvaejax.errors import ConfigError, MissingFileError
from rvaejax.io.files import check_output_file, check_source_survives
from rvaejax.io.tables import read_atoms
from rvaejax.io.tracks import write_trajectories
from rvaejax.pipeline.dynamics import track_numbers


def track_file(source: Path, out: Path, config: TrackingConfig, *, overwrite: bool = False) -> dict[str, Any]:
    """Writes the trajectories of a table of atoms; returns what they come to, as named numbers.

    Args:
        source: atoms.csv or another table of coordinates, or the folder of a run that holds one.
        out: trajectories.csv to write.
        config: how atoms are linked.
        overwrite: replace an existing file.

    Raises:
        MissingFileError: there is no such file, or the folder holds no atoms.csv.
        OutputExistsError: the output exists, or is the input.
        ConfigError: the output is no .csv.
    """
    check_output_file(out, overwrite)
    if out.suffix != ".csv":
        raise ConfigError(f"--out {out}: trajectories are written as .csv; give a name that ends so")
    table = source / "atoms.csv" if source.is_dir() else source
    if source.is_dir() and not table.is_file():
        raise MissingFileError(f"{source}: holds no atoms.csv; give the folder of a run, or a table of atoms")
    check_source_survives(table, out)
    atoms = read_atoms(table)
    tracks = track_atoms(atoms, config)
    write_trajectories(out, atoms, tracks)
    return {"atoms": len(atoms), "frames with atoms": len(tracks.frames), **track_numbers(atoms, tracks)}
