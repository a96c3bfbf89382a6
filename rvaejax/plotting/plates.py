"""Plates of several panels, in the order of the paper's figures: segmentation, evolution, descriptors, dynamics."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer, Shaped
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rvaejax.analysis.alignment import Alignment
from rvaejax.analysis.circular import fold_angle
from rvaejax.plotting.dynamics import angle_bars, content_limits, per_frame
from rvaejax.plotting.images import CHANNEL_COLOURS, composite, montage
from rvaejax.plotting.maps import angle_label, angle_limits, angle_ticks
from rvaejax.plotting.style import (
    INK,
    colour_of,
    dot_area,
    image_axes,
    new_figure,
    plain_axes,
    robust_limits,
)
from rvaejax.types import Atoms, Latents

PANEL = 3.1  # inch


class Panel(NamedTuple):
    """Decoded images on a grid, and what they are.

    Attributes:
        images: (ky, kx, h, w, c).
        title: of the panel.
        labels: of the two axes; empty for components without an order.
    """

    images: Float[np.ndarray, "ky kx h w c"]
    title: str
    labels: tuple[str, ...] = ()


def lit(probabilities: Float[np.ndarray, "h w c"]) -> Float[np.ndarray, "h w rgb"]:
    """Probabilities on black, each species in its own light."""
    lights = np.array([CHANNEL_COLOURS[i % len(CHANNEL_COLOURS)] for i in range(probabilities.shape[-1])])
    return np.clip(np.asarray(probabilities, np.float64) @ lights, 0, 1)


def segmentation(
    image: Shaped[np.ndarray, "h w"],
    probabilities: Float[np.ndarray, "hm wm c"],
    atoms: Atoms,
    titles: tuple[str, str, str],
    maps_nm: float,
) -> Figure:
    """A frame, its probability maps, and the positions of its atoms (the paper's Fig. 2).

    Args:
        image: the frame.
        probabilities: of each species.
        atoms: of this frame.
        titles: of the three panels.
        maps_nm: size of the maps' pixel [nm].
    """
    size = (int(image.shape[0]), int(image.shape[1]))
    figure, panels = _row(3, size[0] / size[1])
    low, high = robust_limits(image, 0.5, 99.7)
    panels[0].imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    image_axes(panels[0], size, atoms.pixel_size_nm, titles[0])
    panels[1].imshow(lit(probabilities), interpolation="nearest")
    image_axes(panels[1], (len(probabilities), probabilities.shape[1]), maps_nm, titles[1])
    for species in sorted(set(atoms.species.tolist()), key=lambda s: (s != "C", s)):
        rows = atoms.select(atoms.species == species)
        area = dot_area(atoms.x, atoms.y, size[1], PANEL, 0.5 if species == "C" else 0.9)
        panels[2].scatter(rows.x, rows.y, s=area, c=colour_of(species), linewidths=0, zorder=3)
    image_axes(panels[2], size, atoms.pixel_size_nm, titles[2], ink=INK)
    _letters(panels)
    return figure


def evolution(maps: Sequence[Float[np.ndarray, "h w c"]], titles: Sequence[str], pixel_size_nm: float) -> Figure:
    """Probability maps of several frames, three in a row (the paper's Fig. 3)."""
    columns = min(3, len(maps))
    lines = -(-len(maps) // columns)
    size = (len(maps[0]), maps[0].shape[1])
    figure = new_figure(PANEL * columns, (PANEL * size[0] / size[1] + 0.25) * lines)
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, map_, title in zip(panels, maps, titles, strict=False):
        axes.imshow(lit(map_), interpolation="nearest")
        image_axes(axes, size, pixel_size_nm, title)
    for axes in panels[len(maps) :]:
        axes.set_axis_off()
    _letters(panels[: len(maps)])
    return figure


def descriptors(lines: Sequence[Sequence[Panel]]) -> Figure:
    """Components and latent manifolds of several methods (columns) in several windows (rows): the paper's Fig. 5."""
    columns = max(len(line) for line in lines)
    figure = new_figure(4.1 * columns, 4.35 * len(lines))
    panels = figure.subplots(len(lines), columns, squeeze=False)
    for axes_line, line in zip(panels, lines, strict=True):
        for axes, panel in zip(axes_line, line, strict=False):
            axes.imshow(montage(composite(panel.images)), interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            axes.set_title(panel.title, fontsize=10, color=INK)
            if panel.labels:
                axes.set_xlabel(panel.labels[0] + " →", fontsize=9, color=INK)
                axes.set_ylabel(panel.labels[1] + " →", fontsize=9, color=INK)
    _letters(panels.ravel())
    return figure


def as_grid(images: Float[np.ndarray, "k h w c"]) -> Float[np.ndarray, "ky kx h w c"]:
    """Components as a nearly square grid, the first at the top left; what is missing stays blank."""
    columns = int(np.ceil(np.sqrt(len(images))))
    lines = -(-len(images) // columns)
    grid = np.zeros((lines * columns, *images.shape[1:]), np.float32)
    grid[: len(images)] = images
    return grid.reshape(lines, columns, *images.shape[1:])[::-1]


def time_dynamics(latents: Latents, frame: Integer[np.ndarray, " n"], fold: int = 3) -> Figure:
    """Histogram of the angle, the angle in each frame, and each of two content latents in each frame (Fig. 7)."""
    count = min(2, latents.content.shape[1])
    figure = new_figure(9.6, 2.9 + 2.9 * (count > 0))
    panels = figure.subplots(1 + (count > 0), 2, squeeze=False).ravel()
    angle_bars(panels[0], latents, fold)
    panels[0].set_title("all frames", fontsize=10, color=INK)
    per_frame(panels[1], frame, fold_angle(np.asarray(latents.angle), fold), angle_limits(fold), None)
    panels[1].set_ylabel(angle_label(fold), fontsize=9)
    panels[1].set_yticks(*angle_ticks(fold))
    for i in range(count):
        values = np.asarray(latents.content[:, i])
        per_frame(panels[2 + i], frame, values, content_limits(values), None, roots=True)
        panels[2 + i].set_ylabel(f"content latent {i + 1}", fontsize=9)
    if count == 1:
        panels[3].set_axis_off()
    _letters(panels[: 2 + count])
    return figure


def similarities(lines: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]]) -> Figure:
    """Matrices of structural similarity, as they are and up to rotation, of several methods (the paper's Fig. S1).

    Args:
        lines: for each window, for each method, the two matrices.
    """
    columns = 2 * max(len(line) for line in lines.values())
    figure = new_figure(1.75 * columns + 0.8, 2.15 * len(lines))
    panels, drawn = figure.subplots(len(lines), columns, squeeze=False), None
    for axes_line, (window, methods) in zip(panels, lines.items(), strict=True):
        axes_line[0].set_ylabel(window, fontsize=9, color=INK)
        pairs = [(name, kind, m) for name, two in methods.items() for kind, m in zip(("", "turned"), two, strict=True)]
        for axes, (name, kind, matrix) in zip(axes_line, pairs, strict=False):
            drawn = axes.imshow(matrix, cmap="magma", vmin=0, vmax=1)
            other = matrix[~np.eye(len(matrix), dtype=bool)]
            title = f"{name}, {kind}" if kind else name
            axes.set_title(f"{title}\nmean {other.mean():.2f}", fontsize=8, color=INK)
            axes.set(xticks=[], yticks=[])
    if drawn is not None:
        bar = figure.colorbar(drawn, ax=panels.ravel().tolist(), shrink=0.9, pad=0.01)
        bar.set_label("structural similarity", fontsize=8)
        bar.ax.tick_params(labelsize=7)
    return figure


def agreement(first: Latents, second: Latents, found: Alignment, names: tuple[str, str], fold: int = 3) -> Figure:
    """Angle and content of every site by two models, the second one's aligned with the first one's.

    Args:
        first: one model's latents.
        second: the other's.
        found: their alignment.
        names: of the two models.
        fold: symmetry of the sites.
    """
    count = min(2, first.content.shape[1])
    figure, panels = _row(1 + count, 1.0)
    moved = fold_angle(np.asarray(second.angle, float) + found.offset, fold)
    limits, turn = angle_limits(fold), fold_angle(np.asarray(first.angle, float), fold)
    title = f"{angle_label(fold).removesuffix(' [rad]')}: R = {found.concentration:.4f}"
    _counts(panels[0], turn, moved, limits, title, names)
    panels[0].set_xticks(*angle_ticks(fold))
    panels[0].set_yticks(*angle_ticks(fold))
    for i in range(count):
        a, b = np.asarray(first.content[:, i], float), found.content[:, i]
        title = f"content latent {i + 1}: R² = {found.r2[i]:.2f}"
        _counts(panels[1 + i], a, b, robust_limits(a, 0.3, 99.7), title, names)
    _letters(panels)
    return figure


def _counts(
    axes: Axes, x: np.ndarray, y: np.ndarray, limits: tuple[float, float], title: str, names: tuple[str, str]
) -> None:
    axes.hexbin(x, y, gridsize=70, extent=(*limits, *limits), bins="log", mincnt=1, cmap="viridis", linewidths=0)
    axes.plot(limits, limits, color=INK, lw=0.6, ls=":")
    plain_axes(axes, names[0], names[1], title)
    axes.set(xlim=limits, ylim=limits, aspect="equal")


def _row(columns: int, aspect: float) -> tuple[Figure, np.ndarray]:
    figure = new_figure(PANEL * columns + 0.3, PANEL * min(max(aspect, 0.3), 2.5) + 0.45)
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def _letters(panels: Sequence[Axes] | np.ndarray) -> None:
    for axes, letter in zip(panels, string.ascii_lowercase, strict=False):
        axes.set_title(f"({letter})", fontsize=9, color=INK, loc="left")
