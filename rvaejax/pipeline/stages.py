"""Single stages from file to file, as the command line offers them."""

from __future__ import annotations

from pathlib import Path

import yaml

from rvaejax.atoms.config import LocalisationConfig
from rvaejax.atoms.localise import find_atoms
from rvaejax.errors import ConfigError
from rvaejax.io.files import check_output, check_output_file, check_source_survives, prepare_output, write_text
from rvaejax.io.latents import write_latents
from rvaejax.io.maps import write_maps
from rvaejax.io.movies import read_movie
from rvaejax.io.subimages import read_subimages
from rvaejax.io.tables import write_atoms
from rvaejax.pipeline.config import check_training
from rvaejax.pipeline.resume import fingerprint, was_begun
from rvaejax.plotting import frame_overview, probability_maps, save_figure
from rvaejax.plotting.maps import three_frames
from rvaejax.plotting.segmenter import disagreement_map
from rvaejax.rvae.inference import encode
from rvaejax.rvae.inputs import check_training_set
from rvaejax.rvae.model import train
from rvaejax.rvae.record import TrainedRVAE
from rvaejax.rvae.storage import load_model, save_model
from rvaejax.segmentation.predict import segment
from rvaejax.segmentation.weights import load_segmenter
from rvaejax.training.interrupt import catch_signals
from rvaejax.types import Atoms, Latents


def segment_file(
    source: Path, out: Path, *, px_nm: float | None, threshold: float, segmenter: Path | None, overwrite: bool
) -> Atoms:
    """Probability maps, atoms and a picture of both into a folder; by the shipped segmenter unless given another."""
    check_output(out, overwrite)
    check_source_survives(source, out)
    config = LocalisationConfig(threshold=threshold)
    chosen = load_segmenter(segmenter)
    if segmenter is not None:
        check_source_survives(segmenter, out)
    movie = read_movie(source, pixel_size_nm=px_nm)
    maps = segment(movie, segmenter=chosen)
    atoms = find_atoms(maps, config=config)
    folder = prepare_output(out, overwrite)
    write_maps(folder / "maps.h5", maps)
    write_atoms(folder / "atoms.csv", atoms)
    for t in three_frames(atoms.frame):
        save_figure(frame_overview(movie.frames[t], atoms, t), folder / "figures" / f"frame_overview_frame{t}.png")
        drawn = probability_maps(maps.probabilities[t], maps.species, maps.pixel_size_nm)
        save_figure(drawn, folder / "figures" / f"probability_maps_frame{t}.png")
        if maps.uncertainty is not None:
            drawn = disagreement_map(maps.uncertainty[t], maps.pixel_size_nm)
            save_figure(drawn, folder / "figures" / f"disagreement_frame{t}.png")
    return atoms


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
    sections["train"]["subimages"] = str(source.resolve())  # where a later check finds them
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
    check_output_file(out, overwrite)
    check_source_survives(source, out)
    if out.suffix != ".npz":
        raise ConfigError(f"--out {out}: latents are written as .npz; give a name that ends so")
    latents = encode(load_model(run), read_subimages(source))
    write_latents(out, latents)
    return latents
