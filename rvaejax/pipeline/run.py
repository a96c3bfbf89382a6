"""A movie to a folder of results: segment, find atoms, cut sub-images, train, encode, draw, report.

Everything that bad input can stop happens before the first file is written.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from rvaejax.atoms.centres import grid_centres, table_centres
from rvaejax.atoms.localise import find_atoms
from rvaejax.atoms.subimages import check_window, cut_subimages, window_side
from rvaejax.config import to_dict
from rvaejax.errors import MissingFileError, NoAtomsError
from rvaejax.io.files import atomic_path, check_output, check_source_survives, prepare_output, write_text
from rvaejax.io.latents import write_latents_h5
from rvaejax.io.maps import read_maps, write_maps
from rvaejax.io.movies import read_movie
from rvaejax.io.tables import read_atoms, write_atoms
from rvaejax.pipeline.config import RunConfig
from rvaejax.pipeline.dynamics import grain_numbers, structure_of, track_run
from rvaejax.pipeline.figures import KEPT_FRAMES, draw_figures
from rvaejax.pipeline.late_figures import FEWEST_ATOMS
from rvaejax.pipeline.results import Results, Stopwatch, summarise_run
from rvaejax.pipeline.resume import fingerprint, was_begun
from rvaejax.plotting.maps import three_frames
from rvaejax.report import write_report
from rvaejax.rvae.inference import encode
from rvaejax.rvae.inputs import check_training_set
from rvaejax.rvae.model import train
from rvaejax.rvae.record import TrainedRVAE
from rvaejax.rvae.storage import save_model
from rvaejax.segmentation.pixel_size import known_pixel_size
from rvaejax.segmentation.predict import segment
from rvaejax.segmentation.weights import load_segmenter
from rvaejax.training.interrupt import StopFlag, catch_signals
from rvaejax.types import Atoms, Maps, Movie, SubImages

log = logging.getLogger(__name__)

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
    summarise: Callable[[Results], Mapping[str, Any]] = lambda results: {},
) -> Results:
    """The same for a movie at hand; `summarise` may add sections to the run's summary."""
    watch = Stopwatch()
    check_output(out, overwrite, resume)
    if config.segmenter is not None:
        check_source_survives(config.segmenter, out)
    if config.centres.endswith(".csv"):
        check_source_survives(config.centres, out)
    px, source = known_pixel_size(movie)
    movie = replace(movie, pixel_size_nm=px, pixel_size_source=source)
    check_window(config.window_nm, movie.size, px, movie.name)
    points = _points(movie, px, config)
    stored = _stored(out, movie, config) if resume else None
    maps, atoms = stored or _find(movie, config)
    watch.lap("segmentation and atoms")
    cut_from = maps if config.source == "maps" else movie
    if points is None:
        subimages = cut_subimages(cut_from, atoms, window_nm=config.window_nm)
    else:
        subimages = cut_subimages(cut_from, points, window_nm=config.window_nm, centres=())
    check_training_set(subimages)
    watch.lap("sub-images")
    folder = prepare_output(out, overwrite, resume)
    if stored is None:
        _write_input(folder, movie, maps, atoms, config)
    watch.lap("writing maps and atoms")
    model = _train(folder, subimages, config, watch, resume, should_stop)
    watch.lap("training")
    results = Results(movie, maps, atoms, subimages, model, encode(model, subimages))
    write_latents_h5(folder / "latents.h5", results.latents, subimages)
    watch.lap("encoding")
    late = _late(folder, results)
    watch.lap("trajectories and grains")
    summary = {**summarise(results), **summarise_run(results, config, watch), **late}
    write_text(folder / "summary.json", json.dumps(summary, indent=2))
    for note in summary["notes"]:
        log.info("%s", note)
    report(folder)
    watch.lap("figures and report")
    return results


