"""The figure of the comparison of rVAEs: angle, content and leakage over seconds of training, and throughput."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator
from rvae_scores import WANTED

from rvaejax.plotting.style import BLUE, FAINT, GREEN, ORANGE, PURPLE, RED, new_figure, plain_axes, save_figure

PANELS = (
    ("angle_R", "circular concentration of the angle, worst kind"),
    ("knn_accuracy", "accuracy of the kind from 15 neighbours"),
    ("leakage_r2", "share of the angle in the content, worst kind"),
)
NAMES = {"atomai": "AtomAI", "pyroved": "pyroVED"}
COLOURS = {"default": BLUE, "atomai": RED, "pyroved": ORANGE, "paper": GREEN, "paper-atomai": PURPLE}


def _label(program: str, runs: list[dict[str, Any]]) -> str:
    version = runs[0]["versions"].get(program, "")
    name = f"{NAMES[program]} {version}" if program in NAMES else f"rvaejax, {program}"
    start = float(np.median([run["start_seconds"] + run["compile_seconds"] for run in runs]))
    return f"{name} (and {start:.0f} s to start{'' if program in NAMES else ' and compile'})"


def _curves(axes: Axes, score: str, quality: dict[str, list[dict[str, Any]]]) -> None:
    """A thin line per seed, a thick one through the medians of all seeds."""
    for program, runs in quality.items():
        colour, points = COLOURS.get(program, FAINT), {}
        for run in runs:
            looks = [look for look in run["looks"] if look.get(score) is not None]
            axes.plot([v["seconds"] for v in looks], [v[score] for v in looks], color=colour, lw=0.7, alpha=0.5)
            for look in looks:
                points.setdefault(look["due"], []).append((look["seconds"], look[score]))
        medians = np.array([np.median(values, axis=0) for _, values in sorted(points.items())])
        if len(medians):
            axes.plot(*medians.T, "o-", color=colour, lw=2, ms=4, label=_label(program, runs))
    axes.axhline(WANTED[score], color=FAINT, lw=1, ls="--")
    axes.set(xscale="log", ylim=(-0.05, 1.05))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_formatter("")


def _bars(axes: Axes, throughput: dict[str, Any]) -> None:
    """Images per second of both programs, medians, with the extremes."""
    cases = [name for name in throughput if name != "atomai"]
    for i, (who, colour) in enumerate((("rvaejax", BLUE), ("atomai", RED))):
        for row, case in enumerate(cases):
            rate, y = throughput[case][f"{who}, images per second"], row + 0.36 * (i - 0.5)
            axes.barh(y, rate["median"], 0.32, color=colour, label=NAMES.get(who, "rvaejax") if row == 0 else None)
            axes.plot([rate["min"], rate["max"]], [y, y], color="black", lw=1)
            axes.text(rate["max"], y, f"  {rate['median']:.3g}", va="center", fontsize=8)
    axes.set_yticks(range(len(cases)), [case.replace(", ", "\n") for case in cases], fontsize=8)
    axes.margins(x=0.2)
    axes.invert_yaxis()
    axes.legend(fontsize=8, frameon=False)


def draw(result: dict[str, Any], path: Path) -> None:
    """Draws what there is, and saves."""
    figure = new_figure(11, 8)
    axes = figure.subplots(2, 2).ravel()
    quality = result.get("quality") or {}
    for panel, (score, title) in zip(axes, PANELS, strict=False):
        if quality:
            _curves(panel, score, quality)
        plain_axes(panel, "seconds of training", score.replace("_", " "), title)
    if quality:
        axes[0].legend(fontsize=8, frameon=False)
    if "throughput" in result:
        plain_axes(axes[3], "images per second", "", "training, preset paper-atomai and AtomAI")
        _bars(axes[3], result["throughput"])
    else:
        axes[3].set_axis_off()
    on = {f"{m['device']}, {m['machine']}" for m in result["measured"].values()}
    figure.suptitle("; ".join(sorted(on)), fontsize=9)
    save_figure(figure, path)
