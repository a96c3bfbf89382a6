"""The bond graph in real space: rings, grains and their boundaries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from rvaejax.analysis.grains import Grains
from rvaejax.plotting.style import BLUE, FAINT, GREEN, INK, ORANGE, PURPLE, RED, dot_area, image_axes, new_figure
from rvaejax.structure.rings import faces
from rvaejax.types import Atoms

INCH = 3.6
TITLED = 3  # grains that the title of a panel names
RING_COLOURS = {4: "#5b5b5b", 5: ORANGE, 6: "#dfe8f1", 7: BLUE, 8: GREEN, 9: PURPLE}
LARGER = "#b9b9b9"


def ring_map(atoms: Atoms, pairs: Int[np.ndarray, "b 2"], shown: Sequence[int], size: tuple[int, int]) -> Figure:
    """The rings of a few frames, filled in the colour of their size; holes stay white.

    Args:
        atoms: of all frames.
        pairs: bonds of all frames, rows of the table.
        shown: frame numbers.
        size: (h, w) of the frames [px].
    """
    figure, panels = _panels(len(shown), size)
    of_frame = atoms.frame[pairs[:, 0]]
    for axes, number in zip(panels, shown, strict=True):
        rows = np.flatnonzero(atoms.frame == number)
        place = np.zeros(len(atoms), int)
        place[rows] = np.arange(len(rows))
        xy = np.column_stack([atoms.x[rows], atoms.y[rows]])
        here = place[pairs[of_frame == number]]
        found = faces(xy, here)
        inside = np.flatnonzero(found.rings())
        corners = [xy[found.atoms[found.face == f]] for f in inside]
        colours = [RING_COLOURS.get(int(found.size[f]), LARGER) for f in inside]
        axes.add_collection(PolyCollection(corners, facecolors=colours, edgecolors="white", linewidths=0.3))
        axes.add_collection(LineCollection(list(xy[here]), colors=FAINT, linewidths=0.4))
        _silicon(axes, atoms, number, size)
        image_axes(axes, size, atoms.pixel_size_nm, f"frame {number}", ink=INK)
    handles = [Patch(color=c, label=str(n)) for n, c in RING_COLOURS.items()] + [Patch(color=LARGER, label="3, 10–12")]
    figure.legend(
        handles=handles, title="atoms in ring", ncols=7, loc="outside lower center", fontsize=8, title_fontsize=8
    )
    return figure


def grain_map(atoms: Atoms, grains: Grains, shown: Sequence[int], size: tuple[int, int]) -> Figure:
    """Orientation of each grain's atoms modulo 60 degrees in a few frames; boundaries are ringed in black.

    Atoms of no grain are small and grey: their angles, at edges and defects, are no lattice's.

    Args:
        atoms: of all frames.
        grains: of all of them.
        shown: frame numbers.
        size: (h, w) of the frames [px].
    """
    figure, panels = _panels(len(shown), size)
    degrees = np.degrees(grains.orientation)
    drawn = None
    for axes, number in zip(panels, shown, strict=True):
        here = (atoms.frame == number) & np.isfinite(degrees)
        area = dot_area(atoms.x[here], atoms.y[here], size[1], INCH, 0.8)
        loose = here & (grains.grain < 0)
        axes.scatter(atoms.x[loose], atoms.y[loose], s=0.25 * area, c=FAINT, linewidths=0)
        here &= grains.grain >= 0
        x, y = atoms.x[here], atoms.y[here]
        drawn = axes.scatter(
            x, y, s=area, c=degrees[here], cmap="twilight_shifted", vmin=0, vmax=60, edgecolors=FAINT, linewidths=0.2
        )
        border = (atoms.frame == number) & grains.boundary
        axes.scatter(atoms.x[border], atoms.y[border], s=area, facecolors="none", edgecolors=INK, linewidths=0.5)
        ids = np.unique(grains.grain[(atoms.frame == number) & (grains.grain >= 0)])
        image_axes(axes, size, atoms.pixel_size_nm, f"frame {number}: {_named(grains, ids)}", ink=INK)
    if drawn is not None:
        bar = figure.colorbar(drawn, ax=panels.tolist(), shrink=0.8, pad=0.01)
        bar.set_label("orientation mod 60° [deg]", fontsize=9)
        bar.ax.tick_params(labelsize=8)
    handle = Line2D([], [], marker="o", ls="", markerfacecolor="none", markeredgecolor=INK, label="grain boundary")
    figure.legend(handles=[handle], loc="outside lower center", fontsize=8)
    return figure


def _named(grains: Grains, ids: Int[np.ndarray, " g"]) -> str:
    """The orientations of the largest grains of a frame, as many as have room above a panel."""
    largest = ids[np.argsort(-grains.size[ids], kind="stable")][:TITLED]
    names = ", ".join(f"{np.degrees(grains.angle[g]):.1f}°" for g in largest)
    return f"{names} and {len(ids) - TITLED} smaller" if len(ids) > TITLED else names


def _panels(columns: int, size: tuple[int, int]) -> tuple[Figure, np.ndarray]:
    aspect = min(max(size[0] / size[1], 0.3), 2.5)
    figure = new_figure(INCH * max(columns, 1) + 0.9, INCH * aspect + 0.8)
    return figure, figure.subplots(1, max(columns, 1), squeeze=False)[0]


def _silicon(axes: Axes, atoms: Atoms, number: int, size: tuple[int, int]) -> None:
    here = atoms.frame == number
    silicon = here & (atoms.species == "Si")
    area: float = 2.0 * dot_area(atoms.x[here], atoms.y[here], size[1], INCH, 0.5)
    axes.scatter(atoms.x[silicon], atoms.y[silicon], s=area, c=RED, edgecolors="white", linewidths=0.4, zorder=4)


def heat_map(
    values: Float[np.ndarray, "r c"], rows: Sequence[str], columns: Sequence[str], label: str, title: str = ""
) -> Figure:
    """Signed numbers between -1 and 1 with their names, as correlations are; NaN stays blank."""
    figure = new_figure(2.0 + 0.78 * len(columns), 1.7 + 0.42 * len(rows))
    axes = figure.subplots()
    drawn = axes.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            ink = "white" if abs(value) > 0.6 else INK
            axes.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=8, color=ink)
    axes.set_xticks(range(len(columns)), columns, fontsize=8, rotation=35, ha="right")
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    axes.set_title(title, fontsize=10, color=INK)
    bar = figure.colorbar(drawn, ax=axes, pad=0.01)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return figure
