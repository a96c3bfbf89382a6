"""The figure of the comparison of segmenters: F1 and position error over dose and pixel size, F1 over training time."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

WHO = {
    "shipped": ("rvaejax, shipped weights", "C0", "o-"),
    "trained here": ("rvaejax, same images and time as AtomAI", "C2", "s-"),
    "atomai": ("AtomAI 0.8.1", "C3", "^-"),
}


def _points(
    result: dict[str, Any], *, px: float | None = None, counts: float | None = None
) -> dict[float, dict[str, Any]]:
    out = {}
    for name, scores in result["multislice"].items():
        at_px, at_counts = map(float, re.findall(r"[\d.]+", name))
        if px is not None and at_px == px:
            out[at_counts] = scores
        elif counts is not None and at_counts == counts:
            out[at_px] = scores
    return dict(sorted(out.items()))


def draw(result: dict[str, Any], path: Path) -> None:
    """Draws and saves."""
    figure, axes = plt.subplots(2, 3, figsize=(15, 8), layout="constrained")
    columns = (
        (_points(result, px=16.0), "counts per C peak pixel (16 pm pixels)", True),
        (_points(result, counts=40.0), "pixel size [pm] (40 counts)", False),
    )
    for column, (points, label, logarithmic) in enumerate(columns):
        top, bottom = axes[:, column]
        for who, (title, colour, style) in WHO.items():
            missed = [max(1 - p[who]["f1"], 2e-5) for p in points.values()]
            top.plot(list(points), missed, style, color=colour, label=title)
            error = [p[who]["rmse_pm"] for p in points.values()]
            bottom.plot(list(points), error, style, color=colour)
        bound = {x: p["Cramér-Rao bound pm"] for x, p in points.items() if p["Cramér-Rao bound pm"]}
        bottom.plot(list(bound), list(bound.values()), "k--", label="Cramér-Rao bound, each atom on its own")
        top.set(yscale="log", ylabel="1 - F1 (2e-5: none wrong)", xlabel=label)
        bottom.set(yscale="log", ylabel="position error [pm], radial rms", xlabel=label)
        if logarithmic:
            top.set_xscale("log")
            bottom.set_xscale("log")
        bottom.legend()
    axes[1, 2].legend(*axes[0, 0].get_legend_handles_labels(), loc="center")
    for who, colour in (("ours", "C2"), ("atomai", "C3")):
        seconds, f1 = zip(*result[who]["seconds and held-out F1"], strict=True)
        axes[0, 2].plot(seconds, f1, "o-", color=colour, label={"ours": "rvaejax"}.get(who, "AtomAI 0.8.1"))
    axes[0, 2].axhline(0.97, color="0.6", lw=1)
    axes[0, 2].set(xscale="log", xlabel="training time [s], from scratch, same images", ylabel="F1 on held-out images")
    axes[0, 2].legend()
    axes[1, 2].axis("off")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
