"""The posterior of the angle of single sub-images, sampled and by the encoder."""

from __future__ import annotations

import numpy as np
from jaxtyping import Shaped
from matplotlib.figure import Figure

from rvaejax.plotting.style import BLUE, FAINT, INK, ORANGE, new_figure
from rvaejax.rvae.posterior.record import Posterior

BINS = 120  # of the circle, 3 degrees each
MOST = 8


def angle_posteriors(found: Posterior, images: Shaped[np.ndarray, "n h w c"]) -> Figure:
    """One column for each sub-image: the image, and around the circle draws of the angle (counter-clockwise).

    Args:
        found: posteriors.
        images: the windows of its rows, in order.
    """
    count = min(MOST, len(found))
    figure = new_figure(1.7 * count, 3.6)
    edges = np.linspace(-np.pi, np.pi, BINS + 1)
    for i in range(count):
        window = figure.add_subplot(2, count, i + 1)
        window.imshow(images[i].mean(-1), cmap="gray", interpolation="nearest")
        window.set(xticks=[], yticks=[])
        window.set_title(f"row {found.row[i]}", fontsize=8, color=INK)
        axes = figure.add_subplot(2, count, count + i + 1, projection="polar")
        for draws, colour, label in (
            (found.encoder_angle[i], ORANGE, "encoder"),
            (found.angle[i], BLUE, "sampled"),
        ):
            height = np.sqrt(np.histogram(draws, edges)[0] / len(draws))  # areas, not radii, show the shares
            axes.bar(edges[:-1], height, width=2 * np.pi / BINS, align="edge", color=colour, alpha=0.75, label=label)
        axes.set(yticks=[], xticks=np.arange(4) * np.pi / 2, xticklabels=["0", "90°", "180°", "270°"])
        axes.tick_params(labelsize=6, pad=-3, colors=INK)
        axes.grid(color=FAINT, linewidth=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return figure
