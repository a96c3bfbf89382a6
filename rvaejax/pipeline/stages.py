"""Training and encoding from file to file, as the command line offers them; loads no more than they need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from rvaejax.config import to_dict
from rvaejax.errors import ConfigError, ImageError
from rvaejax.io.files import check_output, check_output_file, check_source_survives, prepare_output, write_text
from rvaejax.io.subimages import read_subimages
from rvaejax.pipeline.config import TrainOptions
from rvaejax.pipeline.config_file import read_section
from rvaejax.pipeline.resume import fingerprint, was_begun
from rvaejax.rvae.config import RVAEConfig, preset
from rvaejax.rvae.given import Given, check_given
from rvaejax.rvae.inference import encode
from rvaejax.rvae.inputs import check_training_set
from rvaejax.rvae.model import split_rows, train
from rvaejax.rvae.priors.probe import check_priors
from rvaejax.rvae.record import TrainedRVAE
from rvaejax.rvae.seeds import check_seeds
from rvaejax.rvae.storage import load_model, save_model
from rvaejax.training.interrupt import catch_signals
from rvaejax.types import Latents, SubImages


def train_file(
    source: Path, out: Path, options: TrainOptions, *, overwrite: bool, resume: bool, started: float
) -> TrainedRVAE:
    """A trained rVAE in a folder; labels in the input file are looked at only where the configuration asks for them.

    `started` is the `time.monotonic()` from which the time budget counts.
    """
    check_output(out, overwrite, resume)
    check_source_survives(source, out)
    if options.config is not None:
        check_source_survives(options.config, out)
    config = options.applied_to(_config(options))
    subimages = read_subimages(source)
    with _naming(source):
        check_training_set(subimages)
        given = check_given(config, subimages)
    check_priors(given.config, tuple(int(v) for v in subimages.images.shape[1:]))  # type: ignore[arg-type]
    check_seeds(config, options.seeds, len(split_rows(len(subimages), config.training.holdout, options.seed)[1]))
    sections = _sections(options, config, subimages, given)
    if resume:
        was_begun(out, sections)
    folder = prepare_output(out, overwrite, resume)
    sections["train"]["subimages"] = str(source.resolve())  # where a later check finds them
    write_text(folder / "config.yaml", yaml.safe_dump(sections, sort_keys=False))
    with catch_signals() as should_stop:
        model = train(
            subimages,
            config=config,
            seed=options.seed,
            seeds=options.seeds,
            max_seconds=options.max_seconds,
            started=started,
            checkpoint_dir=folder / "checkpoints",
            resume=resume,
            metrics_path=folder / "metrics.jsonl",
            should_stop=should_stop,
        )
    save_model(model, folder)
    return model


def _config(options: TrainOptions) -> RVAEConfig:
    chosen = preset(options.preset)
    return chosen if options.config is None else read_section(options.config, "rvae", chosen, "rVAE")


def _sections(options: TrainOptions, config: RVAEConfig, subimages: SubImages, given: Given) -> dict[str, Any]:
    """What a resumed training must have in common with the interrupted one; what was left at its default is None."""
    known = {"images": list(subimages.images.shape), "checksum": fingerprint([subimages.images])}
    looked_at = [array for array in (given.labels, given.targets) if array is not None]
    further = {
        "labels or spectra": fingerprint(looked_at) if looked_at else None,
        "patience": options.patience,
        "seeds": options.seeds if options.seeds > 1 else None,
        "config": None if options.config is None else to_dict(config),
    }
    return {"train": {"preset": options.preset, "seed": options.seed, "steps": options.steps, **known, **further}}


def encode_file(run: Path, source: Path, out: Path, *, overwrite: bool) -> Latents:
    """Latents of a file of sub-images, written to a file."""
    from rvaejax.io.latents import write_latents  # reads HDF5 too, which a training need not load

    check_output_file(out, overwrite)
    check_source_survives(source, out)
    if out.suffix != ".npz":
        raise ConfigError(f"--out {out}: latents are written as .npz; give a name that ends so")
    model, subimages = load_model(run), read_subimages(source)
    with _naming(source):
        latents = encode(model, subimages)
    write_latents(out, latents)
    return latents


@contextmanager
def _naming(source: Path) -> Iterator[None]:
    """Puts the file's name before what is wrong with its images."""
    try:
        yield
    except ImageError as error:
        raise ImageError(f"{source}: {error}") from None
