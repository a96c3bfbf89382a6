"""The weights that ship with the package.

Claim: a lean U-Net, trained for half an hour on two CPU cores on nothing but images simulated on the fly, finds the
atoms of real graphene images from microscopes that it never saw.

Commands:   python experiments/train_segmenter.py --steps 5000 --empty-probability 0.02 --out DIR
            python experiments/train_segmenter.py --steps 1200 --learning-rate 3e-4 --start-from DIR --out DIR
The first stage alone saw atoms in pure noise: it had been shown too few images without any. The second goes on from
it with 12 % of such images.
Wall time, scores: see the card `rvaejax/segmentation/weights/graphene.json` that this script writes.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro

from rvaejax.analysis.scores import score_atoms
from rvaejax.atoms.localise import find_atoms
from rvaejax.io.files import write_text
from rvaejax.segmentation.config import SegmenterConfig
from rvaejax.segmentation.predict import Segmenter, segment
from rvaejax.segmentation.train import train_segmenter
from rvaejax.segmentation.weights import load_segmenter, save_segmenter
from rvaejax.simulate.config import ImagingConfig, SheetConfig
from rvaejax.simulate.dataset import labelled_batch
from rvaejax.types import Atoms, Movie

VALIDATION_SEED = 10_000  # training draws its keys from `seed` alone
VALIDATION_IMAGES = 24


@dataclass(frozen=True)
class Options:
    """Trains the segmenter that ships with the package, and writes its card."""

    out: Path
    steps: int = 5000
    learning_rate: float = 1e-3
    empty_probability: float = 0.12
    start_from: Path | None = None
    seed: int = 0
    name: str = "graphene"
    score_only: bool = False


def validation(counts: float, pixel_size_nm: float = 0.015) -> tuple[Movie, Atoms]:
    """Simulated frames at another pixel than the network's, and the atoms that they show."""
    sheet = SheetConfig(field_nm=3.0, scale_jitter=0.0, empty_probability=0.0)
    imaging = ImagingConfig(size_px=200, pixel_size_nm=pixel_size_nm, counts=(counts, counts), noise_blur_px=(0, 0))
    made = labelled_batch(VALIDATION_IMAGES, sheet, imaging, key=jax.random.key(VALIDATION_SEED))
    xy, mask = np.asarray(made.sheet.xy) / pixel_size_nm, np.asarray(made.sheet.mask)
    mask = mask & ((xy >= -0.5) & (xy <= 199.5)).all(-1)
    frame, row = np.nonzero(mask)
    species = np.asarray(["C", "Si"])[np.asarray(made.sheet.species)[frame, row]]
    ones = np.ones(len(frame))
    truth = Atoms(frame, xy[frame, row, 0], xy[frame, row, 1], species, ones, 0 * ones, pixel_size_nm)
    return Movie(np.asarray(made.image), pixel_size_nm, "option", name=f"validation at {counts:g} counts"), truth


def validate(segmenter: Segmenter) -> dict[str, dict[str, float]]:
    """Scores at three doses (electrons per pixel of 15 pm at a C atom's peak)."""
    scores = {}
    for counts in (5.0, 40.0, 200.0):
        movie, truth = validation(counts)
        atoms = find_atoms(segment(movie, segmenter=segmenter))
        scores[f"{counts:g} counts"] = score_atoms(truth, atoms, size=movie.size)._asdict()
    return scores


def add_scores(options: Options) -> None:
    """Scores the weights in the folder, as read back, and writes the scores onto their card."""
    path = options.out / f"{options.name}.json"
    scores = validate(Segmenter(*load_segmenter(options.out, options.name)))
    card = {**json.loads(path.read_text()), "scores on simulated images": scores}
    write_text(path, json.dumps(card, indent=2) + "\n")
    print(json.dumps(scores, indent=2))


def main(options: Options) -> None:
    """Trains, saves every 500 steps, writes the card, scores."""
    if options.score_only:
        add_scores(options)
        return
    sheet = SheetConfig(empty_probability=options.empty_probability)
    config = SegmenterConfig(steps=options.steps, learning_rate=options.learning_rate, sheet=sheet)
    before: dict[str, Any] | None = None
    weights = None
    if options.start_from is not None:
        _, weights = load_segmenter(options.start_from, options.name)
        before = json.loads((options.start_from / f"{options.name}.json").read_text())
    start = time.monotonic()
    card: dict[str, Any] = {
        "what": "U-Net that finds C and Si atoms in annular dark field images of graphene",
        "command": f"python {' '.join(sys.argv)}",
        "seed": options.seed,
        "data": "images simulated on the fly (rvaejax.simulate), a new one in every place of every batch",
        "jax": jax.__version__,
        "device": f"{jax.default_backend()}, {jax.devices()[0].device_kind}",
    }

    def log(metrics: dict[str, float], params: Any) -> None:
        print({name: round(value, 4) for name, value in metrics.items()}, flush=True)
        if metrics["step"] % 500 == 0:
            save_segmenter(options.out, options.name, config, params, {**card, "steps done": metrics["step"]})

    params = train_segmenter(config, seed=options.seed, start=weights, log=log)
    card["wall time s"] = round(time.monotonic() - start)
    if before is not None:
        card["started from"] = before
    save_segmenter(options.out, options.name, config, params, card)
    add_scores(options)


if __name__ == "__main__":
    main(tyro.cli(Options))
