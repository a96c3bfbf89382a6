"""The figures of the paper, from its own movie or from a simulated one.

Claim: the order parameters and the dynamics that the paper reads from its movie come out of this package: see the two
lines beside each figure of the page that this writes.

Command:    python experiments/paper/reproduce.py --out runs/paper [--movie coordinates.csv.gz]
            (the same as `rvaejax reproduce paper`)
Wall time:  on 2 cores beside other work, 50 frames: the analysis of 81,683 small windows 115 s (1.4 GB), of 67,230
            large ones 575 s (3.1 GB); GMM, autoencoder and VAE on large windows, the quarter and all figures 732 s
            (2.8 GB), of which 200 s were a pause
Figure:     runs/paper/figures, with paper.md, paper.html and numbers.json beside them
Result:     on the paper's movie, from its coordinates, preset default:
            atoms in the first and last frame: 2,117 and 1,428; rings of 5 or 7 per 100 hexagons: 6 and 29; share of Si
            at an edge: 0.71 and 0.94
            angle modulo 120 degrees in the first frame: two peaks of equal weight, 59.8 degrees apart (large windows:
            60.0); the higher one falls to 17 % (13 %) of its height, where carbon falls to 64 % (58 %), and the spread
            modulo 60 degrees grows from 5.3 to 14.2 degrees (3.5 to 13.6)
            bonded sites of the ordered lattice differ by 59.2 degrees (median; 59.7), all of them by 60 to within 15
            first content latent, ordered sites above edges and defects: AUC 0.90 (large windows: 0.95); rank
            correlation with crystallinity 0.71 (0.85)
            small windows, bonds' direction told by the latents (R2): autoencoder (600 steps) 0.96, rVAE -0.07
            mean similarity of 9 components as they are and up to rotation: small windows GMM 0.51 and 0.68, VAE 0.51
            and 0.80, rVAE 0.68 and 0.68; large windows GMM 0.59 and 0.79, VAE 0.83 and 0.84, rVAE 0.78 and 0.78: up to
            rotation the rVAE's are least alike in large windows, and as alike as the GMM's in small ones; turning adds
            nothing to the rVAE's in either (the pixels' mixture had one start here; with five for all, as now, the
            rVAE's are the least alike in both: experiments/component_similarity.py)
            trained on 20,419 of 81,683 small windows, a quarter of each frame, from another seed: angles of ordered
            sites agree to 0.24 degrees (median; R = 0.9992), content latents up to a turn of the latent space with
            R2 = 0.86 and 0.88, up to any smooth map 0.92
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