def report(folder: Path) -> Path:
    """Draws the figures and writes the report of a finished run anew, from its folder alone.

    Raises:
        MissingFileError: the folder holds no finished run.
    """
    if not (folder / "latents.h5").is_file():
        raise MissingFileError(f"{folder}: holds no finished run (no latents.h5); give the folder that --out named")
    draw_figures(folder)
    return write_report(folder)


def _find(movie: Movie, config: RunConfig) -> tuple[Maps, Atoms]:
    maps = segment(movie, segmenter=load_segmenter(config.segmenter))
    try:
        return maps, find_atoms(maps)
    except NoAtomsError:
        if config.centres == "atoms":
            raise
        none = np.zeros(0)
        return maps, Atoms(none.astype(int), none, none, none.astype("U2"), none, none, maps.input_pixel_size_nm)


def _points(movie: Movie, pixel_size_nm: float, config: RunConfig) -> Atoms | None:
    """What windows are centred on where it is not atoms."""
    if config.centres == "atoms":
        return None
    if config.centres == "grid":
        return grid_centres(len(movie), movie.size, window_side(config.window_nm, pixel_size_nm), pixel_size_nm)
    return table_centres(Path(config.centres), len(movie), pixel_size_nm)


def _late(folder: Path, results: Results) -> dict[str, Any]:
    """Writes the trajectories; sections of numbers on them and on the grains, where there are atoms for it."""
    atoms, out = results.atoms, {}
    if numbers := track_run(folder, atoms):
        out["trajectories"] = numbers
    if len(atoms) >= FEWEST_ATOMS and (results.subimages.atom >= 0).any():
        found = structure_of(atoms, results.latents, results.subimages.atom, results.movie.size)
        out["grains"] = grain_numbers(atoms, found)
    return out


def _stored(out: Path, movie: Movie, config: RunConfig) -> tuple[Maps, Atoms] | None:
    """Maps and atoms of the interrupted run, if it came that far.

    Raises:
        ConfigError: it was started with other options, or on another movie.
    """
    if not was_begun(out, _sections(movie, config)):
        return None
    return read_maps(out / "maps.h5"), read_atoms(out / "atoms.csv")


def _sections(movie: Movie, config: RunConfig) -> dict[str, Any]:
    ends = (np.asarray(movie.frames[t]) for t in sorted({0, len(movie) // 2, len(movie) - 1}))
    known = {"frames": len(movie), "size": list(movie.size), "checksum": fingerprint(ends)}
    return {"run": to_dict(config), "movie": {"name": movie.name, **known}}


def _write_input(folder: Path, movie: Movie, maps: Maps, atoms: Atoms, config: RunConfig) -> None:
    """What later stages and a later `report` need; config.yaml comes last, as the sign that all of it is there."""
    write_maps(folder / "maps.h5", maps)
    write_atoms(folder / "atoms.csv", atoms)
    kept = three_frames(atoms.frame if len(atoms) else np.arange(len(movie)))
    frames = np.stack([np.asarray(movie.frames[t], np.float32) for t in kept])
    with atomic_path(folder / KEPT_FRAMES) as path:
        dose = np.zeros(0) if movie.dose is None else np.asarray(movie.dose, float)
        seconds = movie.frame_time_s or np.nan
        np.savez_compressed(path, frames=frames, index=np.asarray(kept), frame_time_s=seconds, dose=dose)
    sections = _sections(movie, config)
    sections["movie"] |= {
        "pixel_size_nm": atoms.pixel_size_nm,
        "pixel_size_source": movie.pixel_size_source,
    }
    write_text(folder / "config.yaml", yaml.safe_dump(sections, sort_keys=False))


def _train(
    folder: Path,
    subimages: SubImages,
    config: RunConfig,
    watch: Stopwatch,
    resume: bool,
    should_stop: StopFlag | None,
) -> TrainedRVAE:
    rest = max(AFTERWARDS * config.max_seconds, AFTERWARDS_S) + ENCODE_S * len(subimages)
    left = config.max_seconds - rest - (time.monotonic() - watch.began)
    with catch_signals() as signalled:
        model = train(
            subimages,
            preset=config.preset,
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
