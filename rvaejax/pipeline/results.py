"""What a run has found, how long each stage took, and the summary that the report shows."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rvaejax.analysis.orientation import orientation_peaks
from rvaejax.pipeline.config import RunConfig
from rvaejax.rvae.record import TrainedRVAE
from rvaejax.types import Atoms, Latents, Maps, Movie, SubImages

log = logging.getLogger(__name__)


@dataclass
class Stopwatch:
    """Seconds that each stage took."""

    began: float = field(default_factory=time.monotonic)
    seconds: dict[str, float] = field(default_factory=dict)

    def lap(self, stage: str) -> None:
        """Books the time since the last lap on `stage`."""
        self.seconds[stage] = round(time.monotonic() - self.began - sum(self.seconds.values()), 2)
        log.info("%s: %.1f s", stage, self.seconds[stage])


@dataclass(frozen=True, eq=False)
class Results:
    """All that a run found."""

    movie: Movie
    maps: Maps
    atoms: Atoms
    subimages: SubImages
    model: TrainedRVAE
    latents: Latents


def summarise_run(results: Results, config: RunConfig, watch: Stopwatch) -> dict[str, Any]:
    """Sections of named numbers, and `notes`: what the reader must know before anything else."""
    movie, atoms, subimages, model = results.movie, results.atoms, results.subimages, results.model
    angles = results.latents.angle[subimages.species == "C"] if config.centres == "atoms" else results.latents.angle
    peaks = orientation_peaks(angles)
    return {
        "title": movie.name,
        "notes": list(_notes(results, config)),
        "movie": {
            "frames": len(movie),
            "size [px]": f"{movie.size[1]} x {movie.size[0]}",
            "pixel size [nm]": atoms.pixel_size_nm,
            "pixel size from": movie.pixel_size_source,
        },
        "atoms": _atom_numbers(atoms),
        "sub-images": {
            "number": len(subimages),
            "centred on": config.centres,
            "dropped at the border": subimages.dropped,
            "window [nm]": config.window_nm,
            "window [px]": subimages.images.shape[1],
        },
        "latents": {
            "KL of the content latents [nat]": [round(v, 3) for v in model.content_kl],
            "angles modulo 60 deg, from the decoder's own zero [deg] (share of C)": [
                f"{np.degrees(peak.angle):.1f} ({peak.share:.0%})" for peak in peaks
            ],
        },
        "seconds": watch.seconds,
    }


def _atom_numbers(atoms: Atoms) -> Mapping[str, Any]:
    if not len(atoms):
        return {"atoms": 0}
    return {
        **{str(symbol): int((atoms.species == symbol).sum()) for symbol in np.unique(atoms.species)},
        "median position sd [pm]": 1000 * atoms.pixel_size_nm * float(np.median(atoms.sd)),
    }


def _notes(results: Results, config: RunConfig) -> Iterator[str]:
    model, movie, atoms = results.model, results.movie, results.atoms
    if model.cut:
        done = model.steps / (model.steps + model.cut)
        yield (
            f"The training was cut short by the time budget of {config.max_seconds:g} s: {model.steps} of "
            f"{model.steps + model.cut} steps ({done:.0%}). More time: --max-seconds."
        )
    without = np.setdiff1d(np.arange(len(movie)), atoms.frame)
    if len(without):
        shown = ", ".join(map(str, without[:8])) + (", ..." if len(without) > 8 else "")
        yield f"No atoms were found in {len(without)} of {len(movie)} frames: {shown}."
    if len(movie) == 1:
        yield "A single frame: no trajectories and no dynamics; the rest is done."
    elif len(np.unique(atoms.frame)) < 2:
        yield "Fewer than two frames have atoms: no trajectories and no dynamics of atoms."
