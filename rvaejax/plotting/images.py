"""Figures made of images: a frame beside its atoms, and the decoded latent manifold."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Shaped
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rvaejax.plotting.style import FAINT, INK, colour_of, dot_area, image_axes, new_figure, robust_limits
from rvaejax.types import Atoms

CHANNEL_COLOURS = ((0.42, 0.72, 1.0), (1.0, 0.16, 0.10), (0.25, 0.85, 0.55), (0.95, 0.70, 0.15))
"""Light in which the channels of a decoded image are drawn on black: C bluish, Si red."""


def frame_overview(
    frame: Shaped[np.ndarray, "h w"], atoms: Atoms, index: int | None = None, pixel_size_nm: float | None = None
) -> Figure:
    """One frame as recorded, beside the atoms found in it (carbon as small blue dots, silicon in red).

    Args:
        frame: (h, w) intensities.
        atoms: its atoms; with `index`, atoms of all frames, of which those of frame `index` are drawn.
        index: frame number, for the title.
        pixel_size_nm: for the scale bar [nm]; else that of `atoms`.
    """
    here = atoms if index is None else atoms.select(atoms.frame == index)
    nm = atoms.pixel_size_nm if pixel_size_nm is None else pixel_size_nm
    size = (int(frame.shape[0]), int(frame.shape[1]))
    figure = new_figure(10.0, 0.4 + 4.93 * min(size[0] / size[1], 2.0))
    raw, found = figure.subplots(1, 2)
    low, high = robust_limits(frame, 0.5, 99.8)
    raw.imshow(frame, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    image_axes(raw, size, nm, "recorded" if index is None else f"frame {index}, recorded")
    found.imshow(frame, cmap="gray", vmin=low, vmax=high + 0.6 * (high - low), interpolation="nearest", alpha=0.55)
    handles = []
    for species in sorted(set(here.species.tolist()), key=lambda s: (s != "C", s)):
        rows = here.select(here.species == species)
        area = dot_area(here.x, here.y, size[1], 4.8, 0.36 if species == "C" else 0.72)
        edge = "none" if species == "C" else "white"
        found.scatter(rows.x, rows.y, s=area, c=colour_of(species), edgecolors=edge, linewidths=0.6, zorder=3)
        label = f"{species} ({len(rows)})"
        handles.append(Line2D([], [], marker="o", ls="", color=colour_of(species), markersize=5, label=label))
    image_axes(found, size, nm, f"{len(here)} atoms")
    if handles:
        found.legend(handles=handles, loc="upper right", fontsize=8, framealpha=0.9)
    return figure


def composite(images: Float[np.ndarray, "*batch h w c"]) -> Float[np.ndarray, "*batch h w rgb"]:
    """Decoded images as colours: grey for one channel, else each channel in its own light, on one common scale."""
    values = np.asarray(images, dtype=np.float64)
    low, high = (
        robust_limits(values, 0.5, 99.9) if values.shape[-1] == 1 else (0.0, robust_limits(values, 0.0, 99.9)[1])
    )
    scaled = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    if values.shape[-1] == 1:
        return np.repeat(scaled, 3, axis=-1)
    lights = np.array([CHANNEL_COLOURS[i % len(CHANNEL_COLOURS)] for i in range(values.shape[-1])])
    return np.clip(scaled @ lights, 0, 1)


def gap_of(width: int) -> int:
    """Pixels between the images of a montage."""
    return max(1, round(0.04 * width))


def montage(grid: Float[np.ndarray, "ky kx h w rgb"]) -> Float[np.ndarray, "height width rgb"]:
    """Images side by side on white; the first axis goes upwards, the second to the right."""
    ky, kx, height, width, _ = grid.shape
    gap = gap_of(width)
    canvas = np.ones((ky * (height + gap) - gap, kx * (width + gap) - gap, 3))
    for row in range(ky):
        for column in range(kx):
            top, left = (ky - 1 - row) * (height + gap), column * (width + gap)
            canvas[top : top + height, left : left + width] = grid[row, column]
    return canvas


def latent_manifold(
    grid_images: Float[np.ndarray, "ky kx h w c"],
    extent: tuple[float, float, float, float] = (-2.0, 2.0, -2.0, 2.0),
    labels: tuple[str, str] = ("content latent 1", "content latent 2"),
    channels: tuple[str, ...] = (),
    held: int = 0,
) -> Figure:
    """What the decoder draws for a grid of content latents, at angle and shift zero.

    Args:
        grid_images: (ky, kx, h, w, c) decoded images; the first axis is content latent 2, upwards, the second
            content latent 1, to the right.
        extent: latents of the outermost images (first, last along x; first, last along y).
        labels: of the two axes.
        channels: (c,) names of the channels, for the title.
        held: how many further content latents stay at their median, for the title.
    """
    ky, kx, height, width = grid_images.shape[:4]
    gap, canvas = gap_of(width), montage(composite(grid_images))
    figure = new_figure(6.6, 0.9 + 5.7 * min(canvas.shape[0] / canvas.shape[1], 2.0))
    axes = figure.subplots()
    axes.imshow(canvas, interpolation="nearest")
    columns = np.unique(np.linspace(0, kx - 1, min(kx, 5)).round().astype(int))
    rows = np.unique(np.linspace(0, ky - 1, min(ky, 5)).round().astype(int)) if ky > 1 else np.zeros(0, int)
    x_values, y_values = np.linspace(extent[0], extent[1], kx), np.linspace(extent[2], extent[3], ky)
    x_at, y_at = columns * (width + gap) + (width - 1) / 2, (ky - 1 - rows) * (height + gap) + (height - 1) / 2
    axes.set_xticks(x_at, [f"{x_values[i]:.2g}" for i in columns], fontsize=8, color=INK)
    axes.set_yticks(y_at, [f"{y_values[i]:.2g}" for i in rows], fontsize=8, color=INK)
    axes.spines[:].set_visible(False)
    axes.tick_params(color=FAINT)
    axes.set_xlabel(labels[0], fontsize=9, color=INK)
    axes.set_ylabel(labels[1] if ky > 1 else "", fontsize=9, color=INK)
    names = f" ({', '.join(channels)})" if channels else ""
    others = {0: "", 1: "; content latent 3 at its median"}.get(
        held, f"; content latents 3 to {held + 2} at their medians"
    )
    axes.set_title(f"decoded images over the latent manifold{names}{others}", fontsize=10, color=INK)
    return figure


def probability_maps(
    probabilities: Float[np.ndarray, "h w c"], channels: tuple[str, ...], pixel_size_nm: float | None
) -> Figure:
    """The segmenter's output for one frame: each species in its own light, the background black.

    Args:
        probabilities: (h, w, c) in [0, 1].
        channels: species of each channel.
        pixel_size_nm: of the maps, for the scale bar [nm].
    """
    size = (int(probabilities.shape[0]), int(probabilities.shape[1]))
    figure = new_figure(5.4, 0.4 + 5.0 * min(size[0] / size[1], 2.0))
    axes = figure.subplots()
    lights = np.array([CHANNEL_COLOURS[i % len(CHANNEL_COLOURS)] for i in range(len(channels))])
    axes.imshow(np.clip(np.asarray(probabilities, np.float64) @ lights, 0, 1), interpolation="nearest")
    image_axes(axes, size, pixel_size_nm, "probability of " + ", ".join(channels))
    return figure
