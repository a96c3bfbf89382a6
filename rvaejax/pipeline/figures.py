"""The figures of a finished run, drawn from its folder alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rvaejax.analysis.manifold import latent_manifold
from rvaejax.io.latents import read_latents_h5
from rvaejax.io.maps import read_maps
from rvaejax.io.tables import read_atoms
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
from rvaejax.report.contents import read_metrics
from rvaejax.rvae.storage import load_model

KEPT_FRAMES = "frames.npz"  # first, middle and last frame, so that a report can be drawn without the movie


def draw_figures(folder: Path) -> None:
    """Writes `figures/*.png`."""
    atoms = read_atoms(folder / "atoms.csv")
    rows = read_latents_h5(folder / "latents.h5")
    maps, model = read_maps(folder / "maps.h5"), load_model(folder)
    with np.load(folder / KEPT_FRAMES, allow_pickle=False) as kept:
        frames, index, seconds = kept["frames"], kept["index"], float(kept["frame_time_s"])
    frame_time = seconds if np.isfinite(seconds) else None
    figures = folder / "figures"
    for frame, t in zip(frames, index, strict=True):
        suffix = f"_frame{t}" if len(index) > 1 else ""
        save_figure(frame_overview(frame, atoms, int(t)), figures / f"frame_overview{suffix}.png")
        drawn = probability_maps(maps.probabilities[int(t)], maps.species, maps.pixel_size_nm)
        save_figure(drawn, figures / f"probability_maps{suffix}.png")
    latents = rows.latents
    manifold = latent_manifold(model, latents)
    drawn = draw_manifold(manifold.images, manifold.extent, channels=model.channels)
    save_figure(drawn, figures / "latent_manifold.png")
    spaced = real_space_maps(atoms, latents, tuple(int(t) for t in index), rows=rows.atom, size=maps.input_size)
    save_figure(spaced, figures / "real_space_maps.png")
    save_figure(angle_histogram(latents), figures / "angle_histogram.png")
    save_figure(angle_over_time(latents, rows.frame, frame_time_s=frame_time), figures / "angle_over_time.png")
    save_figure(content_over_time(latents, rows.frame, frame_time), figures / "content_over_time.png")
    save_figure(atom_counts(atoms, len(maps), frame_time), figures / "atom_counts.png")
    save_figure(losses(read_metrics(folder / "metrics.jsonl")), figures / "losses.png")
