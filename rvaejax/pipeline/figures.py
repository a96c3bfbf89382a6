"""The figures of a finished run, drawn from its folder alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from rvaejax.analysis.dynamics import frame_clock
from rvaejax.analysis.manifold import latent_manifold
from rvaejax.io.latents import LatentRows, read_latents_h5
from rvaejax.io.maps import read_maps
from rvaejax.io.metrics import read_metrics
from rvaejax.io.tables import read_atoms
from rvaejax.pipeline.dynamics import Structure, order_of_run, structure_of_run
from rvaejax.pipeline.late_figures import late_figures
from rvaejax.plotting import (
    angle_histogram,
    angle_over_time,
    atom_counts,
    content_over_time,
    frame_overview,
    losses,
    probability_maps,
    real_space_maps,
    save_figure,
)
from rvaejax.plotting import (
    latent_manifold as draw_manifold,
)
from rvaejax.progress import progress
from rvaejax.rvae.storage import load_model
from rvaejax.types import Atoms, ContentOrder

KEPT_FRAMES = "frames.npz"  # first, middle and last frame, so that a report can be drawn without the movie


def draw_figures(folder: Path, structure: Structure | None = None) -> None:
    """Writes `figures/*.png`; `structure` spares finding bonds and grains again."""
    for name, figure in progress(figures(folder, structure), desc="drawing", unit="figures"):
        save_figure(figure, folder / "figures" / f"{name}.png")


def figures(folder: Path, structure: Structure | None = None) -> Iterator[tuple[str, Figure]]:
    """Name and figure, one after the other."""
    atoms = read_atoms(folder / "atoms.csv")
    rows = read_latents_h5(folder / "latents.h5")
    maps, model, latents = read_maps(folder / "maps.h5"), load_model(folder), rows.latents
    with np.load(folder / KEPT_FRAMES, allow_pickle=False) as kept:
        frames, index, seconds = kept["frames"], kept["index"], float(kept["frame_time_s"])
        dose = kept["dose"] if "dose" in kept else np.zeros(0)
    frame_time = seconds if np.isfinite(seconds) else None
    for frame, t in zip(frames, index, strict=True):
        suffix = f"_frame{t}" if len(index) > 1 else ""
        yield f"frame_overview{suffix}", frame_overview(frame, atoms, int(t))
        drawn = probability_maps(maps.probabilities[int(t)], maps.species, maps.pixel_size_nm)
        yield f"probability_maps{suffix}", drawn
    manifold = latent_manifold(model, latents)
    held = max(latents.content.shape[1] - 2, 0)
    yield "latent_manifold", draw_manifold(manifold.images, manifold.extent, channels=model.channels, held=held)
    shown = tuple(int(t) for t in index)
    if structure is None:
        structure = structure_of_run(atoms, latents, rows.atom, maps.input_size)
    order = order_of_run(latents, rows.atom, structure) if rows.order is None else rows.order
    yield (
        "real_space_maps",
        real_space_maps(
            atoms, latents, shown, centres=_centres(rows, atoms), size=maps.input_size, more=crystallinities(order)
        ),
    )
    yield "angle_histogram", angle_histogram(latents)
    if len(np.unique(rows.frame)) > 1:  # of a single frame it would be the same picture
        yield "angle_over_time", angle_over_time(latents, rows.frame, frame_time_s=frame_time)
    yield "content_over_time", content_over_time(latents, rows.frame, frame_time)
    yield "atom_counts", atom_counts(atoms, len(maps), frame_time)
    time = frame_clock(len(maps), frame_time, dose if len(dose) else None)
    yield from late_figures(folder, atoms, rows, model, frames[0], shown, maps.input_size, time, order, structure)
    yield "losses", losses(read_metrics(folder / "metrics.jsonl"))


def crystallinities(order: ContentOrder) -> dict[str, Float[np.ndarray, " n"]]:
    """What is drawn of the order by content: crystallinity, and the site's own where that is another."""
    drawn = {"crystallinity": order.crystallinity}
    if not np.array_equal(order.crystallinity, order.crystallinity_own):
        drawn["crystallinity, site's own"] = order.crystallinity_own
    return drawn


def _centres(rows: LatentRows, atoms: Atoms) -> Atoms:
    """The centres of the sub-images as a table, whether they are atoms or not."""
    ones = np.ones(len(rows.frame))
    return Atoms(rows.frame, rows.x, rows.y, rows.species, ones, 0 * ones, atoms.pixel_size_nm)
