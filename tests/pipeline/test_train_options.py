"""`rvaejax train`: options from the command line and from a file; what cannot be used is refused in one line."""

import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
import yaml

from rvaejax.cli import main
from rvaejax.errors import ConfigError
from rvaejax.pipeline.config import TrainOptions
from rvaejax.pipeline.config_file import read_section
from rvaejax.rvae import load_model
from rvaejax.rvae.config import (
    Bernoulli,
    Capacity,
    ContinuousBernoulli,
    FourierDecoder,
    RVAEConfig,
    SpatialDecoder,
    preset,
)

pytestmark = pytest.mark.usefixtures("quick_compilation")

SMALL = """
encoder: {kind: MLPEncoder, hidden: 8, layers: 1}
decoder: {kind: SpatialDecoder, hidden: 8, layers: 1, skip: true}
likelihood: ContinuousBernoulli
divergences: {kind: Capacity, final: 2, steps: 4}
training: {batch_size: 8, piece: 2, evaluate_every: 2, learning_rate: 1e-3}
"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Sub-images of one kind and another, good and bad, in the working folder."""
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).random((40, 6, 6)).astype(np.float32)
    spoilt = images.copy()
    spoilt[7, 2, 2] = np.nan
    sets = {"good": images, "nan": spoilt, "pixel": images[:, :1, :1], "few": images[:9], "five": images[:5]}
    for name, stack in (sets | {"large": np.ones((9, 8, 8)), "two": np.ones((9, 6, 6, 2))}).items():
        np.savez(tmp_path / f"{name}.npz", images=stack)
    (tmp_path / "small.yaml").write_text(SMALL)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("nan.npz", ["nan.npz", "1 images have pixels that are NaN"]),
        ("pixel.npz", ["pixel.npz", "1 x 1 px", "at least 4 x 4 px"]),
        ("five.npz", ["five.npz", "5 sub-images are too few", "at least 8"]),
        ("good.npz --preset papr", ["'papr' is not one of default, paper, paper-atomai"]),
        ("good.npz --colour red", ["--colour"]),
        ("good.npz --seeds 0", ["--seeds must be at least 1"]),
        ("good.npz --seed 4294967295 --seeds 2", ["--seed"]),
        ("good.npz --patience 0", ["--patience must be at least 1"]),
        ("good.npz --config gone.yaml", ["gone.yaml: no such file"]),
    ],
)
def test_what_cannot_be_trained_is_one_line_and_nothing_is_written(arguments, words, files, refused):
    line = refused(f"train {arguments} --out out")
    assert all(word in line for word in words), line
    assert not (files / "out").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("contents: 3", ["has no option 'contents'", "content_dim"]),
        ("rvae: {likelihood: {kind: Poisson}}", ["'Poisson' is not one of UnitGaussian"]),
        ("likelihood: Poisson", ["'Poisson' is not one of UnitGaussian"]),
        ("training: {steps: many}", ["steps='many'", "must be int"]),
        ("training: {learning_rate: fast}", ["learning_rate='fast'", "must be float"]),
        ("decoder: {skip: maybe}", ["skip='maybe'", "must be bool"]),
        ("decoder: 3", ["decoder=3"]),
        ("training: {holdout: 0.001, patience: 2}", ["patience", "raise holdout"]),
        ("rvae: 3", ["names and values"]),
        ("- 1", ["names and values"]),
        ("a: [", ["not readable as YAML"]),
    ],
)
def test_a_config_file_that_makes_no_sense_is_one_line(text, words, files, refused):
    (files / "bad.yaml").write_text(text)
    line = refused("train good.npz --out out --config bad.yaml")
    assert all(word in line for word in words), line
    assert not (files / "out").exists()


def test_what_a_file_leaves_out_is_the_presets(tmp_path):
    path = tmp_path / "some.yaml"
    path.write_text("likelihood: Bernoulli\ndecoder: {skip: true}\ntraining: {patience: 3, learning_rate: 2e-4}\n")
    for name, decoder in (("default", FourierDecoder(skip=True)), ("paper", SpatialDecoder(128, 2, skip=True))):
        chosen, got = preset(name), read_section(path, "rvae", preset(name), "rVAE")
        assert got.decoder == decoder and got.likelihood == Bernoulli() and got.encoder == chosen.encoder
        assert got.training.patience == 3 and got.training.learning_rate == 2e-4
        assert got.training.batch_size == chosen.training.batch_size
    path.write_text("decoder: {kind: SpatialDecoder}")
    assert read_section(path, "rvae", RVAEConfig(), "rVAE").decoder == SpatialDecoder()
    assert TrainOptions(steps=7, patience=2).applied_to(RVAEConfig()).training.patience == 2
    with pytest.raises(ConfigError, match="--seeds"):
        TrainOptions(seeds=0)


def test_several_seeds_from_a_file_of_options_to_latents(files, refused, capsys):
    """Nine images, fewer than a batch: they train, and it is said how. Then another shape and channel count."""
    command = "train few.npz --out run --config small.yaml --steps 4 --seeds 2 --patience 5"
    main(command.split())
    said = capsys.readouterr().out
    assert "7 sub-images to train on (2 more are held out) are fewer than a batch of 8" in said
    assert "seed 0: held-out ELBO" in said and "seed 1: held-out ELBO" in said and "best weights are those of" in said
    stored = yaml.safe_load((files / "run" / "config.yaml").read_text())
    assert stored["train"]["seeds"] == 2 and stored["train"]["patience"] == 5
    assert stored["rvae"]["likelihood"] == {"kind": "ContinuousBernoulli"}
    assert stored["rvae"]["divergences"]["final"] == 2 and stored["rvae"]["decoder"]["skip"] is True
    assert len(stored["model"]["seeds"]) == 2
    rows = [json.loads(line) for line in (files / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [0, 2, 4] and "holdout_elbo_seed_1" in rows[0]
    main("encode run few.npz --out latents.npz".split())
    with np.load(files / "latents.npz") as latents:
        assert all(np.isfinite(latents[name]).all() and len(latents[name]) == 9 for name in latents.files)
    for name, found in (("large", "8 x 8 px with 1 channel"), ("two", "6 x 6 px with 2 channel")):
        line = refused(f"encode run {name}.npz --out other.npz")
        assert found in line and "trained on 6 x 6 px with 1 channel" in line and f"{name}.npz" in line
    assert "seeds" in refused(command.replace("--seeds 2", "--seeds 3") + " --resume")
    again = read_section(files / "run" / "config.yaml", "rvae", RVAEConfig(), "rVAE")
    assert isinstance(again.likelihood, ContinuousBernoulli) and again.divergences == Capacity(final=2, steps=4)


@pytest.mark.process
def test_a_second_training_compiles_nothing_anew(files):
    """Its start takes from the user's cache folder what the first one left there, and gives the same weights."""
    environment = {name: v for name, v in os.environ.items() if not name.startswith("JAX_")}
    environment |= {"XDG_CACHE_HOME": str(files / "cache")}
    kept, weights = [], []
    for run in ("first", "second"):
        command = f"-m rvaejax train good.npz --out {run} --config small.yaml --steps 4".split()
        subprocess.run([sys.executable, *command], env=environment, check=True, capture_output=True)
        kept.append({path.name for path in (files / "cache" / "rvaejax").rglob("*-cache")})
        weights.append(jax.tree.leaves(load_model(files / run).params))
    assert kept[0] and kept[0] == kept[1]
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))
