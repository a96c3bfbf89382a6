"""A scan over configurations: each measure of each candidate, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rvaejax.plotting.style import BLUE, FAINT, GREEN, ORANGE, PURPLE, RED, new_figure, plain_axes

PANELS = (
    ("elbo", "held-out ELBO\n[nat per image]", BLUE),
    ("reconstruction", "reconstruction error\n/ images' s.d.", RED),
    ("content_stability", "content agrees\nbetween seeds", GREEN),
    ("angle_stability", "angle agrees\nbetween seeds", PURPLE),
    ("leakage", "leakage: R² of a turn\nfrom the content", ORANGE),
)
PER_PIXEL = ("elbo_per_pixel", "held-out ELBO\n[nat per pixel]", BLUE)  # where windows differ


def scan_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """One panel a measure, one line a candidate in the order of the rows; what was not measured is left out.

    Args:
        rows: of scan.json: `name` and the measures of `rvaejax.analysis.selection.Measures`, None where not known.
    """
    bound = PER_PIXEL if any("window" in row for row in rows) else PANELS[0]
    panels = [panel for panel in (bound, *PANELS[1:]) if any(row.get(panel[0]) is not None for row in rows)]
    figure = new_figure(2.2 + 2.1 * max(len(panels), 1), 1.3 + 0.28 * len(rows))
    if not panels:
        figure.text(0.5, 0.5, "nothing was measured", ha="center")
        return figure
    at = np.arange(len(rows))[::-1]
    for i, (axes, (name, label, colour)) in enumerate(
        zip(np.atleast_1d(figure.subplots(1, len(panels), sharey=True)), panels, strict=True)
    ):
        values = np.array([np.nan if row.get(name) is None else row[name] for row in rows], float)
        if i == 0 and name == bound[0]:  # its zero means nothing
            axes.errorbar(values, at, xerr=_spreads(rows, values), fmt="o", color=colour, ms=5, elinewidth=1)
        else:
            axes.hlines(at, 0, values, color=colour, alpha=0.25, lw=3)
            axes.plot(values, at, "o", color=colour, ms=5)
        if name.endswith("stability"):
            axes.set_xlim(-0.03, 1.03)
        if name == "leakage":
            axes.axvline(0, color=FAINT, lw=0.8)
            axes.set_xlim(min(-0.1, np.nanmin(values)), max(0.3, 1.05 * np.nanmax(values)))
        axes.set_ylim(-0.6, len(rows) - 0.4)
        plain_axes(axes, label, "")
        axes.xaxis.set_major_locator(_few_ticks())
        axes.grid(axis="y", color=FAINT, alpha=0.15)
        if i == 0:
            axes.set_yticks(at, [_label(row) for row in rows], fontsize=8)
    return figure


def _spreads(rows: Sequence[Mapping[str, Any]], values: np.ndarray) -> np.ndarray:
    """Standard deviation between seeds, in the unit of the values, which are bounds per image or per pixel."""
    bounds = np.array([row.get("elbo") or np.nan for row in rows], float)
    spread = np.array([row.get("elbo_spread") or 0.0 for row in rows])
    return np.nan_to_num(np.abs(spread * values / bounds))


def _label(row: Mapping[str, Any]) -> str:
    names = list(row)
    varied = names[names.index("name") + 1 : names.index("elbo")] if "elbo" in names and "name" in names else []
    return ", ".join(f"{name.rsplit('.', 1)[-1].replace('_', ' ')} {row[name]}" for name in varied) or str(row["name"])


def _few_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(4)
