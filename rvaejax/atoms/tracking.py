"""Atoms linked from frame to frame into trajectories: one to one, over short gaps, after the drift is removed."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.spatial import cKDTree

from rvaejax.atoms.config import TrackingConfig
from rvaejax.atoms.drift import drift_between
from rvaejax.atoms.linking import Sites, link
from rvaejax.types import Atoms, Tracks

log = logging.getLogger(__name__)


@dataclass
class _Open:
    """The trajectories that may go on: where each was last seen, as what, in which frame."""

    xy: Float[np.ndarray, "n 2"] = field(default_factory=lambda: np.zeros((0, 2)))
    lattice: Shaped[np.ndarray, " n"] = field(default_factory=lambda: np.zeros(0, bool))
    species: Shaped[np.ndarray, " n"] = field(default_factory=lambda: np.zeros(0, "U2"))
    frame: Int[np.ndarray, " n"] = field(default_factory=lambda: np.zeros(0, int))
    number: Int[np.ndarray, " n"] = field(default_factory=lambda: np.zeros(0, int))


def track_atoms(atoms: Atoms, config: TrackingConfig | None = None) -> Tracks:
    """Links atoms of successive frames one to one, at the least total cost in each frame.

    Each frame is first moved back by the drift since the frame before. Its atoms are then shared out among the
    trajectories that were seen in one of the last `config.gap` + 1 frames; what is left over is born, and trajectories
    that nothing was found for wait, then end. The costs are those of `TrackingConfig`. Frame numbers may leave some
    out: a gap counts in frame numbers.

    Args:
        atoms: of all frames, in any order.
        config: reaches, gaps, drift; None for the defaults.

    Returns:
        The trajectory of every atom, and the drift. A table without atoms has no trajectories.

    Source: frame-to-frame assignment with gaps after K. Jaqaman et al., Nature Methods 5, 695 (2008), in one step.
    """
    config = TrackingConfig() if config is None else config
    frames = np.unique(atoms.frame)
    xy = np.column_stack([atoms.x, atoms.y]) * _nm(atoms)
    order = np.argsort(atoms.frame, kind="stable")
    edges = np.searchsorted(atoms.frame[order], frames)
    track, drift = np.full(len(atoms), -1), np.zeros((len(frames), 2))
    sure = np.ones(len(atoms), bool)
    waiting, born = _Open(), 0
    for t, rows in enumerate(np.split(order, edges[1:]) if len(frames) else []):
        recent = waiting.frame >= frames[t] - config.gap - 1
        if t and config.drift:
            # waiting atoms are where they were in the first frame's rest; the last drift is the best guess
            last = drift[t - 1]
            drift[t] = last + drift_between(waiting.xy[recent] + last, xy[rows], config.drift_nm)
        rest, species = xy[rows] - drift[t], atoms.species[rows]
        open_ = np.flatnonzero(recent)
        missing = waiting.frame[open_] < waiting.frame[open_].max(initial=-1)
        links = link(
            Sites(waiting.xy[open_], waiting.species[open_], waiting.lattice[open_], missing),
            Sites(rest, species, species == config.lattice, np.zeros(len(rest), bool)),
            config,
        )
        open_ = open_[links.before]
        track[rows[links.after]] = waiting.number[open_]
        sure[rows[links.after]] = links.sure
        fresh = rows[track[rows] < 0]
        track[fresh] = born + np.arange(len(fresh))
        born += len(fresh)
        waiting = _renew(waiting, recent, open_, rest, species, int(frames[t]), track[rows], config)
    log.info("%d atoms in %d frames: %d trajectories", len(atoms), len(frames), born)
    return Tracks(track, frames, drift / _nm(atoms), sure)


def _nm(atoms: Atoms) -> float:
    """The pixel size; of a table without one, that at which the commonest nearest distance is graphene's bond."""
    if np.isfinite(atoms.pixel_size_nm):
        return atoms.pixel_size_nm
    distances = [np.zeros(0)]
    for t in np.unique(atoms.frame):
        here = atoms.frame == t
        if here.sum() > 1:
            points = np.column_stack([atoms.x[here], atoms.y[here]])
            distances.append(cKDTree(points).query(points, k=2)[0][:, 1])
    nearest = np.concatenate(distances)
    return 0.142 / float(np.median(nearest)) if len(nearest) else 1.0


def _renew(
    waiting: _Open,
    recent: np.ndarray,
    taken: np.ndarray,
    xy: np.ndarray,
    species: np.ndarray,
    frame: int,
    number: np.ndarray,
    config: TrackingConfig,
) -> _Open:
    """The trajectories that were seen in this frame, and those that still wait."""
    kept = recent.copy()
    kept[taken] = False
    return _Open(
        np.concatenate([waiting.xy[kept], xy]),
        np.concatenate([waiting.lattice[kept], species == config.lattice]),
        np.concatenate([waiting.species[kept], species]),
        np.concatenate([waiting.frame[kept], np.full(len(xy), frame)]),
        np.concatenate([waiting.number[kept], number]),
    )
