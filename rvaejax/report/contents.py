"""What a report shows, gathered from the files of a run's folder; a file that is not there is left out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from rvaejax.errors import FormatError, MissingFileError
from rvaejax.io import read_atoms, read_latents_h5
from rvaejax.io.metrics import read_metrics
from rvaejax.io.raw import one_line
from rvaejax.report.catalogue import FigureGroup, group_figures

CHECK = "check.json"  # what `rvaejax check` leaves in a run's folder
IN_ONE_LINE = 30  # letters
Rows = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Contents:
    """Everything on the page, as text.

    Attributes:
        title: of the page.
        notes: what the reader must know before looking at anything.
        compared: of several movies, the numbers of each side by side: rows of cells, the first one their names.
        numbers: sections of name and value.
        check: the same of the invariance check, and what to know of it.
        figures: in the order of the data flow.
        settings: sections of option and value.
    """

    title: str
    notes: tuple[str, ...]
    compared: tuple[tuple[str, ...], ...]
    numbers: tuple[tuple[str, Rows], ...]
    check: tuple[tuple[tuple[str, Rows], ...], tuple[str, ...]]
    figures: tuple[FigureGroup, ...]
    settings: tuple[tuple[str, Rows], ...]


def read_contents(run_dir: Path) -> Contents:
    """Reads config.yaml, summary.json, check.json, metrics.jsonl, atoms.csv, latents.h5 and figures/*.png of a folder.

    Raises:
        MissingFileError: there is no such folder.
        FormatError: it is not a run's folder, or one of these files is damaged.
    """
    if not run_dir.is_dir():
        raise MissingFileError(f"{run_dir}: no such folder; give the folder of a run")
    pictures = list((run_dir / "figures").glob("[!.]*.png"))
    config, summary = _config(run_dir / "config.yaml"), _json(run_dir / "summary.json")
    check = _json(run_dir / CHECK)
    remarks = check.pop("notes", [])
    if not pictures and config is None and not summary:
        raise FormatError(
            f"{run_dir}: not the folder of a run (no config.yaml, no figures); give the one that --out named"
        )
    notes = summary.pop("notes", [])
    compared = {k: summary.pop(k) for k in _conditions(config) if isinstance(summary.get(k), dict)}
    numbers = [(name, tuple(flatten(part))) for name, part in _sections(summary, "Results")]
    numbers += [(name, rows) for name, rows in _counted(run_dir) if rows]
    return Contents(
        title=str(summary.get("title") or run_dir.resolve().name),
        notes=tuple(str(note) for note in (notes if isinstance(notes, list) else [notes])),
        compared=side_by_side(compared),
        numbers=tuple((heading(name), rows) for name, rows in numbers if rows),
        check=(tuple((heading(name), tuple(flatten(part))) for name, part in check.items()), tuple(map(str, remarks))),
        figures=tuple(group_figures(pictures)),
        settings=tuple((heading(name), tuple(flatten(part))) for name, part in _sections(config or {}, "General")),
    )


def flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested values as rows of name and text; names of nested ones joined with a dot."""
    if not isinstance(value, Mapping):
        yield prefix, text(value)
        return
    for name, item in value.items():
        yield from flatten(item, f"{prefix}.{name}" if prefix else str(name))


def side_by_side(compared: Mapping[str, Mapping[str, Any]]) -> tuple[tuple[str, ...], ...]:
    """A column of each movie's numbers, a row for each quantity that any of them has; nothing of no movies."""
    names = list(dict.fromkeys(name for one in compared.values() for name in one))
    rows = [
        (name, *("–" if one.get(name, "") == "" else text(one[name]) for one in compared.values())) for name in names
    ]
    return (("", *compared), *rows) if compared else ()


def text(value: Any) -> str:
    """A value as a reader wants it: four figures, yes and no, lists in one line."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if 1e3 <= abs(value) < 1e7 else f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(_unbroken(text(item)) for item in value) or "–"
    return f"{value:,}" if isinstance(value, int) and abs(value) >= 10_000 else str(value)


def _unbroken(item: str) -> str:
    """A short item of a list, which stays in one line: a number is not torn from its unit."""
    return item.replace(" ", "\u00a0") if len(item) <= IN_ONE_LINE else item


def heading(name: str) -> str:
    """A name out of a file as a heading."""
    return name.replace("_", " ").strip()[:1].upper() + name.replace("_", " ").strip()[1:]


def _config(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: not readable as YAML ({one_line(error)}); run again with --overwrite") from error
    return found if isinstance(found, dict) else {}


def _conditions(config: Mapping[str, Any] | None) -> list[str]:
    """The movies that a folder compares."""
    return [str(label) for label in ((config or {}).get("conditions") or {}).get("labels", [])]


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FormatError(f"{path}: not readable as JSON ({one_line(error)}); run again with --overwrite") from error
    return found if isinstance(found, dict) else {"results": found}


def _sections(values: Mapping[str, Any], rest: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Entries that hold several values each as a section of their own, the others together under `rest`."""
    single = {k: v for k, v in values.items() if not isinstance(v, Mapping) and k != "title"}
    return ([(rest, single)] if single else []) + [(k, v) for k, v in values.items() if isinstance(v, Mapping)]


def _counted(run_dir: Path) -> Iterator[tuple[str, Rows]]:
    """What the tables of the run hold: atoms, sub-images, steps."""
    if (run_dir / "atoms.csv").is_file():
        atoms = read_atoms(run_dir / "atoms.csv")
        kinds, counts = np.unique(atoms.species, return_counts=True)
        frames = len(np.unique(atoms.frame))
        rows = [(f"{kind} atoms", text(int(count))) for kind, count in zip(kinds, counts, strict=True)]
        yield "Table of atoms", (("frames with atoms", text(frames)), *rows)
    if (run_dir / "latents.h5").is_file():
        latents = read_latents_h5(run_dir / "latents.h5").latents
        dims = latents.content.shape[1]
        yield "Table of latents", (("sub-images", text(len(latents))), ("content latents", text(dims)))
    rows_of_metrics = read_metrics(run_dir / "metrics.jsonl")
    if rows_of_metrics:
        last: dict[str, Any] = {}
        for row in rows_of_metrics:
            last.update(row)
        yield "Training, last values", tuple(flatten(last))
