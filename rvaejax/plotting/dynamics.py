"""Distributions of the latents, and how they change from frame to frame (the paper's Fig. 7)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Integer
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rvaejax.analysis.circular import fold_angle
from rvaejax.plotting.maps import angle_label, angle_limits, angle_ticks
from rvaejax.plotting.style import BLUE, DENSITY, colour_of, new_figure, plain_axes, robust_limits
from rvaejax.types import Atoms, Latents

BINS = 120
MARGIN = 0.05  # of the range of a content latent, left free at either end
MOST_CONTENT = 4


def angle_histogram(latents: Latents, fold: int = 3) -> Figure:
    """How often each angle occurs in all frames: over the whole turn, and modulo 2 pi / fold (the paper's Fig. 7 a).

    Args:
        latents: of all sub-images.
        fold: symmetry of the sites; 1 draws the whole turn only.
    """
    folds = (1, fold) if fold > 1 else (1,)
    figure = new_figure(4.4 * len(folds), 3.2)
    for axes, n in zip(np.atleast_1d(figure.subplots(1, len(folds))), folds, strict=True):
        angle_bars(axes, latents, n)
    return figure


def angle_over_time(
    latents: Latents, frame: Integer[np.ndarray, " n"], fold: int = 3, frame_time_s: float | None = None
) -> Figure:
    """The distribution of the angle in each frame, a column each: over the whole turn, and modulo 2 pi / fold.

    For a single frame, its histogram.

    Args:
        latents: of n sub-images.
        frame: (n,) frame number of each.
        fold: symmetry of the sites; 1 draws the whole turn only.
        frame_time_s: seconds from one frame to the next, for an axis in seconds.
    """
    if len(np.unique(frame)) < 2:
        return angle_histogram(latents, fold)
    folds = (1, fold) if fold > 1 else (1,)
    figure = new_figure(7.6, 2.7 * len(folds) + 0.3)
    for axes, n in zip(np.atleast_1d(figure.subplots(len(folds), 1)), folds, strict=True):
        per_frame(axes, frame, fold_angle(np.asarray(latents.angle), n), angle_limits(n), frame_time_s)
        axes.set_ylabel(angle_label(n), fontsize=9)
        axes.set_yticks(*angle_ticks(n))
    return figure


def content_over_time(latents: Latents, frame: Integer[np.ndarray, " n"], frame_time_s: float | None = None) -> Figure:
    """The distribution of each content latent in each frame, a column each (the paper's Fig. 7 c, d).

    Colours are as the counts' roots, because most sites are the crystal's; the range is a little more than that from
    the 0.5th to the 99.5th percentile. For a single frame, histograms.

    Args:
        latents: of n sub-images.
        frame: (n,) frame number of each.
        frame_time_s: seconds from one frame to the next, for an axis in seconds.
    """
    count = min(MOST_CONTENT, latents.content.shape[1])
    moving = len(np.unique(frame)) > 1
    figure = new_figure(7.6, 0.3 + 2.5 * max(count, 1))
    for i, axes in enumerate(np.atleast_1d(figure.subplots(max(count, 1), 1))[:count]):
        values, name = np.asarray(latents.content[:, i]), f"content latent {i + 1}"
        limits = content_limits(values)
        if moving:
            per_frame(axes, frame, values, limits, frame_time_s, roots=True)
            axes.set_ylabel(name, fontsize=9)
        else:
            axes.hist(values, bins=BINS, range=limits, color=BLUE)
            plain_axes(axes, name, "atoms")
    return figure


def atom_counts(atoms: Atoms, frames: int | None = None, frame_time_s: float | None = None) -> Figure:
    """How many atoms of each species each frame has, a panel per species; for a single frame, bars.

    Args:
        atoms: of all frames.
        frames: number of frames of the movie, so that those without atoms count as zero; None for up to the last one.
        frame_time_s: seconds from one frame to the next, for an axis in seconds.
    """
    total = int(atoms.frame.max(initial=-1)) + 1 if frames is None else frames
    kinds = sorted(set(atoms.species.tolist()), key=lambda s: (s != "C", s)) or ["C"]
    counts = {s: np.bincount(atoms.frame[atoms.species == s], minlength=max(total, 1)) for s in kinds}
    if total < 2:
        figure = new_figure(4.4, 3.2)
        axes = figure.subplots()
        bars = axes.bar(kinds, [int(counts[s].sum()) for s in kinds], color=[colour_of(s) for s in kinds], width=0.5)
        axes.bar_label(bars, fontsize=8)
        plain_axes(axes, "species", "atoms")
        return figure
    figure = new_figure(7.6, 0.3 + 2.0 * len(kinds))
    for axes, species in zip(np.atleast_1d(figure.subplots(len(kinds), 1, sharex=True)), kinds, strict=True):
        axes.plot(np.arange(len(counts[species])), counts[species], color=colour_of(species), lw=1.4, marker=".", ms=4)
        axes.set_ylim(0, 1.12 * max(counts[species].max(), 1))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
        plain_axes(axes, "", f"{species} atoms")
    _time_label(axes, frame_time_s)
    return figure


def angle_bars(axes: Axes, latents: Latents, fold: int) -> None:
    """The histogram of the angle modulo 2 pi / fold on given axes."""
    axes.hist(fold_angle(np.asarray(latents.angle), fold), bins=BINS, range=angle_limits(fold), color=BLUE)
    plain_axes(axes, angle_label(fold), "atoms")
    axes.set_xlim(angle_limits(fold))
    axes.set_xticks(*angle_ticks(fold))


def content_limits(values: np.ndarray) -> tuple[float, float]:
    """A content latent without its outliers, with some room beyond: the crystal's narrow band may lie at the end."""
    low, high = robust_limits(values, 0.5, 99.5)
    return low - MARGIN * (high - low), high + MARGIN * (high - low)


def per_frame(
    axes: Axes,
    frame: np.ndarray,
    values: np.ndarray,
    limits: tuple[float, float],
    frame_time_s: float | None,
    *,
    roots: bool = False,
) -> None:
    """The distribution of a quantity in each frame, on given axes; colours are as the counts or their roots."""
    first, last = int(frame.min()), int(frame.max())
    bins = (last - first + 1, BINS // 2)
    span = ((first - 0.5, last + 0.5), limits)
    counts, _, _ = np.histogram2d(frame, values, bins=bins, range=span)
    drawn = axes.imshow(
        counts.T, origin="lower", aspect="auto", extent=(*span[0], *limits), cmap=DENSITY, interpolation="nearest"
    )
    most = max(float(np.percentile(counts, 99.5)), 1.0)
    drawn.set_norm(PowerNorm(0.5 if roots else 1.0, 0, most))  # of a root, equal steps are equal multiples of its noise
    plain_axes(axes, "", "")
    _time_label(axes, frame_time_s)
    figure = axes.get_figure()
    assert figure is not None
    bar = figure.colorbar(drawn, ax=axes, pad=0.01, extend="max", aspect=18)
    bar.set_label("atoms per bin", fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _time_label(axes: Axes, frame_time_s: float | None) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("frame" if frame_time_s is None else f"frame (one every {frame_time_s:g} s)", fontsize=9)
