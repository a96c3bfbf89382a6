"""A VampPrior of the content against the standard normal.

To be tested: the mixture of the posteriors of learned pseudo-images is nearer to what the encoder makes of all sites
than a standard normal is: the content's divergence falls and the held-out ELBO rises.

Command:    python experiments/vamp_prior.py --out runs/vamp_prior --steps 700
Wall time:  141 s for six trainings on 2 CPU cores beside other work
Figure:     runs/vamp_prior/vamp_prior.png: contents, and draws of the prior, for each prior
Result:     held-out ELBO, seeds 0 and 1: standard normal 359.7 and 363.0 nat, VampPrior 364.7 and 363.7, flow 364.0 and
            364.5. Divergence of the content: 4.7 and 4.0, 1.6 and 1.5, 2.0 and 2.1 nat; of the VampPrior and the flow
            it is estimated, one estimate with an error of 0.3 nat. Draws of the VampPrior fall onto the three kinds,
            those of the others beside them too
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import tyro
from prior_trials import held_out, sites, trial

from rvaejax.io.files import write_text
from rvaejax.plotting.style import BLUE, ORANGE, new_figure, plain_axes, save_figure
from rvaejax.rvae import elbo
from rvaejax.rvae.config import FlowPrior, StandardNormal, VampPrior
from rvaejax.rvae.record import TrainedRVAE

PRIORS = {"standard normal": StandardNormal(), "VampPrior": VampPrior(components=12), "flow": FlowPrior()}


@dataclass(frozen=True)
class Options:
    """Trains the same rVAE with each prior on three kinds of sites."""

    out: Path
    count: int = 2400
    steps: int | None = None
    seeds: int = 2


def draws(model: TrainedRVAE, count: int) -> np.ndarray:
    """Contents drawn from the prior, in the reported order and sign."""
    rvae = elbo.build(model.config, model.image_shape)
    prior = rvae.prior_params(model.params)["content"]
    z = rvae.families.content.prior.sample(prior, (count, model.config.content_dim), key=jax.random.key(0))
    return np.asarray(z)[:, list(model.order)] * np.asarray(model.sign)


def main(options: Options) -> None:
    """Trains, compares, draws."""
    began, rng = time.monotonic(), np.random.default_rng(0)
    kind = rng.choice(3, options.count, p=[0.6, 0.25, 0.15])
    subimages = sites(rng.uniform(-np.pi, np.pi, options.count), kind, 0)
    figure, lines = new_figure(3.4 * len(PRIORS), 3.4), []
    for axes, (name, prior) in zip(figure.subplots(1, len(PRIORS)), PRIORS.items(), strict=True):
        for seed in range(options.seeds):
            model, latents = trial(subimages, seed, options.steps, content_prior=prior)
            error = model.history[-1].get("kl_content_error", 0.0)
            lines.append(
                f"{name}, seed {seed}: held-out ELBO {held_out(model):.2f} nat, "
                f"KL of the content {held_out(model, 'kl_content'):.2f} nat (error of one estimate {error:.3f})"
            )
        axes.plot(*draws(model, 1500)[:, :2].T, ".", color=ORANGE, markersize=2, label="drawn from the prior")
        axes.plot(*latents.content[:, :2].T, ".", color=BLUE, markersize=2, label="encoded")
        plain_axes(axes, "content latent 1", "content latent 2", name)
        axes.legend(frameon=False, fontsize=7, markerscale=4)
    lines.append(f"{time.monotonic() - began:.0f} s")
    options.out.mkdir(parents=True, exist_ok=True)
    save_figure(figure, options.out / "vamp_prior.png")
    write_text(options.out / "vamp_prior.txt", "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main(tyro.cli(Options))
