"""Several conditions in one figure: distributions of the latents, and order parameters in the course of each movie."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rvaejax.analysis.circular import fold_angle
from rvaejax.analysis.dynamics import Clock
from rvaejax.plotting.maps import angle_label, angle_limits, angle_ticks
from rvaejax.plotting.style import BLUE, GREEN, INK, ORANGE, PURPLE, RED, new_figure, plain_axes, robust_limits
from rvaejax.types import Latents

FEW = (BLUE, ORANGE, GREEN, RED, PURPLE)
BINS = 90
MOST_CONTENT = 3
MARGIN = 0.05  # of the range of a content latent, on either side


def distributions(latents: Mapping[str, Latents], fold: int = 3) -> Figure:
    """Density of the angle and of each content latent, a line for each condition; that of the content in logarithms.

    Most sites are the crystal's and make one high peak; what tells conditions apart is seldom.

    Args:
        latents: of each condition, from one model.
        fold: angles are shown modulo 2 pi / fold.
    """
    count = min(MOST_CONTENT, min(part.content.shape[1] for part in latents.values()))
    figure = new_figure(3.7 * (1 + count), 3.2)
    panels = figure.subplots(1, 1 + count, squeeze=False)[0]
    angles = {label: fold_angle(np.asarray(part.angle, float), fold) for label, part in latents.items()}
    _densities(panels[0], angles, angle_limits(fold))
    plain_axes(panels[0], angle_label(fold), "density")
    panels[0].set_xticks(*angle_ticks(fold))
    for i in range(count):
        values = {label: np.asarray(part.content[:, i], float) for label, part in latents.items()}
        low, high = robust_limits(np.concatenate(list(values.values())), 0.3, 99.7)
        margin = MARGIN * (high - low)
        _densities(panels[1 + i], values, (low - margin, high + margin), logarithms=True)
        plain_axes(panels[1 + i], f"content latent {i + 1}", "")
    _legend(figure, panels[0], len(latents))
    return figure


def curves(
    of: Mapping[str, Mapping[str, Float[np.ndarray, " t"]]], clocks: Mapping[str, Clock], *, columns: int = 2
) -> Figure:
    """Each order parameter in the course of the movies, a panel each, a line for each condition.

    Args:
        of: for each condition, its curves by name.
        clocks: what the frames of each are plotted against.
        columns: of panels.
    """
    names = list(dict.fromkeys(name for each in of.values() for name in each))
    lines = max(1, -(-len(names) // columns))
    figure = new_figure(4.3 * columns, 0.5 + 2.0 * lines)
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, name in zip(panels, names, strict=False):
        for colour, (label, each) in zip(colours(len(of)), of.items(), strict=True):
            if name in each:
                style = {"marker": ".", "ms": 5, "lw": 1.2, "color": colour, "label": label}
                axes.plot(clocks[label].values, each[name], **style)
        plain_axes(axes, "", "")
        axes.set_title(name, fontsize=9, color=INK, loc="left")
        if all(time.label == "frame" for time in clocks.values()):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    for axes in panels[max(0, len(names) - columns) : len(names)]:
        axes.set_xlabel(next(iter(clocks.values())).label, fontsize=9)
    _legend(figure, panels[0], len(of))
    return figure


def colours(count: int) -> list[str | tuple[float, ...]]:
    """A colour for each of some conditions."""
    if count <= len(FEW):
        return list(FEW[:count])
    return [colormaps["viridis"](v) for v in np.linspace(0, 0.92, count)]


def _legend(figure: Figure, axes: Axes, count: int) -> None:
    """Above the panels, where it covers no line."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(count, 6), fontsize=8, frameon=False)


def _densities(
    axes: Axes, values: Mapping[str, np.ndarray], limits: tuple[float, float], *, logarithms: bool = False
) -> None:
    width = (limits[1] - limits[0]) / BINS
    # half a site is as low as logarithms go: empty bins stay below
    bottom = 0.5 / width / max(*(len(each) for each in values.values()), 1) if logarithms else 0.0
    for colour, (label, each) in zip(colours(len(values)), values.items(), strict=True):
        counts, edges = np.histogram(each, BINS, limits)
        density = np.maximum(counts / max(len(each), 1) / width, bottom)
        axes.stairs(density, edges, baseline=bottom, color=colour, label=label, lw=1.2)
    axes.set_xlim(limits)
    axes.set_yscale("log" if logarithms else "linear")
    axes.set_ylim(bottom=bottom)
