"""A segmenter: how its training went, and where the members of an ensemble disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rvaejax.plotting.style import BLUE, GREEN, ORANGE, PURPLE, RED, image_axes, new_figure, plain_axes

_COLOURS = (BLUE, RED, GREEN, ORANGE, PURPLE)


def segmenter_curves(metrics: Sequence[Mapping[str, Any]]) -> Figure:
    """Loss (on training images and, dashed, held-out ones), 1 - F1, and position error, one colour a member.

    Args:
        metrics: rows of metrics.jsonl: `member`, `step`, `loss`, and at evaluations `holdout_loss`, `holdout_f1`,
            `holdout_rmse_pm`.
    """
    figure = new_figure(11.0, 3.2)
    loss, f1, error = figure.subplots(1, 3)
    for member in sorted({row.get("member", 0) for row in metrics}):
        rows = [row for row in metrics if row.get("member", 0) == member]
        colour = _COLOURS[member % len(_COLOURS)]
        _curve(loss, rows, "loss", colour, f"member {member}", "-")
        _curve(loss, rows, "holdout_loss", colour, f"member {member}, held out", "--")
        _curve(f1, [{**r, "miss": 1 - r["holdout_f1"]} for r in rows if "holdout_f1" in r], "miss", colour, "", ".-")
        _curve(error, rows, "holdout_rmse_pm", colour, "", ".-")
    for axes, label in ((loss, "loss per pixel [nat]"), (f1, "1 - F1, held out"), (error, "position error [pm]")):
        plain_axes(axes, "step", label)
        if axes.lines:
            axes.set_yscale("log")
    if loss.lines:
        loss.legend(fontsize=7, framealpha=0.9, edgecolor="none")
    return figure


def disagreement_map(uncertainty: Float[np.ndarray, "h w"], pixel_size_nm: float | None) -> Figure:
    """Where the members of an ensemble disagree in one frame, black (0) to white (0.5 and above).

    Args:
        uncertainty: their disagreement, in [0, 1].
        pixel_size_nm: of the maps, for the scale bar [nm].
    """
    size = (int(uncertainty.shape[0]), int(uncertainty.shape[1]))
    figure = new_figure(5.4, 0.4 + 5.0 * min(size[0] / size[1], 2.0))
    axes = figure.subplots()
    axes.imshow(np.asarray(uncertainty, np.float64), cmap="gray", vmin=0.0, vmax=0.5, interpolation="nearest")
    image_axes(axes, size, pixel_size_nm, "disagreement of the ensemble")
    return figure


def _curve(axes: Axes, rows: Sequence[Mapping[str, Any]], name: str, colour: str, label: str, style: str) -> None:
    points = [(row["step"], row[name]) for row in rows if name in row and row[name] > 0 and np.isfinite(row[name])]
    if points:
        axes.plot(*zip(*points, strict=True), style, color=colour, label=label, lw=1.3, ms=4)
