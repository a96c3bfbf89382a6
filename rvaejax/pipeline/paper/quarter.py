"""The paper's claim that a quarter of each frame's sub-images is enough to train on: the same latents come out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from rvaejax.analysis.alignment import Alignment, align, share_of_each_frame
from rvaejax.analysis.deviation import OFF_CRYSTAL, deviation
from rvaejax.analysis.selection import rows_of
from rvaejax.io.files import prepare_output, write_text
from rvaejax.io.latents import write_latents_h5
from rvaejax.pipeline.check import run_subimages
from rvaejax.pipeline.paper.config import PaperOptions
from rvaejax.rvae.inference import encode
from rvaejax.rvae.model import train
from rvaejax.rvae.storage import save_model
from rvaejax.types import Latents

NUMBERS = "quarter.json"


def train_on_a_share(run: Path, folder: Path, options: PaperOptions) -> None:
    """Trains on a share of each frame's sub-images, from another seed, and encodes all; quarter.json ends it.

    Args:
        run: folder of the run whose sub-images are taken.
        folder: for model and latents.
        options: of the reproduction.
    """
    subimages = run_subimages(run)
    rows = share_of_each_frame(subimages.frame, options.share, seed=options.seed)
    prepare_output(folder, overwrite=True)
    model = train(
        rows_of(subimages, rows),
        preset=options.preset,
        seed=options.seed + 1,
        steps=options.steps,
        max_seconds=options.max_seconds,
    )
    save_model(model, folder)
    write_latents_h5(folder / "latents.h5", encode(model, subimages), subimages)
    found = {"trained on": len(rows), "of": len(subimages), "steps": model.steps}
    write_text(folder / NUMBERS, json.dumps(found, indent=2))


def read_numbers(folder: Path) -> dict[str, Any]:
    """What `train_on_a_share` did."""
    return json.loads((folder / NUMBERS).read_text())


def on_the_crystal(latents: Latents) -> Bool[np.ndarray, " n"]:
    """Which sites are like most others, so that their angle means one thing."""
    return deviation(latents) < OFF_CRYSTAL


def agreement_numbers(found: Alignment, crystal: Bool[np.ndarray, " n"]) -> dict[str, Any]:
    """The alignment of two models as named numbers."""
    apart = np.abs(np.degrees(found.difference[crystal]))
    return {
        "sites of the crystal": int(crystal.sum()),
        "angle, concentration": round(found.concentration, 5),
        "angle, median difference [deg]": round(float(np.median(apart)), 3) if len(apart) else None,
        "content, R2 after turning the latent space": [round(float(v), 3) for v in found.r2],
        "content, R2 up to a smooth map": round(found.smooth_r2, 3),
    }


def alignment(first: Latents, second: Latents) -> tuple[Alignment, dict[str, Any]]:
    """The second model's latents in the axes of the first one's, and how well the two agree."""
    crystal = on_the_crystal(first)
    found = align(first, second, crystal=crystal)
    return found, agreement_numbers(found, crystal)
