"""Several movies taken under different conditions: one rVAE for all, and how the conditions differ in its latents.

    OUT/config.yaml, checkpoints/, metrics.jsonl   the model that all have in common
    OUT/LABEL/                                     a finished run of each movie, with that model
    OUT/conditions.csv, summary.json, figures/, report.html   the comparison

Everything that bad input can stop happens before the first file is written.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from rvaejax.analysis.conditions import Comparison, compare, course, differing_scales, notes, part_of
from rvaejax.analysis.deviation import crystal_scale, deviation
from rvaejax.analysis.dynamics import clock, frame_clock
from rvaejax.analysis.selection import rows_of
from rvaejax.analysis.sites import median_bond_nm
from rvaejax.atoms.subimages import stacked
from rvaejax.config import to_dict
from rvaejax.errors import ConfigError
from rvaejax.io.files import check_output, check_source_survives, prepare_output, write_text
from rvaejax.io.movies import read_movie
from rvaejax.io.tables import write_rows
from rvaejax.pipeline import found
from rvaejax.pipeline.config import RunConfig
from rvaejax.pipeline.dynamics import Structure, run_curves
from rvaejax.pipeline.results import Results, Stopwatch
from rvaejax.pipeline.resume import was_begun
from rvaejax.pipeline.run import CONDITIONS, check_inputs_survive, finish, train_within
from rvaejax.plotting import conditions as plots
from rvaejax.plotting.style import save_figure
from rvaejax.report import write_report
from rvaejax.rvae.inference import encode
from rvaejax.rvae.inputs import check_training_set
from rvaejax.rvae.storage import save_model
from rvaejax.segmentation.weights import load_segmenter
from rvaejax.training.interrupt import StopFlag
from rvaejax.types import Atoms, ContentOrder, Maps, Movie, SubImages

log = logging.getLogger(__name__)

# what the folder of the comparison holds beside the movies', and what its summary does
FILES = ("figures", "checkpoints", "config.yaml", "metrics.jsonl", CONDITIONS, "summary.json", "report.html")
RESERVED = (*FILES, "title", "notes", "seconds")


class Part(NamedTuple):
    """One movie, and what was found in it."""

    label: str
    movie: Movie
    maps: Maps
    atoms: Atoms
    subimages: SubImages
    stored: bool


class End(NamedTuple):
    """What came of one movie."""

    results: Results
    structure: Structure | None
    order: ContentOrder


def run_conditions(
    sources: Sequence[Path],
    out: Path,
    config: RunConfig,
    *,
    labels: Sequence[str] = (),
    pixel_sizes_nm: Sequence[float] = (),
    overwrite: bool = False,
    resume: bool = False,
    should_stop: StopFlag | None = None,
) -> dict[str, Results]:
    """Analyses several movies with one model and compares them; what was found in each, by label.

    The model is trained on the sub-images of all movies together, each as often as it has sub-images.

    Args:
        sources: files or folders that `read_movie` reads.
        out: folder for the results.
        config: options, the same for all movies.
        labels: of the conditions; by default the movies' names.
        pixel_sizes_nm: of each movie [nm], before what its file or the options say.
        overwrite: replace the results of an earlier run.
        resume: go on with a run that was interrupted.
        should_stop: asked between pieces of the training; by default SIGINT and SIGTERM are listened to.

    Raises:
        InputError: a movie cannot be analysed, or the output exists; nothing was written.
    """
    watch = Stopwatch()
    check_output(out, overwrite, resume)
    check_inputs_survive(config, out)
    names = checked_labels(sources, labels)
    if config.centres.endswith(".csv"):
        raise ConfigError(f"--centres {config.centres}: one table cannot be that of several movies; give atoms or grid")
    for source in sources:
        check_source_survives(source, out)
    if pixel_sizes_nm and len(pixel_sizes_nm) != len(sources):
        raise ConfigError(f"--pixel-sizes: {len(pixel_sizes_nm)} for {len(sources)} movies; give one for each")
    pixels: list[float | None] = list(pixel_sizes_nm) or [config.px_nm] * len(sources)
    movies = [
        found.settled(read_movie(source, pixel_size_nm=nm), config) for source, nm in zip(sources, pixels, strict=True)
    ]
    config = with_one_pixel(movies, config)
    begun = {"conditions": {"labels": list(names), "pixel_sizes_nm": pixels, "run": to_dict(config)}}
    resume = resume and was_begun(out, begun)
    parts = [_part(name, movie, out / name, config, resume) for name, movie in zip(names, movies, strict=True)]
    together = stacked([part.subimages for part in parts])
    check_training_set(together)
    watch.lap("atoms and sub-images")
    prepare_output(out, overwrite, resume)
    first = np.cumsum([0, *(len(part.subimages) for part in parts)])
    for part, start in zip(parts, first, strict=False):
        prepare_output(out / part.label, resume=resume)
        shared = {"shared": {"with": list(names), "first": int(start), "of": len(together)}}
        if not part.stored:
            found.write_input(out / part.label, part.movie, part.maps, part.atoms, config, shared)
    write_text(out / "config.yaml", yaml.safe_dump(begun, sort_keys=False))
    model = train_within(out, together, config, watch, resume, should_stop)
    watch.lap("training")
    latents = encode(model, together)
    watch.lap("encoding")
    away, ends = deviation(latents), dict[str, End]()
    for part, start, end in zip(parts, first[:-1], first[1:], strict=True):
        rows = slice(int(start), int(end))
        own = rows_of(together, np.arange(rows.start, rows.stop))
        one = Results(part.movie, part.maps, part.atoms, own, model, part_of(latents, rows))
        ends[part.label] = _finish(out / part.label, one, config, (away[rows], crystal_scale(away)))
    watch.lap("figures and reports of the movies")
    _compare(out, ends, watch)
    return {label: end.results for label, end in ends.items()}


def checked_labels(sources: Sequence[Path], labels: Sequence[str]) -> tuple[str, ...]:
    """The conditions' labels, each fit to be the name of a folder.

    Raises:
        ConfigError: not one for each movie, two the same, or one that cannot be a folder's name here.
    """
    names = tuple(labels) or tuple(Path(source).name.split(".")[0] for source in sources)
    if len(names) != len(sources):
        raise ConfigError(f"--labels: {len(names)} for {len(sources)} movies; give one for each, in their order")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"two movies are labelled {twice[0]!r}; tell them apart with --labels")
    for name in names:
        if not re.fullmatch(r"[\w+-][\w.+ -]*", name) or name in RESERVED:
            raise ConfigError(f"label {name!r} cannot be a folder's name here; take letters, digits, _ . + -")
    return names


def with_one_pixel(movies: Sequence[Movie], config: RunConfig) -> RunConfig:
    """The options with a window's pixel that all movies share: the finest of what windows are cut from."""
    if config.window_px_nm is not None:
        return config
    shipped = None
    pixels = set()
    for movie in movies:
        if movie.atoms is None and config.source == "maps":
            shipped = load_segmenter(config.segmenter) if shipped is None else shipped
            pixels.add(shipped.config.pixel_size_nm)
        else:
            pixels.add(float(movie.pixel_size_nm or np.nan))
    return config if len(pixels) == 1 else replace(config, window_px_nm=min(pixels))


