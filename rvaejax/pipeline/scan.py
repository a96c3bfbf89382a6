"""Model choice: the candidates of a scan trained one after the other, their seeds side by side, and compared.

A scan's folder holds `scan.csv` and `scan.json` (a row for each candidate), `figures/scan.png`, and the best seed's
model of each candidate in `candidates/NAME`, as `rvaejax encode` takes it.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from rvaejax.analysis.selection import Measures, measures, rows_of
from rvaejax.config import to_dict
from rvaejax.errors import ImageError
from rvaejax.io.files import check_output, check_source_survives, prepare_output, write_text
from rvaejax.io.subimages import read_subimages
from rvaejax.io.tables import write_rows
from rvaejax.pipeline.config_file import read_section
from rvaejax.pipeline.resume import fingerprint, was_begun
from rvaejax.pipeline.scan_config import Candidate, ScanOptions, candidates, training_of
from rvaejax.rvae.config import RVAEConfig, preset
from rvaejax.rvae.given import check_given
from rvaejax.rvae.inputs import check_training_set
from rvaejax.rvae.model import split_rows, train
from rvaejax.rvae.seeds import check_seeds
from rvaejax.rvae.storage import save_model
from rvaejax.training.interrupt import catch_signals
from rvaejax.types import SubImages

log = logging.getLogger(__name__)

ROWS = "scan.json"
MEASURED_SHARE = 0.15  # of a candidate's time, kept for encoding, reconstructions and turned copies
LEAST_SHARE = 0.25  # of its steps that a candidate must have had to be compared without a warning
NOTES = (
    "ELBO per image compares candidates of the same window and likelihood only; per pixel, windows too, with care.",
    "Stability: how far the seeds explain each other's content, and agree in the angle; one seed tells nothing.",
    "Leakage: R2 of a random turn from the content before and after; noise makes it slightly negative.",
)


def scan(
    source: Path, out: Path, options: ScanOptions, *, overwrite: bool = False, resume: bool = False, started: float
) -> list[dict[str, Any]]:
    """Trains and measures all candidates; a row for each, the highest ELBO per pixel first.

    Args:
        source: SUBIMAGES.npz.
        out: folder for the results.
        options: what is varied, and how long it may take.
        overwrite: replace an earlier scan.
        resume: go on with one that was interrupted: candidates that are done are left as they are.
        started: `time.monotonic()` from which the time counts.

    Raises:
        InputError: what cannot be trained, before anything is.
    """
    check_output(out, overwrite, resume)
    check_source_survives(source, out)
    base = preset(options.preset)
    base = base if options.config is None else read_section(options.config, "rvae", base, "rVAE")
    chosen = [replace(c, config=training_of(c.config, options)) for c in candidates(options, base)]
    subimages = read_subimages(source)
    for candidate in chosen:
        _check(candidate, subimages, options, source)
    sections = _sections(options, base, subimages)
    rows: list[dict[str, Any]] = []
    if resume and was_begun(out, sections) and (out / ROWS).is_file():
        rows = json.loads((out / ROWS).read_text())["candidates"]
    folder = prepare_output(out, overwrite, resume)
    write_text(folder / "config.yaml", yaml.safe_dump(sections, sort_keys=False))
    done, end = {row["name"] for row in rows}, started + options.max_seconds
    left = [candidate for candidate in chosen if candidate.name not in done]
    with catch_signals() as should_stop:
        for number, candidate in enumerate(left):
            share = max(1.0, (end - time.monotonic()) / (len(left) - number))
            rows.append(_row(candidate, subimages, options, share, folder, should_stop))
            _write(folder, rows)
            log.info("%d of %d: %s, held-out ELBO %s", len(rows), len(chosen), candidate.name, rows[-1]["elbo"])
    if short := [row["name"] for row in rows if row["steps"] < LEAST_SHARE * (row["steps"] + row["cut"])]:
        log.warning(
            "%d of %d candidates had time for less than a quarter of their steps, which is too little to choose by: "
            "give more --max-seconds (some 20 s of each go to compilation), or fewer --steps",
            len(short),
            len(rows),
        )
    return _write(folder, rows)


def cut(subimages: SubImages, window: int | None) -> SubImages:
    """Windows of `window` px from the middle of the sub-images.

    Raises:
        ImageError: they are smaller than that.
    """
    if window is None:
        return subimages
    h, w = subimages.images.shape[1:3]
    if window > w:
        raise ImageError(f"windows of {window} px cannot be cut from sub-images of {h} x {w} px; cut larger ones")
    top, left = (h - min(h, window)) // 2, (w - window) // 2
    return replace(subimages, images=subimages.images[:, top : top + window, left : left + window])


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as text, in columns."""
    names = [name for name in rows[0] if name not in ("name", "seconds", "elbo_spread")]
    cells = [names, *([_text(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    lines = ["  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True)) for line in cells]
    return "\n".join([*lines, "", *NOTES])


def _check(candidate: Candidate, subimages: SubImages, options: ScanOptions, source: Path) -> None:
    try:
        windows = cut(subimages, candidate.window)
        check_training_set(windows)
        given = check_given(candidate.config, windows)
    except ImageError as error:
        raise ImageError(f"{source}: {error}") from None
    held = len(split_rows(len(windows), given.config.training.holdout, options.seed)[1])
    check_seeds(given.config, max(options.seeds, 2), held)  # without held-out rows there is nothing to compare


def _sections(options: ScanOptions, base: RVAEConfig, subimages: SubImages) -> dict[str, Any]:
    listed = {name: list(v) if isinstance(v, tuple) else v for name, v in vars(options).items() if name != "config"}
    known = {"images": list(subimages.images.shape), "checksum": fingerprint([subimages.images])}
    return {"scan": {**listed, **known}, "rvae": to_dict(base)}


def _row(
    candidate: Candidate, subimages: SubImages, options: ScanOptions, seconds: float, folder: Path, should_stop: Any
) -> dict[str, Any]:
    began, windows = time.monotonic(), cut(subimages, candidate.window)
    model = train(
        windows,
        config=candidate.config,
        seed=options.seed,
        seeds=options.seeds,
        max_seconds=(1 - MEASURED_SHARE) * seconds,
        should_stop=should_stop,
    )
    save_model(model, folder / "candidates" / candidate.name)
    held = split_rows(len(windows), candidate.config.training.holdout, options.seed)[1][: options.rows]
    found: Measures = measures(model, rows_of(windows, np.sort(held)), seed=options.seed)
    facts = {"steps": model.steps, "cut": model.cut, "seconds": round(time.monotonic() - began, 1)}
    return {"name": candidate.name, **candidate.varied, **{k: _plain(v) for k, v in found._asdict().items()}, **facts}


def _write(folder: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    from rvaejax.plotting.scan import scan_figure
    from rvaejax.plotting.style import save_figure

    ordered = sorted(rows, key=lambda row: -math.inf if row["elbo_per_pixel"] is None else -row["elbo_per_pixel"])
    write_text(folder / ROWS, json.dumps({"candidates": ordered, "notes": list(NOTES)}, indent=2, allow_nan=False))
    write_rows(folder / "scan.csv", ordered)
    save_figure(scan_figure(ordered), folder / "figures" / "scan.png")
    return ordered


def _plain(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
