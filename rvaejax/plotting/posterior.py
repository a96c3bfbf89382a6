"""The posterior of the angle of single sub-images, sampled and by the encoder, beside what the decoder draws there."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Integer
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rvaejax.analysis.circular import circular_difference, circular_mean, circular_sd
from rvaejax.plotting.style import BLUE, FAINT, INK, ORANGE, new_figure, plain_axes, robust_limits
from rvaejax.rvae.posterior.record import Posterior

BINS = 72  # of the circle, 5 degrees each
MOST = 8


def angle_posteriors(
    found: Posterior,
    images: Float[np.ndarray, "n h w c"],
    drawn: Float[np.ndarray, "n h w c"],
    fold: Integer[np.ndarray, " n"],
    sd_factor: float,
) -> Figure:
    """A column for each sub-image: the image, what is drawn in the heaviest mode, the rest, the angle, its width.

    Args:
        found: posteriors.
        images: the windows of its rows, in order.
        drawn: the decoder's images of them, in the same unit.
        fold: symmetry of what the decoder draws of each; 0 where it has no angle.
        sd_factor: by which the encoder's standard deviation of the angle is widened before it is reported.
    """
    count = min(MOST, len(found))
    figure = new_figure(max(1.65 * count, 3.3), 8.0)
    grid = figure.add_gridspec(5, count, height_ratios=[1, 1, 1, 1.1, 0.9])
    for i in range(count):
        image, model = images[i].mean(-1), drawn[i].mean(-1)
        low, high = robust_limits(image, 0.5, 99.5)
        rest = image - model
        title = f"row {found.row[i]}, {f'{fold[i]}-fold' if fold[i] else 'no angle'}"
        _window(figure.add_subplot(grid[0, i]), image, (low, high), title, "sub-image" if i == 0 else "")
        _window(figure.add_subplot(grid[1, i]), model, (low, high), "", "decoder" if i == 0 else "")
        limits = 0.5 * (low - high), 0.5 * (high - low)
        _window(figure.add_subplot(grid[2, i]), rest, limits, "", "difference" if i == 0 else "")
        _circle(figure.add_subplot(grid[3, i], projection="polar"), found, i, int(fold[i]))
        if fold[i]:
            width = figure.add_subplot(grid[4, i])
            _width(width, found.angle[i], found.encoder_angle[i], int(fold[i]), sd_factor)
            handles = width.get_legend_handles_labels()
    if (fold[:count] > 0).any():
        figure.legend(*handles, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


def _window(axes: Axes, image: Float[np.ndarray, "h w"], limits: tuple[float, float], title: str, label: str) -> None:
    axes.imshow(image, cmap="gray", vmin=limits[0], vmax=limits[1], interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.set_ylabel(label, fontsize=8, color=INK)
    axes.set_title(title, fontsize=8, color=INK)
    axes.spines[:].set_color(FAINT)


def _circle(axes: Axes, found: Posterior, i: int, fold: int) -> None:
    """Shares of the draws around the circle, counter-clockwise; rays are the orientations that look alike."""
    edges = np.linspace(-np.pi, np.pi, BINS + 1)
    heaviest = found.mode_angle[i][found.mode_weight[i].argmax()]
    for turn in range(fold):
        axes.plot([heaviest + 2 * np.pi * turn / fold] * 2, [0, 1], color=FAINT, linewidth=0.6, linestyle=":")
    for draws, face, edge, alpha in (
        (found.encoder_angle[i], "none", ORANGE, 1.0),
        (found.angle[i], BLUE, "none", 0.6),
    ):
        height = np.sqrt(np.histogram(draws, edges)[0] / len(draws))  # areas, not radii, show the shares
        left, height = edges[:-1][height > 0], height[height > 0]
        width = 2 * np.pi / BINS
        axes.bar(left, height, width, align="edge", facecolor=face, edgecolor=edge, linewidth=1.3, alpha=alpha)
    axes.set(yticks=[], ylim=(0, 1), xticks=np.arange(4) * np.pi / 2, xticklabels=["0", "90°", "180°", "270°"])
    axes.tick_params(labelsize=6, pad=-3, colors=INK)
    axes.grid(color=FAINT, linewidth=0.3)


def _width(
    axes: Axes, draws: Float[np.ndarray, " l"], encoder: Float[np.ndarray, " k"], fold: int, sd_factor: float
) -> None:
    """The angle modulo the symmetry around the sampled mean: draws, the encoder's density, and what it reports."""
    middle, here = circular_mean(draws.astype(float), fold), np.degrees(circular_sd(draws.astype(float), fold))
    off = np.degrees(circular_difference(circular_mean(encoder.astype(float), fold), middle, fold))
    sd = max(np.degrees(circular_sd(encoder.astype(float), fold)), 1e-3 * here)
    half = max(4 * here, abs(off) + 1.2 * sd_factor * sd)
    x = np.linspace(-half, half, 400)
    away = np.degrees(circular_difference(draws, middle, fold))
    bins = list(np.arange(-half, half, max(here / 3, half / 200)))
    axes.hist(away, bins, density=True, color=BLUE, alpha=0.6, label="sampled")
    top = axes.get_ylim()[1]
    density = np.exp(-0.5 * ((x - off) / sd) ** 2) / (sd * np.sqrt(2 * np.pi))
    axes.plot(x, density, color=ORANGE, linewidth=1.3, label="encoder")
    drop = -0.12 * top
    axes.errorbar([off], [drop], xerr=[sd_factor * sd], fmt="|", capsize=2, lw=1, color=INK, label="as reported, 1 sd")
    axes.set(xlim=(-half, half), ylim=(-0.25 * top, 1.1 * max(top, density.max())), yticks=[])
    plain_axes(axes, "off the mean [deg]", "")
    axes.tick_params(labelsize=7)
    axes.spines["left"].set_visible(False)
