"""Are posteriors right? Simulation-based calibration of the sampled posterior, and of the encoder's, beside each other.

To be tested: with a chain in every mode, weighted by its evidence, ranks of the true angle, shift and content among the
sampled posterior's draws are uniform; those of the encoder's posterior are not. Fixed before the runs: six coordinates
are looked at, so that the least p of a run times six (Bonferroni) is compared with 0.01, and every p is given as it is.

Command:    python experiments/posterior_calibration.py --out runs/posterior_calibration
            python experiments/posterior_calibration.py --out runs/pooled --pool experiments/results/SET.json ...
Wall time:  187 to 364 s for 200 replicas, training included, beside other work on 2 CPU cores
Figure:     runs/posterior_calibration/posterior_calibration.png: rank histograms, sampled above, encoder below;
            that of seed 0, and all ranks of all runs, are in experiments/results/
Result:     p of angle, modulo 120 degrees, shift x and y, content 1 and 2; least p times six, in the order of running:
            seed 0, 200 replicas       0.46  0.66  0.94  0.00046  0.84  0.59   0.0027
            seed 2, 200                0.52  0.60  0.30  0.61     0.18  0.73   1
            `--simulated 10`, 200      0.59  0.59  0.59  0.19     0.99  0.47   1
            `--simulated 11`, 400      0.59  0.56  0.98  0.81     0.31  0.75   1
            seed 3, 200                0.77  0.84  0.30  0.57     0.99  0.031  0.18
            all 1,200, `--pool`        0.68  0.67  0.79  0.10     0.41  0.81   0.61
            seed 0's, `--turns 1`      0.23  0.24  0.035 0.94     0.55  0.49   0.21
            These are the sets on record with this sampler. Seed 0 was to be the test, and by itself fails; the two
            `simulated` ones were run for that, with its model; seed 3, another model and other images, was named here
            before it was run (in parts of ten replicas, with the keys of the whole). Pooled, seed 0 included, the ranks
            are uniform in every coordinate; 0.00046 times the 30 tests of the five sets is 0.014. The turned images are
            no further set, and are not pooled.
            Seed 0's shift y is odd by chance: the ranks are low (mean 45 of 99) with the sampler of before (p = 0.0012)
            as with today's, which share only the images; when the images are turned by a right angle they are as low in
            x, and those of y are uniform; and the same model with other images is uniform in both. Nothing in the
            density tells x from y (a test holds that), so that a fault of the method could make the ranks' distribution
            too wide or too narrow, but not low. In one of the 1,000 without seed 3 the truth lies beyond all draws in
            three coordinates, in none in four: no mode was missed for certain (2 of 200 before, when what lies at one
            angle counted as one mode). Encoder: below 1e-39 each, the truth beyond nearly all of its draws: its shifts
            and contents are far from the posterior, and far too sure, after so short a training
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from matplotlib.figure import Figure
from scipy.stats import binom

import rvaejax as rx
from rvaejax.analysis.simulation_based import BINS, Ranks, calibration_ranks, uniformity
from rvaejax.io.files import write_text
from rvaejax.plotting.style import BLUE, FAINT, ORANGE, new_figure, plain_axes, save_figure
from rvaejax.rvae.config import LearnedGaussian, PolarEncoder, RVAEConfig, SpatialDecoder
from rvaejax.rvae.posterior.config import NutsConfig
from rvaejax.training.config import TrainingConfig
from rvaejax.types import SubImages

SIZE, FOLD = 16, 3


@dataclass(frozen=True)
class Options:
    """Trains a small rVAE, simulates from it, infers, ranks."""

    out: Path
    pool: tuple[Path, ...] = ()
    """Results of earlier runs: judged each and all together, and nothing is run."""
    replicas: int = 200
    steps: int = 1500
    seed: int = 0
    simulated: int | None = None
    """Seed of what is simulated with the trained model and of the chains; default: `seed`."""
    turns: int = 0
    """Right angles by which the same simulated images are turned."""


CONFIG = RVAEConfig(
    content_dim=2,
    encoder=PolarEncoder(orientations=32, hidden=32, harmonics=8),
    decoder=SpatialDecoder(hidden=32, layers=2),
    likelihood=LearnedGaussian(),
    ascent=None,
    training=TrainingConfig(steps=1500, batch_size=64, learning_rate=3e-3, warmup=50),
)
NUTS = NutsConfig(draws=200, weighing=256, kept=99, particles=99)


def molecules(n: int, seed: int) -> SubImages:
    """Three blobs around the centre, or two of them, at every angle, with noise: sites of symmetry 3 and 1."""
    rng = np.random.default_rng(seed)
    kind, angle, shift = rng.integers(0, 2, n), rng.uniform(-np.pi, np.pi, n), rng.normal(0, 0.5, (n, 2))
    line = np.arange(SIZE) - (SIZE - 1) / 2
    images = np.zeros((n, SIZE, SIZE))
    for j in range(FOLD):
        phi = angle + 2 * np.pi * j / FOLD
        x, y = 4.5 * np.cos(phi) + shift[:, 0], -4.5 * np.sin(phi) + shift[:, 1]
        dx, dy = (line[None] - x[:, None]) ** 2, (line[None] - y[:, None]) ** 2
        there = (j < 2) | (kind == 0)
        images += there[:, None, None] * np.exp(-(dy[:, :, None] + dx[:, None, :]) / (2 * 1.5**2))
    images += 0.1 * rng.standard_normal(images.shape)
    zeros = np.zeros(n)
    return SubImages(
        images[..., None].astype(np.float32), zeros.astype(int), zeros, zeros, np.full(n, "C"), zeros.astype(int)
    )


def draw(ranks: Ranks) -> Figure:
    """Histograms of the ranks, with the 99 % band of a uniform one."""
    figure = new_figure(2.1 * len(ranks.sampled), 4.2)
    axes = figure.subplots(2, len(ranks.sampled), sharey="row")
    rows = (("sampled", ranks.sampled, BLUE), ("encoder", ranks.encoder, ORANGE))
    for row, ((label, found, colour), draws) in enumerate(zip(rows, ranks.draws, strict=True)):
        for column, (name, values) in enumerate(found.items()):
            low, high = binom.ppf([0.005, 0.995], len(values), 1 / BINS)
            axes[row, column].axhspan(low, high, color=FAINT, alpha=0.3)
            axes[row, column].hist(values, np.linspace(0, draws + 1, BINS + 1), color=colour)
            title = f"{name}\np = {uniformity(values, draws):.2g}"
            plain_axes(axes[row, column], "rank of the truth", label if column == 0 else "", title)
    return figure


def judged(ranks: Ranks) -> dict[str, Any]:
    """The ranks, the p-values of their being uniform, and the least of these times their number (Bonferroni)."""
    judged = {}
    for label, found, draws in zip(("sampled", "encoder"), ranks[:2], ranks.draws, strict=True):
        p = {name: uniformity(values, draws) for name, values in found.items()}
        least = min(1.0, len(p) * min(p.values()))
        values = {name: values.tolist() for name, values in found.items()}
        judged[label] = {"draws": draws, "p": p, "least p, corrected": least, "ranks": values}
    return judged


def pooled(paths: Sequence[Path]) -> tuple[dict[str, Ranks], Ranks]:
    """The ranks of some runs by the stem of their file, and of all together, which must not share images.

    Raises:
        SystemExit: two runs of the same model and images (turned ones are the same), or other chains.
    """
    read = {path.stem.removeprefix("posterior_calibration") or "_seed0": json.loads(path.read_text()) for path in paths}
    images = [(found["seed"], found.get("simulated", found["seed"])) for found in read.values()]
    if len(read) < len(paths) or len(set(images)) < len(images):
        raise SystemExit(f"runs to be pooled share images (seed, simulated): {images}")
    if len({json.dumps(found["nuts"]) for found in read.values()}) > 1:
        raise SystemExit("runs to be pooled have chains of other options")

    def ranks(found: dict[str, Any]) -> Ranks:
        sides = [{n: np.array(v) for n, v in found[side]["ranks"].items()} for side in ("sampled", "encoder")]
        return Ranks(*sides, (found["sampled"]["draws"], found["encoder"]["draws"]))

    each = {name.removeprefix("_"): ranks(found) for name, found in read.items()}
    sides = (
        {n: np.concatenate([r[i][n] for r in each.values()]) for n in next(iter(each.values()))[i]} for i in (0, 1)
    )
    return each, Ranks(*sides, next(iter(each.values())).draws)


def judge_pool(options: Options) -> None:
    """A table of p of each run and of all together, each with the least of its coordinates, corrected."""
    each, together = pooled(options.pool)
    rows = {f"{name}, {len(ranks.sampled['angle'])}": judged(ranks) for name, ranks in each.items()}
    rows[f"all, {len(together.sampled['angle'])}"] = judged(together)
    for side in ("sampled", "encoder"):
        names = list(together.sampled)
        print(f"| {side}: set, replicas | {' | '.join(names)} | least, times {len(names)} |")
        print(f"| {' | '.join(['---'] * (len(names) + 2))} |")
        for name, row in rows.items():
            values = [*row[side]["p"].values(), row[side]["least p, corrected"]]
            print(f"| {name} | {' | '.join(f'{p:.2g}' for p in values)} |")
    options.out.mkdir(parents=True, exist_ok=True)
    save_figure(draw(together), options.out / "posterior_calibration.png")
    kept = {name: {s: {k: v for k, v in row[s].items() if k != "ranks"} for s in row} for name, row in rows.items()}
    write_text(options.out / "posterior_calibration.json", json.dumps(kept, indent=1) + "\n")


def main(options: Options) -> None:
    """Trains, simulates, infers, ranks, draws; or judges what was done before."""
    if options.pool:
        return judge_pool(options)
    began = time.monotonic()
    config = replace(CONFIG, training=replace(CONFIG.training, steps=options.steps))
    model = rx.train(molecules(2000, options.seed), config=config, seed=options.seed)
    simulated = options.seed if options.simulated is None else options.simulated
    ranks = calibration_ranks(model, options.replicas, NUTS, fold=FOLD, turns=options.turns, seed=simulated)
    options.out.mkdir(parents=True, exist_ok=True)
    save_figure(draw(ranks), options.out / "posterior_calibration.png")
    facts = {name: getattr(options, name) for name in ("replicas", "steps", "seed", "turns")}
    facts |= {"simulated": simulated, "nuts": asdict(NUTS)}
    result = facts | {"seconds": round(time.monotonic() - began), "machine": f"{os.cpu_count()} cores"} | judged(ranks)
    write_text(options.out / "posterior_calibration.json", json.dumps(result) + "\n")
    for label in ("sampled", "encoder"):
        values = ", ".join(f"{name}: {p:.3g}" for name, p in result[label]["p"].items())
        print(f"{label} {values}; least, corrected: {result[label]['least p, corrected']:.3g}")


if __name__ == "__main__":
    rx.use_every_core()
    main(tyro.cli(Options))
