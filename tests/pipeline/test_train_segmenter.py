"""`rvaejax train-segmenter`: what it leaves behind, ensembles, interruption, resume, and what it says of mistakes."""

import json
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml

import rvaejax as rx
from rvaejax.cli import main
from rvaejax.errors import ConfigError, FormatError, MissingFileError, OutputExistsError
from rvaejax.io.maps import read_maps
from rvaejax.pipeline import examples, member, segmenter
from rvaejax.pipeline.config import SegmenterOptions
from rvaejax.pipeline.segmenter import fitting, read_config, train_folder
from rvaejax.segmentation import train
from rvaejax.segmentation.config import SegmenterConfig, ValidationConfig
from rvaejax.segmentation.record import Segmenter
from rvaejax.segmentation.train import Batch
from rvaejax.segmentation.weights import save_segmenter
from rvaejax.training.interrupt import Interrupted

SMALL = {"widths": [5], "steps": 30, "batch_size": 2, "learning_rate": 0.02, "warmup": 2, "average": 0.9}
SMALL |= {"validation": {"every": 10}}


def _plain_batch(config, pairs, *, key):
    """Squares: background, C, Si by brightness."""
    classes = jnp.repeat(jnp.repeat(jax.random.randint(key, (config.batch_size, 2, 2), 0, 3), 8, 1), 8, 2)
    return Batch(classes[..., None].astype(jnp.float32), jax.nn.one_hot(classes, 3))


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """A training on images that cost nothing; returns the path of its config, and a list of what is to be done."""
    calls = []
    monkeypatch.setattr(train, "training_batch", _plain_batch)
    monkeypatch.setattr(train, "VALIDATION_IMAGES", 2)
    monkeypatch.setattr(examples, "simulated", lambda config, seed: None)
    monkeypatch.setattr(segmenter, "test_scores", lambda trained: {"5 to 200 counts": {"f1": 0.9, "rmse_pm": 3.0}})

    def evaluation(config, sets):
        def evaluate(params):
            calls.append(1)
            return {"f1": 0.5 + 0.01 * len(calls), "rmse_pm": 4.0}

        return evaluate

    monkeypatch.setattr(member, "evaluation", evaluation)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    return path, calls


def _same(a: Segmenter, b: Segmenter) -> bool:
    pairs = zip(jax.tree.leaves(a.members), jax.tree.leaves(b.members), strict=True)
    return all(np.array_equal(x, y) for x, y in pairs)


def test_an_ensemble_leaves_a_folder_that_says_all(quick, tmp_path):
    out = tmp_path / "out"
    main(["train-segmenter", "--out", str(out), "--config", str(quick[0]), "--members", "2", "--seed", "3"])
    trained = rx.load_segmenter(out)
    assert len(trained.members) == 2 and trained.config == read_config(quick[0]) == read_config(out / "config.yaml")
    assert not _same(Segmenter(trained.config, trained.members[:1]), Segmenter(trained.config, trained.members[1:]))
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [(r["member"], r["step"]) for r in rows] == [(m, s) for m in (0, 1) for s in (0, 10, 20, 30)]
    assert all(r["holdout_f1"] > 0.5 and r["holdout_loss"] > 0 for r in rows)
    card = json.loads((out / "segmenter.json").read_text())
    assert [m["seed"] for m in card["members"]] == [3, 4] and all(m["finished"] for m in card["members"])
    assert "--members 2" in card["command"] and card["scores on simulated images"]["5 to 200 counts"]["f1"] == 0.9
    assert (out / "figures" / "training.png").is_file() and (out / "checkpoints" / "member_1").is_dir()


