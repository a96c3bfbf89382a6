"""Latents back in real space: each atom in the colour of its angle or content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Integer
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from rvaejax.analysis.circular import fold_angle
from rvaejax.plotting.style import CYCLIC, DENSITY, INK, RED, dot_area, image_axes, new_figure, robust_limits
from rvaejax.types import Atoms, Latents

PANEL_INCH = 3.2
MOST_CONTENT = 3


def angle_limits(fold: int) -> tuple[float, float]:
    """Range of `fold_angle` [rad]."""
    return (-np.pi, np.pi) if fold == 1 else (0.0, 2 * np.pi / fold)


def angle_label(fold: int) -> str:
    """Name of the folded angle on an axis."""
    return "angle [rad]" if fold == 1 else f"angle mod 2π/{fold} [rad]"


def angle_ticks(fold: int) -> tuple[list[float], list[str]]:
    """Ticks at the ends and the middle of an angle's range, in multiples of pi."""
    low, high = angle_limits(fold)
    if fold == 1:
        return [low, low / 2, 0.0, high / 2, high], ["−π", "−π/2", "0", "π/2", "π"]
    return [low, high / 2, high], ["0", f"π/{fold}", f"2π/{fold}"]


def three_frames(frame: Integer[np.ndarray, " n"]) -> tuple[int, ...]:
    """First, middle and last of the frames that have rows; fewer where there are fewer."""
    present = np.unique(frame)
    if not len(present):
        return ()
    return tuple(int(present[i]) for i in sorted({0, len(present) // 2, len(present) - 1}))


def real_space_maps(
    atoms: Atoms,
    latents: Latents,
    frames: Sequence[int] | None = None,
    *,
    rows: Integer[np.ndarray, " n"] | None = None,
    centres: Atoms | None = None,
    fold: int = 3,
    size: tuple[int, int] | None = None,
    most_content: int = MOST_CONTENT,
    more: Mapping[str, Float[np.ndarray, " n"]] | None = None,
) -> Figure:
    """Angle and content of each atom at its place (rows of panels) in a few frames (columns), as in the paper's Fig. 6.

    Silicon atoms are red dots. All frames share one scale per row, from the 1st to the 99th percentile for content.

    Args:
        atoms: all atoms.
        latents: of n sub-images.
        frames: frame numbers to draw; None for the first, the middle and the last one.
        rows: (n,) row in `atoms` of each sub-image's central atom (`SubImages.atom`); None where row i is atom i.
        centres: (n,) where the sub-images are, where these are no atoms; goes before `rows`.
        fold: angles are shown modulo 2 pi / fold: 3 for graphene's sites, 1 for the whole turn.
        size: (h, w) of the frames [px]; None for the extent of the atoms.
        most_content: content latents that are drawn at most.
        more: other quantities from 0 to 1, one value a sub-image, by name; a row each.
    """
    if centres is None:
        centres = atoms if rows is None else atoms.select(rows)
    if len(centres) != len(latents):
        raise ValueError(f"{len(latents)} latents for {len(centres)} atoms; pass rows=subimages.atom")
    shown = three_frames(centres.frame) if frames is None else tuple(frames)
    if size is None:
        size = (int(np.ceil(np.max(atoms.y, initial=0) + 1)), int(np.ceil(np.max(atoms.x, initial=0) + 1)))
    content = [latents.content[:, i] for i in range(min(most_content, latents.content.shape[1]))]
    more = {} if more is None else more
    values = [fold_angle(np.asarray(latents.angle), fold), *content, *more.values()]
    names = [angle_label(fold), *(f"content latent {i + 1}" for i in range(len(content))), *more]
    limits = [angle_limits(fold), *(robust_limits(c) for c in content), *((0.0, 1.0) for _ in more)]
    figure, panels = _panels(len(values), max(len(shown), 1), size[0] / size[1])
    for line, (value, (low, high), name) in enumerate(zip(values, limits, names, strict=True)):
        drawn = None
        for axes, number in zip(panels[line], shown, strict=False):
            here = centres.frame == number
            x, y = centres.x[here], centres.y[here]
            area = dot_area(x, y, size[1], PANEL_INCH, 0.8)
            cmap = CYCLIC if line == 0 else DENSITY
            drawn = axes.scatter(x, y, s=area, c=value[here], cmap=cmap, vmin=low, vmax=high, linewidths=0)
            _draw_silicon(axes, atoms, number, max(area * 1.6, 12.0))
            title = f"frame {number}" if line == 0 or len(shown) == 1 else ""
            image_axes(axes, size, atoms.pixel_size_nm, title, ink=INK)
        if drawn is not None:
            _colour_bar(figure, drawn, panels[line], name, angle_ticks(fold) if line == 0 else None)
    return figure


def _panels(lines: int, columns: int, aspect: float) -> tuple[Figure, np.ndarray]:
    """An array of axes (lines, columns); a single column lies on its side."""
    height = PANEL_INCH * min(max(aspect, 0.3), 2.5)
    if columns == 1:
        figure = new_figure((PANEL_INCH + 0.9) * lines, height + 0.4)
        return figure, figure.subplots(1, lines, squeeze=False).T
    figure = new_figure(PANEL_INCH * columns + 1.0, 0.3 + (height + 0.1) * lines)
    return figure, figure.subplots(lines, columns, squeeze=False)


def _colour_bar(
    figure: Figure, drawn: PathCollection, panels: np.ndarray, name: str, ticks: tuple[list[float], list[str]] | None
) -> None:
    bar = figure.colorbar(drawn, ax=panels.tolist(), shrink=0.9, pad=0.01, aspect=25)
    bar.set_label(name, fontsize=9)
    bar.ax.tick_params(labelsize=8)
    if ticks is not None:
        bar.set_ticks(ticks[0], labels=ticks[1])


def _draw_silicon(axes: Axes, atoms: Atoms, number: int, area: float) -> None:
    silicon = (atoms.frame == number) & (atoms.species == "Si")
    axes.scatter(atoms.x[silicon], atoms.y[silicon], s=area, c=RED, edgecolors="white", linewidths=0.5, zorder=4)