def _part(label: str, movie: Movie, folder: Path, config: RunConfig, resume: bool) -> Part:
    centres = found.points(movie, config)
    stored = found.stored(folder, movie, config) if resume else None
    maps, atoms = stored or found.find(movie, config)
    subimages = found.cut(movie, maps, atoms, centres, config)
    return Part(label, movie, maps, atoms, subimages, stored is not None)


def _finish(folder: Path, results: Results, config: RunConfig, crystal: tuple[np.ndarray, float]) -> End:
    log.info("%s: %d sub-images", folder.name, len(results.subimages))
    save_model(results.model, folder)
    return End(results, *finish(folder, results, config, Stopwatch(), crystal=crystal))


def _compare(out: Path, ends: dict[str, End], watch: Stopwatch) -> None:
    """The figures, the table and the report of the comparison."""
    results = {label: end.results for label, end in ends.items()}
    latents = {label: one.latents for label, one in results.items()}
    frames = {label: one.subimages.frame for label, one in results.items()}
    told = compare(latents, frames=frames, away=[end.order.deviation for end in ends.values()])
    curves = {label: _curves(end) for label, end in ends.items()}
    clocks = {label: clock(one.movie) for label, one in results.items()}
    if len({time.label for time in clocks.values()}) > 1:  # seconds and doses do not share an axis
        clocks = {label: frame_clock(len(one.movie), None, None) for label, one in results.items()}
    save_figure(plots.distributions(latents), out / "figures" / "condition_distributions.png")
    if any(len(time.values) > 1 for time in clocks.values()):
        save_figure(plots.curves(curves, clocks), out / "figures" / "condition_curves.png")
    bond = [np.nan if one is None else median_bond_nm(each.atoms, one.sites.pairs) for each, one, _ in ends.values()]
    pixels = [one.atoms.pixel_size_nm for one in results.values()]
    rows = [_row(i, told, one, bond[i], curves[label]) for i, (label, one) in enumerate(results.items())]
    write_rows(out / CONDITIONS, rows)
    summary: dict[str, Any] = {
        "title": " and ".join(filter(None, (", ".join(told.labels[:-1]), told.labels[-1]))),
        "notes": [*notes(told, curves), *differing_scales(told.labels, bond, pixels)],
    }
    summary |= {str(row["condition"]): {k: v for k, v in row.items() if k != "condition"} for row in rows}
    write_text(out / "summary.json", json.dumps({**summary, "seconds": watch.seconds}, indent=2))
    write_report(out)


def _curves(end: End) -> dict[str, np.ndarray]:
    """Order parameters of each frame; what is off the crystal is told from the crystal that all movies share."""
    one, time = end.results, frame_clock(len(end.results.movie), None, None)
    return run_curves(one.atoms, one.latents, one.subimages.frame, end.structure, time, end.order)[0]


def _row(i: int, told: Comparison, one: Results, bond: float, curves: dict[str, np.ndarray]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "condition": told.labels[i],
        "frames": len(one.movie),
        "atoms": len(one.atoms),
        "sub-images": int(told.sites[i]),
        "median bond length [nm]": bond if np.isfinite(bond) else "",
        "angular order": told.order[i],
        "share off the common crystal": told.off[i],
    }
    for d in range(told.mean.shape[1]):
        row[f"content latent {d + 1}, mean"] = told.mean[i, d]
        row[f"content latent {d + 1}, sd"] = told.sd[i, d]
        row[f"content latent {d + 1}, distance to {told.labels[0]}"] = told.distance[0, i, d]
        if np.isfinite(told.within[i, d]):
            row[f"content latent {d + 1}, distance of first and second half"] = told.within[i, d]
    for name, values in curves.items():
        if (change := course(values)) is not None:
            row[f"{name}, first frame"], row[f"{name}, last minus first frame"] = change
    return {k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in row.items()}