def test_segment_takes_a_trained_ensemble_and_leaves_its_disagreement(tmp_path):
    shipped = rx.load_segmenter()
    rng = np.random.default_rng(1)
    other = jax.tree.map(lambda leaf: leaf + 0.1 * leaf.std() * rng.standard_normal(leaf.shape), shipped.members[0])
    save_segmenter(tmp_path / "two", Segmenter(shipped.config, (shipped.members[0], other)), {})
    y, x = np.mgrid[:96, :96] * 0.02
    waves = [np.cos(2 * np.pi / 0.213 * (x * np.cos(p) - y * np.sin(p))) for p in 0.3 + np.arange(3) * np.pi / 3]
    noise = 0.2 * np.random.default_rng(0).standard_normal((96, 96))
    np.save(tmp_path / "image.npy", (3 - sum(waves) + noise).astype(np.float32))
    command = ["segment", tmp_path / "image.npy", "--px-nm", "0.02", "--segmenter", tmp_path / "two"]
    main([str(a) for a in [*command, "--out", tmp_path / "out"]])
    maps = read_maps(tmp_path / "out" / "maps.h5")
    assert maps.uncertainty.shape == (1, 96, 96) and 0 < maps.uncertainty[0].max() <= 1
    assert (tmp_path / "out" / "figures" / "disagreement_frame0.png").is_file()


@pytest.mark.parametrize("command", ["segment", "run"])
def test_a_segmenter_that_is_not_there(command, tmp_path, capsys):
    np.save(tmp_path / "image.npy", np.random.default_rng(0).random((64, 64)))
    given = [command, tmp_path / "image.npy", "--px-nm", "0.02", "--segmenter", tmp_path / "nowhere"]
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in [*given, "--out", tmp_path / "out"]])
    assert end.value.code == 2 and "no segmenter.json" in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("stop_at", [2, 6])
def test_an_interrupted_ensemble_goes_on_exactly(quick, tmp_path, monkeypatch, stop_at):
    """Stopped in the first member and in the second; what is there is of use before the end."""
    path, calls = quick
    options = SegmenterOptions(config=path, members=2)
    whole = train_folder(tmp_path / "whole", options)
    calls.clear()
    evaluation = member.evaluation

    def stopping(config, sets):
        evaluate = evaluation(config, sets)

        def stop(params):
            if len(calls) + 1 == stop_at:
                signal.raise_signal(signal.SIGTERM)
            return evaluate(params)

        return stop

    monkeypatch.setattr(member, "evaluation", stopping)
    with pytest.raises(Interrupted) as stopped:
        train_folder(tmp_path / "cut", options)
    assert stopped.value.signum == signal.SIGTERM
    assert len(rx.load_segmenter(tmp_path / "cut").members) == 1 + (stop_at > 4)
    monkeypatch.setattr(member, "evaluation", evaluation)
    resumed = train_folder(tmp_path / "cut", options, resume=True)
    assert _same(resumed, whole)
    rows = [json.loads(line) for line in (tmp_path / "cut" / "metrics.jsonl").read_text().splitlines()]
    assert [(r["member"], r["step"]) for r in rows] == [(m, s) for m in (0, 1) for s in (0, 10, 20, 30)]
    again = train_folder(tmp_path / "cut", options, resume=True)  # nothing is left to do
    assert _same(again, whole)
    with pytest.raises(ConfigError, match="was started with seed 0, not 1"):
        train_folder(tmp_path / "cut", SegmenterOptions(config=path, members=2, seed=1), resume=True)


def test_a_training_goes_on_from_another_ones_weights(quick, tmp_path):
    path, _ = quick
    first = train_folder(tmp_path / "first", SegmenterOptions(config=path))
    options = SegmenterOptions(config=path, start_from=str(tmp_path / "first"), steps=1, learning_rate=1e-9)
    second = train_folder(tmp_path / "second", options)
    for a, b in zip(jax.tree.leaves(first.members), jax.tree.leaves(second.members), strict=True):
        assert np.allclose(a, b, rtol=2e-3, atol=1e-5)
    card = json.loads((tmp_path / "second" / "segmenter.json").read_text())
    assert card["started from"]["seed"] == 0 and "--start-from FOLDER" in card["command"]
    with pytest.raises(OutputExistsError, match="is or holds the input"):
        train_folder(tmp_path / "first", options, overwrite=True)
    with pytest.raises(OutputExistsError, match="--overwrite"):
        train_folder(tmp_path / "second", options)


