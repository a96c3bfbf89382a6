"""The commands that compare rVAEs, as those of `commands.py`. Imports no JAX."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from rvaejax.pipeline.paper.config import PaperOptions
from rvaejax.pipeline.scan_config import ScanOptions


@dataclass(frozen=True)
class Scan:
    """Trains rVAEs with different content latents, windows, invariances or any option, and compares them."""

    subimages: tyro.conf.Positional[Path]
    """SUBIMAGES.npz: `images` (n, h, w) or (n, h, w, c)."""
    out: Path
    """Folder for the table (scan.csv, scan.json), the figure and the trained candidates."""
    options: Annotated[ScanOptions, tyro.conf.arg(name="")] = field(default_factory=ScanOptions)
    overwrite: bool = False
    """Replace an earlier scan."""
    resume: bool = False
    """Go on with a scan that was interrupted."""

    def execute(self) -> None:
        """Trains, measures, writes and prints."""
        started = time.monotonic()
        from rvaejax.pipeline.scan import scan, table

        rows = scan(
            self.subimages, self.out, self.options, overwrite=self.overwrite, resume=self.resume, started=started
        )
        print(table(rows))
        print(f"scan: {self.out / 'scan.csv'}")


@dataclass(frozen=True)
class Reproduce:
    """Reproduces a publication's figures: each with what the publication shows and what this run shows beside it."""

    what: tyro.conf.Positional[Literal["paper"]]
    """paper: Kalinin, Dyck, Jesse, Ziatdinov, Science Advances 7, eabd5084 (2021)."""
    out: Path
    """Folder for figures, numbers.json, paper.md and paper.html."""
    options: Annotated[PaperOptions, tyro.conf.arg(name="")] = field(default_factory=PaperOptions)
    overwrite: bool = False
    """Replace an earlier reproduction."""
    resume: bool = False
    """Go on with one that was interrupted: stages that are done are not done again."""

    def execute(self) -> None:
        """Reproduces and says where the page is."""
        from rvaejax.pipeline.paper.reproduce import reproduce

        reproduce(self.out, self.options, overwrite=self.overwrite, resume=self.resume)
        print(f"page: {self.out / 'paper.html'}")
