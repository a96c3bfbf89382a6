"""What all figures share: colours that are told apart without red-green vision, scale bars, sizes, saving."""

from __future__ import annotations

import os

import matplotlib.patheffects as effects
import numpy as np
from jaxtyping import Float, Shaped
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.spatial import cKDTree

from rvaejax.io.files import atomic_path

INK, FAINT = "#222222", "#8a8a8a"
BLUE, RED, ORANGE, GREEN, PURPLE = "#0072B2", "#D7191C", "#E69F00", "#009E73", "#7B4FA3"
SPECIES_COLOURS = {"C": BLUE, "Si": RED, "N": GREEN, "O": ORANGE}
DENSITY = "viridis"

CYCLIC = LinearSegmentedColormap.from_list("angle", ["#c9c9c9", "#c4912c", "#26222c", "#2e77b4", "#c9c9c9"])
"""Colours of an angle: the first is the last; the lightest stands out from white paper, and none is silicon's red."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure [inch] that lays itself out."""
    return Figure(figsize=(width, height), dpi=150, layout="constrained", facecolor="white")


def save_figure(figure: Figure, path: str | os.PathLike[str], dpi: int = 150) -> None:
    """Writes the figure (PNG, PDF, SVG by the suffix of `path`) whole or not at all."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dpi, facecolor="white")


def colour_of(species: str) -> str:
    """The colour in which a species is drawn."""
    return SPECIES_COLOURS.get(species, PURPLE)


def robust_limits(values: Shaped[np.ndarray, "*axes"], low: float = 1.0, high: float = 99.0) -> tuple[float, float]:
    """Percentiles of the finite values, so that single outliers do not set a scale; (0, 1) where there are none."""
    finite = np.asarray(values, dtype=np.float64).ravel()
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        return 0.0, 1.0
    bottom, top = (float(v) for v in np.percentile(finite, [low, high]))
    return (bottom, top) if top > bottom else (bottom - 0.5, bottom + 0.5)


def image_axes(
    axes: Axes, size: tuple[int, int], pixel_size_nm: float | None, title: str = "", ink: str = "white"
) -> None:
    """Makes `axes` those of an image (h, w) [px]: equal aspect, y down, no ticks, a scale bar where nm are known."""
    height, width = size
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), xticks=[], yticks=[], aspect="equal")
    axes.set_title(title, fontsize=10, color=INK)
    axes.spines[:].set_color(FAINT)
    if pixel_size_nm is not None and np.isfinite(pixel_size_nm):
        scale_bar(axes, size, pixel_size_nm, ink)


def scale_bar(axes: Axes, size: tuple[int, int], pixel_size_nm: float, ink: str) -> None:
    """A bar of 1, 2 or 5 times a power of ten nm, at most a quarter of the width, in the lower left corner."""
    height, width = size
    wanted = 0.25 * width * pixel_size_nm
    decade = 10.0 ** np.floor(np.log10(wanted))
    length = max((step * decade for step in (1, 2, 5) if step * decade <= wanted * 1.0001), default=decade)
    x, y, thick = 0.04 * width, 0.955 * height, 0.012 * height
    outline = [effects.withStroke(linewidth=2.6, foreground="black" if ink == "white" else "white")]
    bar = Rectangle((x, y - thick), length / pixel_size_nm, thick, color=ink, zorder=10, path_effects=outline)
    axes.add_patch(bar)
    middle = x + 0.5 * length / pixel_size_nm
    label = axes.text(middle, y - 1.8 * thick, f"{length:g} nm", color=ink, fontsize=8, ha="center", va="bottom")
    label.set(path_effects=outline, zorder=11)
    if ink != "white":  # on paper, where dots would show between the digits
        label.set_bbox({"facecolor": "white", "alpha": 0.85, "pad": 0.6, "linewidth": 0})


def dot_area(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], width_px: int, width_inch: float, fraction: float
) -> float:
    """Area of a scatter dot [pt²] whose diameter is `fraction` of the atoms' spacing, within what can be seen.

    Args:
        x: positions to the right [px].
        y: positions down [px].
        width_px: width of the image [px].
        width_inch: width at which it is drawn [inch].
        fraction: diameter over the median distance to the nearest neighbour.
    """
    spacing = 0.1 * width_px
    if len(x) > 1:
        points = np.column_stack([x, y])
        spacing = float(np.median(cKDTree(points).query(points, k=2)[0][:, 1]))
    diameter = fraction * spacing * 72.0 * width_inch / width_px
    return float(np.clip(diameter, 1.2, 14.0) ** 2)


def plain_axes(axes: Axes, xlabel: str, ylabel: str, title: str = "") -> None:
    """Axes of a graph: labels, no box, small type."""
    axes.set_xlabel(xlabel, fontsize=9, color=INK)
    axes.set_ylabel(ylabel, fontsize=9, color=INK)
    axes.set_title(title, fontsize=10, color=INK)
    axes.tick_params(labelsize=8, colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
