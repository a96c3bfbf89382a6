"""The commands that look closer at rVAEs, as those of `commands.py`. Imports no JAX."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from rvaejax.pipeline.config import PosteriorConfig
from rvaejax.pipeline.scan_config import ScanOptions


@dataclass(frozen=True)
class Posterior:
    """Samples the posterior of a few sub-images under a trained decoder, beside the encoder's: RUN/posterior.csv."""

    run: tyro.conf.Positional[Path]
    """Folder of a training or a run."""
    subimages: tyro.conf.Positional[Path | None] = None
    """SUBIMAGES.npz; by default those of the run."""
    options: Annotated[PosteriorConfig, tyro.conf.arg(name="")] = field(default_factory=PosteriorConfig)

    def execute(self) -> None:
        """Samples, compares, writes and prints."""
        from rvaejax.pipeline.posterior import posterior_file, summary

        print(summary(posterior_file(self.run, self.subimages, self.options)))


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
