"""A movie to a folder of results: segment, find atoms, cut sub-images, train, encode, draw, report.

Everything that bad input can stop happens before the first file is written.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jaxtyping import Float

from rvaejax.errors import MissingFileError
from rvaejax.io.files import check_output, check_source_survives, prepare_output, write_text
from rvaejax.io.latents import write_latents_h5
from rvaejax.io.movies import read_movie
from rvaejax.pipeline import found
from rvaejax.pipeline.config import RunConfig
from rvaejax.pipeline.dynamics import Structure, grain_numbers, order_of_run, structure_of_run, track_run
from rvaejax.pipeline.figures import draw_figures
from rvaejax.pipeline.results import Results, Stopwatch, summarise_run
from rvaejax.report import write_report
from rvaejax.rvae.inference import encode
from rvaejax.rvae.inputs import check_training_set
from rvaejax.rvae.model import train
from rvaejax.rvae.record import TrainedRVAE
from rvaejax.rvae.storage import save_model
from rvaejax.training.interrupt import StopFlag, catch_signals
from rvaejax.types import EMPTY, Atoms, ContentOrder, Maps, Movie, SubImages

log = logging.getLogger(__name__)

CONDITIONS = "conditions.csv"  # the table by which a folder of several movies is known
AFTERWARDS = 0.12  # share of the time budget kept for encoding, figures and the report, with at least
AFTERWARDS_S = 8.0  # this many seconds
ENCODE_S = 0.4e-3  # seconds per sub-image that encoding may take


def run(
    source: Path,
    out: Path,
    config: RunConfig,
    *,
    overwrite: bool = False,
    resume: bool = False,
    should_stop: StopFlag | None = None,
) -> Results:
    """Analyses a movie or image file into the folder `out`.

    Args:
        source: any file or folder that `read_movie` reads.
        out: folder for the results.
        config: options.
        overwrite: replace the results of an earlier run.
        resume: go on with a run that was interrupted; its options must be the same but for the time budget.
        should_stop: asked between pieces of the training; by default SIGINT and SIGTERM are listened to.

    Raises:
        InputError: the input cannot be analysed, or the output exists; nothing was written.
        Interrupted: `should_stop` said so; `resume` goes on.
    """
    check_output(out, overwrite, resume)
    check_source_survives(source, out)
    movie = read_movie(source, pixel_size_nm=config.px_nm)
    return analyse(movie, out, config, overwrite=overwrite, resume=resume, should_stop=should_stop)


def analyse(
    movie: Movie,
    out: Path,
    config: RunConfig,
    *,
    overwrite: bool = False,
    resume: bool = False,
    should_stop: StopFlag | None = None,
    known: tuple[Maps, Atoms] | None = None,
    summarise: Callable[[Results], Mapping[str, Any]] = lambda results: {},
) -> Results:
    """The same for a movie at hand; `summarise` may add sections to the run's summary.

    `known` gives the movie's maps and atoms where they have been found already.
    """
    watch = Stopwatch()
    check_output(out, overwrite, resume)
    check_inputs_survive(config, out)
    movie = found.settled(movie, config)
    centres = found.points(movie, config)
    stored = found.stored(out, movie, config) if resume else None
    maps, atoms = stored or known or found.find(movie, config)
    watch.lap("segmentation and atoms")
    subimages = found.cut(movie, maps, atoms, centres, config)
    check_training_set(subimages)
    watch.lap("sub-images")
    folder = prepare_output(out, overwrite, resume)
    if stored is None:
        found.write_input(folder, movie, maps, atoms, config)
    watch.lap("writing maps and atoms")
    model = train_within(folder, subimages, config, watch, resume, should_stop)
    watch.lap("training")
    results = Results(movie, maps, atoms, subimages, model, encode(model, subimages))
    watch.lap("encoding")
    finish(folder, results, config, watch, summarise(results))
    return results


def check_inputs_survive(config: RunConfig, out: Path) -> None:
    """Raises `OutputExistsError` where writing to `out` would destroy what the options name."""
    if config.segmenter is not None:
        check_source_survives(config.segmenter, out)
    if config.centres.endswith(".csv"):
        check_source_survives(config.centres, out)


def finish(
    folder: Path,
    results: Results,
    config: RunConfig,
    watch: Stopwatch,
    further: Mapping[str, Any] = EMPTY,
    crystal: tuple[Float[np.ndarray, " n"], float] | None = None,
) -> tuple[Structure | None, ContentOrder]:
    """Writes latents, trajectories, summary, figures and report of what was found; bonds and grains, where there are.

    Bonds and grains are found once, for numbers and figures alike. `crystal` gives deviations and scale of a crystal
    that this run has in common with others (`order_of_run`).
    """
    rows = results.subimages.atom
    structure = structure_of_run(results.atoms, results.latents, rows, results.movie.size)
    order = order_of_run(results.latents, rows, structure, *(crystal or ()))
    write_latents_h5(folder / "latents.h5", results.latents, results.subimages, order)
    late = _late(folder, results, structure)
    watch.lap("trajectories and grains")
    summary = {**further, **summarise_run(results, config, watch), **late}
    write_text(folder / "summary.json", json.dumps(summary, indent=2))
    for note in summary["notes"]:
        log.info("%s", note)
    report(folder, structure)
    watch.lap("figures and report")
    return structure, order


def report(folder: Path, structure: Structure | None = None) -> Path:
    """Draws the figures and writes the report of a finished run anew, from its folder alone.

    Args:
        folder: of the run.
        structure: its bonds and grains, where they are at hand.

    Raises:
        MissingFileError: the folder holds no finished run.
    """
    if (folder / CONDITIONS).is_file():
        return _conditions_report(folder)
    if not (folder / "latents.h5").is_file():
        raise MissingFileError(f"{folder}: holds no finished run (no latents.h5); give the folder that --out named")
    draw_figures(folder, structure)
    return write_report(folder)


def _conditions_report(folder: Path) -> Path:
    """The reports of several movies that were analysed together, and the page of their comparison."""
    for label in yaml.safe_load((folder / "config.yaml").read_text())["conditions"]["labels"]:
        report(folder / label)
    return write_report(folder)


def _late(folder: Path, results: Results, structure: Structure | None) -> dict[str, Any]:
    """Writes the trajectories; sections of numbers on them and on the grains, where there are atoms for it."""
    atoms, out = results.atoms, {}
    if numbers := track_run(folder, atoms, None if structure is None else structure.sites):
        out["trajectories"] = numbers
    if structure is not None and (results.subimages.atom >= 0).any():
        out["grains"] = grain_numbers(atoms, structure)
    return out


def train_within(
    folder: Path,
    subimages: SubImages,
    config: RunConfig,
    watch: Stopwatch,
    resume: bool,
    should_stop: StopFlag | None,
) -> TrainedRVAE:
    """An rVAE trained in what is left of the time budget, saved in the folder."""
    rest = max(AFTERWARDS * config.max_seconds, AFTERWARDS_S) + ENCODE_S * len(subimages)
    left = config.max_seconds - rest - (time.monotonic() - watch.began)
    with catch_signals() as signalled:
        model = train(
            subimages,
            preset=config.of_rvae,
            seed=config.seed,
            steps=config.steps,
            max_seconds=max(left, 1.0),
            checkpoint_dir=folder / "checkpoints",
            resume=resume,
            metrics_path=folder / "metrics.jsonl",
            should_stop=should_stop or signalled,
        )
    save_model(model, folder)
    return model
