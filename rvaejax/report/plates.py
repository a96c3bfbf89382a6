"""A page of figures, each with a few lines of text beside it, as Markdown and as one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from rvaejax.io.files import write_text
from rvaejax.report.write import embedded

STYLE = """img { max-width: 100%; }
main { padding-top: 2rem; }
th { white-space: nowrap; width: 7rem; }
td { text-align: left; }"""


class Plate(NamedTuple):
    """One figure.

    Attributes:
        title: above it.
        picture: its file, below the page's folder.
        lines: who says it, and what; one a row.
    """

    title: str
    picture: Path
    lines: tuple[tuple[str, str], ...]


def write_plates(page: Path, title: str, notes: Sequence[str], plates: Sequence[Plate]) -> tuple[Path, Path]:
    """Writes `page`.md, with links to the pictures, and `page`.html, with the pictures in it; their paths.

    Args:
        page: name without suffix; the pictures lie in the same folder or below it.
        title: of the page.
        notes: what the reader must know first.
        plates: in their order.
    """
    written = page.with_suffix(".md"), page.with_suffix(".html")
    write_text(written[0], _markdown(page.parent, title, notes, plates))
    write_text(written[1], _html(title, notes, plates))
    return written


def _markdown(folder: Path, title: str, notes: Sequence[str], plates: Sequence[Plate]) -> str:
    parts = [f"# {title}", *notes]
    for plate in plates:
        path = plate.picture.relative_to(folder).as_posix()
        parts += [f"## {plate.title}", f"![{plate.title}]({path})", *(f"*{who}:* {what}" for who, what in plate.lines)]
    return "\n\n".join(parts) + "\n"


def _html(title: str, notes: Sequence[str], plates: Sequence[Plate]) -> str:
    style = resources.files("rvaejax.report").joinpath("style.css").read_text(encoding="utf-8")
    body = []
    for plate in plates:
        rows = "".join(
            f'<tr><th scope="row">{escape(who)}</th><td>{escape(what)}</td></tr>' for who, what in plate.lines
        )
        image = f'<img alt="{escape(plate.title, quote=True)}" src="{embedded(plate.picture)}">'
        body.append(f"<section><h2>{escape(plate.title)}</h2><figure>{image}</figure><table>{rows}</table></section>")
    said = "".join(f"<p>{escape(note)}</p>" for note in notes)
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{style}\n{STYLE}</style>'
    page = f"<main><h1>{escape(title)}</h1>{said}{''.join(body)}</main>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{page}</body></html>\n'
