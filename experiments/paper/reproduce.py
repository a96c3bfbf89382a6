"""The figures of the paper, from its own movie or from a simulated one.

Claim: the order parameters and the dynamics that the paper reads from its movie come out of this package: see the two
lines beside each figure of the page that this writes.

Command:    python experiments/paper/reproduce.py --out runs/paper [--movie coordinates.csv.gz]
            (the same as `rvaejax reproduce paper`)
Wall time:  on one core, 50 frames of the paper's movie, with these numbers, to its end: 1,049 s of CPU time (1,692 s
            beside other work): the analysis of 81,683 small windows 95 s of CPU time, of 67,230 large ones 330 s.
            Largest memory 3.80 GB; since memory goes back to the system between the stages 3.58 GB
            The simulated movie, full trainings, since then: 1,293 s of CPU time (1 h 33 min beside other work), 2.86 GB
Figure:     runs/paper/figures, with paper.md, paper.html and numbers.json beside them
Result:     on the paper's movie, from its coordinates, preset amortised:
            atoms in the first and last frame: 2,117 and 1,428; rings of 5 or 7 per 100 hexagons: 6 and 29; share of Si
            at an edge: 0.71 and 0.94
            angle modulo 120 degrees in the first frame: two peaks of equal weight, 60.0 degrees apart (large windows:
            60.0); the higher one falls to 18 % (13 %) of its height, where carbon falls to 64 % (58 %), and the spread
            modulo 60 degrees grows from 5.3 to 14.2 degrees (3.5 to 13.7)
            bonded sites of the ordered lattice differ by 59.2 degrees (median; 59.7), all of them by 60 to within 15
            first content latent, ordered sites above edges and defects: AUC 0.92 (large windows: 0.95; of earlier
            trainings 0.95 and 0.90; 0.95); rank correlation with crystallinity 0.75 (0.86)
            crystallinity by all content latents, over bonded neighbours: AUC 0.98 (0.96), rank correlation 0.85 (0.89);
            by a site's own alone 0.93 (0.95), 0.72 (0.87)
            bonds' direction told by the latents (R2): autoencoder (600 and 200 steps) 0.96 (0.77), rVAE -0.05 (-0.07)
            mean similarity of 9 components as they are and up to rotation: small windows GMM 0.52 and 0.68, VAE 0.50
            and 0.79, rVAE 0.70 and 0.70 (an earlier training 0.61 and 0.61); large windows GMM 0.59 and 0.79, VAE 0.85
            and 0.86, rVAE 0.77 and 0.78: up to rotation the rVAE's are least alike in large ones, in small ones by some
            trainings and not by others, and turning adds nothing to them
            trained on 20,419 of 81,683 small windows, a quarter of each frame, from another seed: angles of ordered
            sites agree to 0.21 degrees (median; R = 0.9997), content latents up to a turn of the latent space with
            R2 = 0.94 and 0.94, up to any smooth map 0.97 (of an earlier training 0.24, 0.9992, 0.86, 0.88, 0.92)
            on the simulated movie, against its truth, 83,111 windows of 0.38 nm (67,650 of 1 nm): angles of bulk atoms
            to 0.29 degrees (0.28; median), grains to 0.93 (0.44; largest of all); crystallinity, over bonded
            neighbours, against local order 0.92 (0.92), by a site's own alone 0.88 (0.91); edges, defects and Si
            against bulk without labels: AUC 0.984 (0.921), by a site's own alone 0.976 (0.920)
            mean similarity up to rotation GMM 0.67, VAE 0.84, rVAE 0.67; large windows 0.83, 0.87, 0.77
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from rvaejax.pipeline.paper.config import PaperOptions
from rvaejax.pipeline.paper.reproduce import reproduce


@dataclass(frozen=True)
class Options(PaperOptions):
    """Reproduces the paper's figures."""

    out: Path = Path("runs/paper")
    """Folder for the results."""
    resume: bool = False
    """Go on with one that was interrupted."""


def main(options: Options) -> None:
    """Reproduces, and says what each figure shows."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    chosen = {name: getattr(options, name) for name in PaperOptions.__dataclass_fields__}
    reproduce(options.out, PaperOptions(**chosen), resume=options.resume)


if __name__ == "__main__":
    main(tyro.cli(Options))
