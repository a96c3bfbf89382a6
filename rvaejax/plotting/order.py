"""Order parameters in the course of a movie, with the points at which they change; traversals through time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rvaejax.analysis.changes import Changes
from rvaejax.analysis.dynamics import Clock
from rvaejax.analysis.traversal import Traversal
from rvaejax.plotting.style import BLUE, INK, RED, new_figure, plain_axes


def order_over_time(
    curves: Mapping[str, Float[np.ndarray, " t"]], changes: Mapping[str, Changes], time: Clock
) -> Figure:
    """Each order parameter of each frame, a panel each; lines are the fitted pieces, dashed where one gives way.

    Args:
        curves: by name.
        changes: of each curve; those without stay without lines.
        time: what the frames are plotted against.
    """
    count = max(len(curves), 1)
    figure = new_figure(7.6, 0.4 + 1.55 * count)
    panels = np.atleast_1d(figure.subplots(count, 1, sharex=True))
    for axes, (name, values) in zip(panels, curves.items(), strict=False):
        axes.plot(time.values, values, color=BLUE, marker=".", ms=5, lw=0)
        found = changes.get(name)
        if found is not None:
            edges = [0, *found.starts.tolist(), len(values)]
            for a, b in zip(edges[:-1], edges[1:], strict=True):
                axes.plot(time.values[a:b], found.fitted[a:b, 0], color=INK, lw=1.0)
            for start in found.starts:
                axes.axvline((time.values[start - 1] + time.values[start]) / 2, color=RED, lw=1.0, ls="--")
        plain_axes(axes, "", "")
        axes.set_title(name, fontsize=9, color=INK, loc="left")
    if time.label == "frame":
        panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[-1].set_xlabel(time.label, fontsize=9)
    return figure


def traversal(found: Traversal, name: str, channel: int = 0) -> Figure:
    """Images of low, typical and high values of a content latent (rows) in the course of the movie (columns).

    Args:
        found: the images.
        name: of the latent.
        channel: of the images.
    """
    rows, columns = found.images.shape[:2]
    figure = new_figure(1.0 * columns + 0.9, 1.05 * rows + 0.5)
    low, high = float(found.images[..., channel].min()), float(found.images[..., channel].max())
    panels = figure.subplots(rows, columns, squeeze=False)
    for i, line in enumerate(panels):
        for j, axes in enumerate(line):
            axes.imshow(found.images[i, j, ..., channel], cmap="gray", vmin=low, vmax=high, interpolation="bilinear")
            axes.set(xticks=[], yticks=[])
            if i == 0:
                axes.set_title(f"frame {found.frames[j]}", fontsize=8, color=INK)
        line[0].set_ylabel(f"{found.quantiles[i]:.0%}", fontsize=8)
    figure.suptitle(f"{name}: percentiles through time", fontsize=9, color=INK)
    return figure
