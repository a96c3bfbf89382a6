"""Trajectories on a frame, and the transitions between states of atoms."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from rvaejax.analysis.markov import Transitions
from rvaejax.plotting.style import BLUE, INK, image_axes, new_figure, robust_limits
from rvaejax.types import Atoms, Tracks

LATTICE = "C"
MOVED_NM = 0.05  # carbon that moved less is left out: its path is noise
MOVED_SD = 4.0  # and so is what moved less than so many standard deviations of a typical step, per axis
MEDIAN_LENGTH = 1.1774  # median length of a vector with two normal coordinates, in standard deviations
INCH = 5.2


def trajectories(
    image: Float[np.ndarray, "h w"], atoms: Atoms, tracks: Tracks, title: str = "", lattice: str = LATTICE
) -> Figure:
    """Paths of the atoms, without the drift, over a frame: dopants in the colours of time, moved lattice atoms in blue.

    Moved is what went farther than `MOVED_NM`, and farther than noise takes it: most atoms stay where they are, and the
    median of their steps tells by how much positions scatter.

    Args:
        image: the first frame, in whose pixels positions without drift are.
        atoms: of all frames.
        tracks: their trajectories.
        title: of the figure.
        lattice: species of the lattice.
    """
    height, width = image.shape
    figure = new_figure(INCH + 1.0, INCH * height / width + 0.4)
    axes = figure.subplots()
    low, high = robust_limits(image, 1, 99.7)
    axes.imshow(image, cmap="gray", vmin=low, vmax=high, alpha=0.6, interpolation="nearest")
    order = np.lexsort((atoms.frame, tracks.track))
    xy, track = tracks.at_rest(atoms)[order], tracks.track[order]
    joined = np.flatnonzero(track[1:] == track[:-1])
    segments = np.stack([xy[joined], xy[joined + 1]], axis=1)
    dopant = np.bincount(tracks.track, atoms.species != lattice, minlength=len(tracks)) > 0
    nm = atoms.pixel_size_nm if np.isfinite(atoms.pixel_size_nm) else 0.016
    of_dopant = dopant[track[joined]]
    length = np.hypot(*(segments[:, 1] - segments[:, 0]).T) * nm
    scatter = float(np.median(length[~of_dopant])) / MEDIAN_LENGTH if (~of_dopant).any() else 0.0
    far = length > max(MOVED_NM, MOVED_SD * scatter)
    axes.add_collection(LineCollection(list(segments[far & ~of_dopant]), colors=BLUE, linewidths=0.8, alpha=0.7))
    paths = LineCollection(list(segments[of_dopant]), cmap="plasma", linewidths=1.8)
    paths.set_array(atoms.frame[order][joined + 1][of_dopant].astype(float))
    paths.set_clim(float(tracks.frames[0]), float(tracks.frames[-1]))
    axes.add_collection(paths)
    image_axes(axes, (height, width), atoms.pixel_size_nm, title)
    bar = figure.colorbar(paths, ax=axes, shrink=0.8, pad=0.01)
    bar.set_label("frame", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    return figure


def transition_matrix(found: Transitions, name: str) -> Figure:
    """Probability of each transition from one frame to the next, with its 95 % credible interval and the count.

    Args:
        found: the matrix.
        name: of the state, for the axes.
    """
    k = len(found.states)
    figure = new_figure(1.6 + 1.15 * max(k, 2), 0.9 + 0.85 * max(k, 2))
    axes = figure.subplots()
    drawn = axes.imshow(found.probability, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (i, j), p in np.ndenumerate(found.probability):
        ink = "white" if p > 0.55 else INK
        axes.text(j, i - 0.1, f"{p:.3f}", ha="center", va="center", fontsize=9, color=ink)
        small = f"{found.low[i, j]:.3f}–{found.high[i, j]:.3f}\nn = {found.counts[i, j]}"
        axes.text(j, i + 0.22, small, ha="center", va="center", fontsize=6, color=ink)
    names = [f"{s:g}" if isinstance(s, float) else str(s) for s in found.states.tolist()]
    axes.set_xticks(range(k), names, fontsize=9)
    stays = ["∞" if np.isinf(d) else f"{d:.1f}" for d in found.dwell]
    axes.set_yticks(range(k), [f"{n}\nstays {s} frames" for n, s in zip(names, stays, strict=True)], fontsize=8)
    axes.set_xlabel(f"{name}, next frame", fontsize=9)
    axes.set_ylabel(f"{name}, this frame", fontsize=9)
    figure.colorbar(drawn, ax=axes, pad=0.01, aspect=18).ax.tick_params(labelsize=7)
    return figure
