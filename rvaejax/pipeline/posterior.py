"""`rvaejax posterior`: sampled posteriors of a few sub-images beside the encoder's, from a run to its folder."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from rvaejax.analysis.amortisation import AmortisationGap, amortisation_gap
from rvaejax.analysis.selection import rows_of
from rvaejax.errors import ConfigError
from rvaejax.io.files import atomic_path, write_text
from rvaejax.io.subimages import read_subimages
from rvaejax.pipeline.check import run_subimages
from rvaejax.pipeline.config import PosteriorConfig
from rvaejax.plotting.posterior import angle_posteriors
from rvaejax.plotting.style import save_figure
from rvaejax.rvae.inference import decode
from rvaejax.rvae.inputs import check_fits
from rvaejax.rvae.posterior.record import Posterior
from rvaejax.rvae.posterior.sampling import posterior
from rvaejax.rvae.record import TrainedRVAE
from rvaejax.rvae.storage import load_model
from rvaejax.training.interrupt import catch_signals

TABLE, DRAWS, FIGURE = "posterior.csv", "posterior.npz", "posterior.png"


def posterior_file(run: Path, source: Path | None, config: PosteriorConfig) -> AmortisationGap:
    """Samples, compares, and writes `posterior.npz`, `posterior.csv` and `figures/posterior.png` into the run's folder.

    Args:
        run: folder of a training or a run.
        source: SUBIMAGES.npz; None for those of the run.
        config: options.

    Raises:
        InputError: no model, no sub-images, such as do not fit, or no such rows.
        KeyboardInterrupt: by SIGINT or SIGTERM; nothing is written.
    """
    model = load_model(run)
    subimages = run_subimages(run) if source is None else read_subimages(source)
    check_fits(model, subimages)
    chosen = np.asarray(config.these, int)
    if len(chosen) and (chosen.min() < 0 or chosen.max() >= len(subimages)):
        raise ConfigError(f"--these: rows lie between 0 and {len(subimages) - 1}, got {chosen.min()} to {chosen.max()}")
    if not len(chosen):
        drawn = np.random.default_rng(config.seed).permutation(len(subimages))[: config.rows]
        chosen = np.sort(drawn)
    with catch_signals() as should_stop:
        found = posterior(model, subimages, rows=chosen, config=config.nuts, seed=config.seed, should_stop=should_stop)
    gap = amortisation_gap(model, found)
    _write(run, found, gap)
    (run / "figures").mkdir(exist_ok=True)
    images = rows_of(subimages, chosen).images.astype(float)
    figure = angle_posteriors(found, images, _drawn(model, found), gap.fold, model.angle_sd_factor)
    save_figure(figure, run / "figures" / FIGURE)
    return gap


def _drawn(model: TrainedRVAE, found: Posterior) -> Float[np.ndarray, "n h w c"]:
    """What the decoder draws at the most central draw of each posterior: in the middle of its heaviest mode."""
    rows = []
    for angle, shift, content in zip(found.angle, found.shift, found.content, strict=True):
        points = np.column_stack([np.exp(1j * angle)[:, None].view(float), shift, content])
        unit = points / np.maximum(points.std(0), 1e-9)
        # not the sum of squares, whose least is the mean's neighbour, between two modes
        rows.append(np.sqrt(((unit[:, None] - unit[None]) ** 2).sum(-1)).sum(1).argmin())
    at = np.arange(len(found)), np.array(rows)
    return decode(model, found.angle[at], found.shift[at], found.content[at])


def _write(run: Path, found: Posterior, gap: AmortisationGap) -> None:
    with atomic_path(run / DRAWS) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **{name: getattr(found, name) for name in found.__dataclass_fields__})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(gap.columns)
    writer.writerows([_plain(v) for v in row] for row in zip(*gap.columns.values(), strict=True))
    write_text(run / TABLE, text.getvalue())


def _plain(value: Any) -> Any:
    return f"{value:.5g}" if isinstance(value, np.floating | float) else int(value)


def summary(gap: AmortisationGap) -> str:
    """The medians in words, over the rows whose chains have converged."""
    rows = gap.sampled
    lines = [f"{len(rows)} sub-images, chains converged for {int(rows.sum())}"]
    if not rows.any():
        return f"{lines[0]}: longer chains (--nuts.warmup, --nuts.draws) may help"

    def middle(name: str) -> str:
        values = gap.columns[name][rows].astype(float)
        known = values[np.isfinite(values)]
        if not len(known):
            return "not known"
        low, median, high = np.percentile(known, [10, 50, 90])
        return f"{median:.3g} ({low:.3g} to {high:.3g})"

    for label, name in (
        ("modes with more than 5 % of the posterior", "modes"),
        ("log-evidence less ELBO [nat]", "elbo_gap"),
        ("log-evidence less importance-weighted bound [nat]", "weighted_gap"),
        ("encoder's mean angle off [posterior's sd]", "angle_off"),
        ("encoder's reported sd of the angle / posterior's", "angle_sd_ratio"),
        ("encoder's mean content off [posterior's sd]", "content_off"),
        ("encoder's sd of the content / posterior's", "content_sd_ratio"),
    ):
        lines.append(f"  {label:<52}  {middle(name)}")
    return "\n".join([*lines, "medians, with the 10th and the 90th percentile"])
