"""Contents to one HTML file that needs no network and no other file."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Sequence
from html import escape
from importlib import resources
from pathlib import Path

from rvaejax.io.files import write_text
from rvaejax.report.catalogue import PARTS, FigureGroup
from rvaejax.report.contents import Contents, Rows, read_contents


def write_report(run_dir: str | os.PathLike[str]) -> Path:
    """Builds `report.html` in a run's folder from the files that lie there, and gives its path.

    Raises:
        MissingFileError: there is no such folder.
        FormatError: it is not the folder of a run, or one of its files is damaged.
    """
    folder = Path(run_dir)
    target = folder / "report.html"
    write_text(target, render(read_contents(folder)))
    return target


def render(contents: Contents) -> str:
    """The whole page."""
    package = resources.files("rvaejax.report")
    parts = [(part, [g for g in contents.figures if g.entry.part == part]) for part in PARTS]
    sections = [(part, "".join(map(_figure, groups))) for part, groups in parts if groups]
    numbers = "".join(_table(name, rows) for name, rows in contents.numbers)
    if numbers:
        sections.insert(0, ("Numbers", f'<div class="tables">{numbers}</div>'))
    if contents.compared:
        sections.insert(0, ("Side by side", _side_by_side(contents.compared)))
    if contents.check[0]:
        tables = "".join(_table(name, rows) for name, rows in contents.check[0])
        sections.append(("Invariance", f'<div class="tables">{tables}</div>{_notes(contents.check[1])}'))
    if contents.settings:
        sections.append(("Settings", "".join(_settings(name, rows) for name, rows in contents.settings)))
    fill = {
        "TITLE": escape(contents.title),
        "STYLE": package.joinpath("style.css").read_text(encoding="utf-8"),
        "SCRIPT": package.joinpath("script.js").read_text(encoding="utf-8"),
        "NAVIGATION": "".join(f'<a href="#{_anchor(name)}">{escape(name)}</a>' for name, _ in sections),
        "NOTES": _notes(contents.notes),
        "BODY": "".join(_section(name, body) for name, body in sections),
    }
    page = package.joinpath("page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: fill[match[1]], page)


def embedded(picture: Path) -> str:
    """A PNG as the address of an image that needs no other file."""
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode("ascii")


def _anchor(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _section(name: str, body: str) -> str:
    return f'<section id="{_anchor(name)}"><h2>{escape(name)}</h2>{body}</section>\n'


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    return '<aside class="notes"><ul>' + "".join(f"<li>{escape(note)}</li>" for note in notes) + "</ul></aside>"


def _table(name: str, rows: Rows) -> str:
    return f'<div class="card"><h3>{escape(name)}</h3>{_rows(rows)}</div>'


def _side_by_side(rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in rows[0])
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{escape(value)}</td>" for value in values)}</tr>'
        for name, *values in rows[1:]
    )
    return f'<div class="card wide"><table><tr>{head}</tr>{body}</table></div>'


def _settings(name: str, rows: Rows) -> str:
    return f"<details><summary>{escape(name)}</summary>{_rows(rows)}</details>"


def _rows(rows: Rows) -> str:
    cells = (
        f'<tr><th scope="row">{escape(name.replace("_", " "))}</th><td>{escape(value)}</td></tr>'
        for name, value in rows
    )
    return f"<table>{''.join(cells)}</table>"


def _figure(group: FigureGroup) -> str:
    title, caption = escape(group.entry.title), escape(group.entry.caption)
    pictures = "".join(
        _picture(f, group.entry.title, label) for f, label in zip(group.files, group.labels, strict=True)
    )
    slider = ""
    if len(group.files) > 1:
        last = len(group.files) - 1
        slider = (
            f'<label class="slider" hidden><input type="range" min="0" max="{last}" value="0"><output></output></label>'
        )
    return f"<figure><h3>{title}</h3>{slider}{pictures}<figcaption>{caption}</figcaption></figure>"


def _picture(file: Path, title: str, label: str) -> str:
    name = escape(f"{title}, {label}" if label else title, quote=True)
    image = f'<img alt="{name}" src="{embedded(file)}">'
    return f'<button class="picture" type="button" data-label="{escape(label, quote=True)}">{image}</button>'
