"""The commands that take a finished run, as `commands.py` offers them. Imports no JAX."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from rvaejax.atoms.config import TrackingConfig
from rvaejax.pipeline.config import CheckConfig, PosteriorConfig

Input = tyro.conf.Positional[Path]


@dataclass(frozen=True)
class Check:
    """Measures a trained rVAE's invariance on turned and moved copies: RUN/check.json, angles.csv, report.html."""

    run: Input
    """Folder of a training or a run."""
    subimages: tyro.conf.Positional[Path | None] = None
    """SUBIMAGES.npz; by default those of the run."""
    options: Annotated[CheckConfig, tyro.conf.arg(name="")] = field(default_factory=CheckConfig)

    def execute(self) -> None:
        """Measures, writes and prints."""
        from rvaejax.pipeline.check import check, table

        print(table(check(self.run, self.subimages, self.options)))


@dataclass(frozen=True)
class Posterior:
    """Samples the posterior of a few sub-images under a trained decoder, beside the encoder's: RUN/posterior.csv."""

    run: Input
    """Folder of a training or a run."""
    subimages: tyro.conf.Positional[Path | None] = None
    """SUBIMAGES.npz; by default those of the run."""
    options: Annotated[PosteriorConfig, tyro.conf.arg(name="")] = field(default_factory=PosteriorConfig)

    def execute(self) -> None:
        """Samples, compares, writes and prints."""
        from rvaejax.pipeline.posterior import posterior_file, summary

        print(summary(posterior_file(self.run, self.subimages, self.options)))


@dataclass(frozen=True)
class Track:
    """Links the atoms of successive frames: trajectories.csv, with births, deaths, hops, changes of species."""

    source: Input
    """Folder of a run, or a table of atoms (atoms.csv)."""
    out: Path
    """trajectories.csv to write."""
    options: Annotated[TrackingConfig, tyro.conf.arg(name="")] = field(default_factory=TrackingConfig)
    overwrite: bool = False
    """Replace an existing file."""

    def execute(self) -> None:
        """Tracks, writes and prints."""
        from rvaejax.pipeline.track import track_file

        numbers = track_file(self.source, self.out, self.options, overwrite=self.overwrite)
        width = max(map(len, numbers))
        for name, value in numbers.items():
            print(f"{name:<{width}}  {value:.4g}" if isinstance(value, float) else f"{name:<{width}}  {value}")
        if numbers["frames with atoms"] < 2:
            print("fewer than two frames have atoms: there is nothing to link")
        print(f"trajectories: {self.out}")


@dataclass(frozen=True)
class Report:
    """Rebuilds figures and report of a finished run."""

    folder: Input
    """Folder of a run."""

    def execute(self) -> None:
        """Draws and writes."""
        from rvaejax.pipeline.run import report

        print(report(self.folder))
