"""How a training went: the evidence lower bound and its terms, on training and held-out rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rvaejax.plotting.style import BLUE, GREEN, ORANGE, PURPLE, RED, new_figure, plain_axes

STEP_NAMES = ("step", "epoch", "seconds", "time_s")
HELD_OUT = ("held_out", "heldout", "held-out", "holdout", "test", "val", "validation", "eval")
TRAIN = ("train", "training")
_TERM_COLOURS = (BLUE, RED, GREEN, ORANGE, PURPLE)


def losses(metrics: Sequence[Mapping[str, Any]]) -> Figure:
    """The evidence lower bound, and each Kullback-Leibler term, against the step; held-out rows dashed.

    Args:
        metrics: rows of metrics.jsonl: `step` (or `epoch`) and numbers, by name or nested one level, as in
            {"step": 10, "train": {"elbo": -3.0}, "held_out": {"elbo": -3.2}} or {"step": 10, "test_elbo": -3.2}.
            A name without a mark is of the training rows. Terms whose name holds "kl" share a panel; of the others
            those whose name holds "elbo" come first, then "loss"; what is none of these is left out.
    """
    rows = [flatten(row) for row in metrics]
    step_name = next((name for name in STEP_NAMES if any(name in row for row in rows)), "")
    curves = _curves(rows, step_name)
    bounds = [t for t in curves if "kl" not in t and "elbo" in t] or [
        t for t in curves if "kl" not in t and "loss" in t
    ]
    divergences = [term for term in curves if "kl" in term]
    panels = [group for group in (bounds, divergences) if group]
    figure = new_figure(4.8 * max(len(panels), 1), 3.4)
    if not panels:
        figure.text(0.5, 0.5, "no losses were recorded", ha="center")
        return figure
    for axes, terms in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
        _draw(axes, terms, curves)
        plain_axes(axes, step_name or "row", "nats per sub-image")
        axes.legend(fontsize=7, framealpha=0.9, edgecolor="none")
    return figure


def flatten(row: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a row by lower-case name, names of nested ones joined with "/"."""
    out: dict[str, float] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            out.update({f"{str(name).lower()}/{k}": v for k, v in flatten(value).items()})
        elif isinstance(value, int | float) and not isinstance(value, bool):
            out[str(name).lower()] = float(value)
    return out


def split_name(name: str) -> tuple[str, bool]:
    """The term that a metric's name names, and whether it is of the held-out rows."""
    for marks, held_out in ((HELD_OUT, True), (TRAIN, False)):
        for mark in sorted(marks, key=len, reverse=True):
            for joint in ("/", "_", ".", " "):
                if name.startswith(mark + joint):
                    return name[len(mark) + 1 :], held_out
                if name.endswith(joint + mark):
                    return name[: -len(mark) - 1], held_out
    return name, False


def _curves(rows: Sequence[Mapping[str, float]], step_name: str) -> dict[str, dict[bool, np.ndarray]]:
    """Term -> held out? -> (m, 2) array of step and value."""
    points: dict[str, dict[bool, list[tuple[float, float]]]] = {}
    for number, row in enumerate(rows):
        step = row.get(step_name, float(number))
        for name, value in row.items():
            if name not in STEP_NAMES:
                term, held_out = split_name(name)
                points.setdefault(term, {}).setdefault(held_out, []).append((step, value))
    return {term: {kind: np.array(pairs) for kind, pairs in kinds.items()} for term, kinds in points.items()}


def _draw(axes: Axes, terms: Sequence[str], curves: Mapping[str, Mapping[bool, np.ndarray]]) -> None:
    seen = []
    for i, term in enumerate(terms):
        for held_out, points in sorted(curves[term].items()):
            finite = points[np.isfinite(points).all(axis=1)]
            label = f"{term.replace('_', ' ')}{', held out' if held_out else ''}"
            (line,) = axes.plot(finite[:, 0], finite[:, 1], label=label, lw=1.4, ls="--" if held_out else "-")
            line.set(color=_TERM_COLOURS[i % len(_TERM_COLOURS)], marker="." if len(finite) < 3 else "")
            seen.append(finite[len(finite) // 50 :, 1])
    low, high = np.percentile(np.concatenate(seen), [1, 100]) if any(map(len, seen)) else (0.0, 1.0)
    if all("kl" in term for term in terms):
        axes.set_ylim(0, 1.05 * max(high, 1e-6))
    elif high > low:
        # the first steps fall out of the picture where they would squeeze the rest
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
