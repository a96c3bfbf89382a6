"""Training and encoding from file to file, as the command line offers them; loads no more than they need."""

from __future__ import annotations

from pathlib import Path

import yaml

from rvaejax.errors import ConfigError
from rvaejax.io.files import check_output, check_output_file, check_source_survives, prepare_output, write_text
from rvaejax.io.subimages import read_subimages
from rvaejax.pipeline.config import check_training
from rvaejax.pipeline.resume import fingerprint, was_begun
from rvaejax.rvae.inference import encode
from rvaejax.rvae.inputs import check_training_set
from rvaejax.rvae.model import train
from rvaejax.rvae.record import TrainedRVAE
from rvaejax.rvae.storage import load_model, save_model
from rvaejax.training.interrupt import catch_signals
from rvaejax.types import Latents


def train_file(
    source: Path,
    out: Path,
    *,
    preset: str,
    max_seconds: float | None,
    steps: int | None,
    seed: int,
    overwrite: bool,
    resume: bool,
    started: float,
) -> TrainedRVAE:
    """A trained rVAE in a folder; labels and truth in the input file are never looked at.

    `started` is the `time.monotonic()` from which `max_seconds` counts.
    """
    check_training(preset, steps, max_seconds, seed)
    check_output(out, overwrite, resume)
    check_source_survives(source, out)
    subimages = read_subimages(source)
    check_training_set(subimages)
    known = {"images": list(subimages.images.shape), "checksum": fingerprint([subimages.images])}
    sections = {"train": {"preset": preset, "seed": seed, "steps": steps, **known}}
    if resume:
        was_begun(out, sections)
    folder = prepare_output(out, overwrite, resume)
    write_text(folder / "config.yaml", yaml.safe_dump(sections, sort_keys=False))
    with catch_signals() as should_stop:
        model = train(
            subimages,
            preset=preset,
            seed=seed,
            steps=steps,
            max_seconds=max_seconds,
            started=started,
            checkpoint_dir=folder / "checkpoints",
            resume=resume,
            metrics_path=folder / "metrics.jsonl",
            should_stop=should_stop,
        )
    save_model(model, folder)
    return model


def encode_file(run: Path, source: Path, out: Path, *, overwrite: bool) -> Latents:
    """Latents of a file of sub-images, written to a file."""
    from rvaejax.io.latents import write_latents  # reads HDF5 too, which a training need not load

    check_output_file(out, overwrite)
    check_source_survives(source, out)
    if out.suffix != ".npz":
        raise ConfigError(f"--out {out}: latents are written as .npz; give a name that ends so")
    latents = encode(load_model(run), read_subimages(source))
    write_latents(out, latents)
    return latents
