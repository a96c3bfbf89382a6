"""Figures of bonds, grains and time; each is left out where the run has nothing to draw it from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from rvaejax.analysis.dynamics import Clock
from rvaejax.analysis.markov import transitions
from rvaejax.analysis.physics import correlations, site_quantities
from rvaejax.analysis.trajectories import steps
from rvaejax.analysis.traversal import traversal_through_time
from rvaejax.io.latents import LatentRows
from rvaejax.io.tracks import read_trajectories
from rvaejax.pipeline.dynamics import TRAJECTORIES, Structure, run_curves
from rvaejax.plotting.order import order_over_time
from rvaejax.plotting.order import traversal as draw_traversal
from rvaejax.plotting.structure import grain_map, heat_map, ring_map
from rvaejax.plotting.tracks import trajectories, transition_matrix
from rvaejax.rvae.record import TrainedRVAE
from rvaejax.types import Atoms, ContentOrder

MOST_TRAVERSED = 3  # content latents


def bond_figures(
    atoms: Atoms,
    rows: LatentRows,
    found: Structure,
    shown: Sequence[int],
    size: tuple[int, int],
    order: ContentOrder,
) -> Iterator[tuple[str, Figure]]:
    """Rings, grains, and what the latents have to do with both."""
    if len(found.sites.pairs):
        yield "ring_map", ring_map(atoms, found.sites.pairs, shown, size)
    if len(found.grains.size):
        yield "grain_map", grain_map(atoms, found.grains, shown, size)
    of_atom = rows.atom >= 0
    if not of_atom.any():
        return
    content, which = np.asarray(rows.latents.content, float)[of_atom], rows.atom[of_atom]
    latents = {f"content latent {i + 1}": values for i, values in enumerate(content.T)}
    latents["crystallinity of the content"] = order.crystallinity[of_atom]
    latents["crystallinity, site's own"] = order.crystallinity_own[of_atom]
    quantities = {name: values[which] for name, values in site_quantities(atoms, found.sites).items()}
    table = correlations(latents, quantities)
    if np.isfinite(table.rank).any():
        yield "physics", heat_map(table.rank, table.latents, table.names, "Spearman's rank correlation")


def time_figures(
    folder: Path,
    atoms: Atoms,
    rows: LatentRows,
    model: TrainedRVAE,
    found: Structure | None,
    first: np.ndarray,
    time: Clock,
    order: ContentOrder,
) -> Iterator[tuple[str, Figure]]:
    """Order parameters, traversals, trajectories and transitions; nothing for a single frame."""
    if len(np.unique(rows.frame)) > 1:
        curves = run_curves(atoms, rows.latents, rows.frame, found, time, order)
        yield "order_over_time", order_over_time(*curves, time)
        for i in range(min(MOST_TRAVERSED, rows.latents.content.shape[1])):
            drawn = traversal_through_time(model, rows.latents, rows.frame, latent=i)
            yield f"traversal_{i + 1}", draw_traversal(drawn, f"content latent {i + 1}")
    if not (folder / TRAJECTORIES).is_file():
        return
    _, tracks = read_trajectories(folder / TRAJECTORIES)
    yield "trajectories", trajectories(first, atoms, tracks)
    if found is not None:
        state = np.where(found.sites.border, np.nan, found.sites.sites.coordination)
        table = transitions(state, steps(atoms, tracks))
        if table.counts.sum():
            yield "transitions", transition_matrix(table, "bonded neighbours")


def late_figures(
    folder: Path,
    atoms: Atoms,
    rows: LatentRows,
    model: TrainedRVAE,
    first: np.ndarray,
    shown: Sequence[int],
    size: tuple[int, int],
    time: Clock,
    order: ContentOrder,
    found: Structure | None,
) -> Iterator[tuple[str, Figure]]:
    """All of these, in the order of the report; without those of bonds and grains where none were `found`."""
    if found is not None:
        yield from bond_figures(atoms, rows, found, shown, size, order)
    yield from time_figures(folder, atoms, rows, model, found, first, time, order)