def test_the_network_is_that_of_the_start():
    start = Segmenter(SegmenterConfig(widths=(4, 8)), ())
    assert fitting(SegmenterConfig(), start).widths == (4, 8) and fitting(SegmenterConfig(), None) == SegmenterConfig()
    with pytest.raises(ConfigError, match=r"has widths \(4, 8\), the config asks for \(5,\)"):
        fitting(SegmenterConfig(widths=(5,)), start)


def test_configs_that_cannot_be_read_are_one_clear_error(tmp_path):
    path = tmp_path / "c.yaml"
    for text, error, words in (
        ("stepps: 3", ConfigError, "no option 'stepps'"),
        ("validation: {evry: 3}", ConfigError, "no option 'evry'"),
        ("steps: many", ConfigError, "wrong type"),
        ("loss: hinge", ConfigError, "hinge"),
        ("- 3", FormatError, "names and values"),
        ("a: [", FormatError, "not readable as YAML"),
    ):
        path.write_text(text)
        with pytest.raises(error, match=words) as raised:
            read_config(path)
        assert "\n" not in str(raised.value)
    with pytest.raises(MissingFileError, match="no such file"):
        read_config(tmp_path / "nowhere.yaml")


def test_species_that_cannot_be_simulated_need_pairs_alone():
    with pytest.raises(ConfigError, match="only C, Si is simulated; give --pairs"):
        examples.examples(None, SegmenterConfig(species=("Mo", "S")), 0)
    source = SegmenterOptions(pairs="p.npz").pair_source
    with pytest.raises(ConfigError, match="set pairs_fraction: 1"):
        examples.examples(source, SegmenterConfig(species=("Mo", "S")), 0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--members", "0"], "--members must be at least 1"),
        (["--max-seconds", "-1"], "--max-seconds must be positive"),
        (["--pairs", "nowhere.npz"], "nowhere.npz: no such file"),
        (["--images", "nowhere"], "--images needs --masks"),
        (["--start-from", "nowhere"], "nowhere: no segmenter.json"),
        (["--loss", "hinge"], "hinge"),
    ],
)
def test_bad_usage_is_one_line_and_writes_nothing(given, words, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(["train-segmenter", "--out", str(tmp_path / "out"), *given])
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("rvaejax: ")]
    assert end.value.code == 2 and len(lines) == 1 and words in lines[0]
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_fine_tuning_on_a_users_pairs_from_file_to_maps(tmp_path):
    """The shipped weights, a few steps on simulated images given as if they were a user's, and a frame segmented."""
    main(["simulate", "--kind", "images", "--out", str(tmp_path / "p.npz"), "--frames", "5", "--size-px", "160"])
    config = {"validation": {"every": 4, "images": 2, "size_px": 96}, "batch_size": 4}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    given = ["--config", tmp_path / "c.yaml", "--steps", "4", "--learning-rate", "1e-5", "--start-from", "shipped"]
    main([str(a) for a in ["train-segmenter", "--out", tmp_path / "out", "--pairs", tmp_path / "p.npz", *given]])
    rows = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    assert rows[0]["holdout_f1"] > 0.5 and abs(rows[-1]["holdout_f1"] - rows[0]["holdout_f1"]) < 0.05
    assert "holdout_simulated_f1" in rows[-1]
    movie = rx.read_movie(tmp_path / "p.npz")
    maps = rx.segment(movie, segmenter=rx.load_segmenter(tmp_path / "out"))
    assert maps.species == ("C", "Si") and np.isfinite(np.asarray(maps.probabilities[0])).all()


def test_validation_options_reach_the_training_loop():
    config = SegmenterConfig(validation=ValidationConfig(every=7, patience=3), average=0.5, warmup=10, steps=1000)
    loop = config.training
    assert (loop.evaluate_every, loop.patience, loop.average, loop.warmup, loop.scan) == (7, 3, 0.5, 10, False)
