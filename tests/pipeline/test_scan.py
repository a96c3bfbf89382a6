"""`rvaejax scan`: all combinations are trained and measured; what cannot be scanned is refused before anything is."""

import csv
import json

import numpy as np
import pytest
import yaml

from rvaejax.cli import main
from rvaejax.errors import ConfigError
from rvaejax.nets.config import MLPEncoder
from rvaejax.pipeline.scan import cut
from rvaejax.pipeline.scan_config import ScanOptions, candidates
from rvaejax.plotting.scan import scan_figure
from rvaejax.rvae import load_model
from rvaejax.rvae.config import RVAEConfig
from rvaejax.types import SubImages

pytestmark = pytest.mark.usefixtures("quick_compilation")


SMALL = """
encoder: {kind: MLPEncoder, hidden: 8, layers: 1}
decoder: {kind: SpatialDecoder, hidden: 8, layers: 1}
training: {batch_size: 8, piece: 2, evaluate_every: 2, holdout: 0.3}
"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Sub-images and a small model's options, in the working folder."""
    monkeypatch.chdir(tmp_path)
    np.savez("good.npz", images=np.random.default_rng(0).random((200, 9, 9)).astype(np.float32))
    (tmp_path / "small.yaml").write_text(SMALL)
    return tmp_path


def test_candidates_are_all_combinations_and_say_what_tells_them_apart():
    options = ScanOptions(
        content_dims=(1, 2), windows=(8, 12), invariances=("none", "rotation+shift"), vary=("decoder.hidden=32,64",)
    )
    made = candidates(options, RVAEConfig())
    assert len(made) == 16 == len({c.name for c in made}) == len({(c.config, c.window) for c in made})
    plain = [c for c in made if c.varied["invariances"] == "none"]
    assert all(not c.config.pose.rotation and c.config.encoder == MLPEncoder() for c in plain)
    turned = [c for c in made if c.varied["invariances"] != "none"]
    assert all(c.config.encoder == RVAEConfig().encoder and c.config.pose.shift for c in turned)
    assert {c.config.decoder.hidden for c in made} == {32, 64} and {c.config.content_dim for c in made} == {1, 2}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"vary": ("decoder.size=3",)}, "there is no such option"),
        ({"vary": ("decodr.hidden=3",)}, "there is no section 'decodr'"),
        ({"vary": ("content_weight",)}, "names no values"),
        ({"vary": ("content_dim=1,2",)}, "content_dim is varied twice"),
        ({"vary": ("content_weight=-1",)}, "at least 0"),
        ({"content_dims": (2, 2)}, "listed twice"),
    ],
)
def test_what_cannot_be_varied_is_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        candidates(ScanOptions(**options), RVAEConfig())


def test_a_window_is_cut_from_the_middle():
    images = np.arange(2 * 7 * 7).reshape(2, 7, 7, 1).astype(np.float32)
    zeros = np.zeros(2)
    record = SubImages(images, zeros.astype(int), zeros, zeros, np.full(2, ""), zeros.astype(int))
    assert (cut(record, 3).images == images[:, 2:5, 2:5]).all() and cut(record, None) is record


def test_a_scan_from_file_to_table_figure_and_models(files, capsys, refused):
    command = "scan good.npz --out out --config small.yaml --content-dims 2 --windows 6 9 --steps 4 --rows 60"
    main(command.split())
    said = capsys.readouterr().out
    rows = json.loads((files / "out" / "scan.json").read_text())["candidates"]
    assert len(rows) == 2 and [r["elbo_per_pixel"] for r in rows] == sorted(r["elbo_per_pixel"] for r in rows)[::-1]
    assert {(r["content_dim"], r["window"]) for r in rows} == {(2, 6), (2, 9)}
    for row in rows:
        assert row["elbo_per_pixel"] == pytest.approx(row["elbo"] / row["window"] ** 2, rel=1e-3)
        assert 0 < row["reconstruction"] < 3 and row["leakage"] < 1 and 0 <= row["content_stability"] <= 1
        model = load_model(files / "out" / "candidates" / row["name"])
        assert model.config.content_dim == row["content_dim"] and model.image_shape == (row["window"],) * 2 + (1,)
        assert max(score.holdout_elbo for score in model.seeds) == pytest.approx(row["elbo"], rel=1e-3)
    with open(files / "out" / "scan.csv", newline="") as handle:
        listed = list(csv.DictReader(handle))
    assert [row["name"] for row in listed] == [row["name"] for row in rows] and rows[0]["name"].startswith(
        "content_dim"
    )
    assert (files / "out" / "figures" / "scan.png").stat().st_size > 10_000
    assert "content_dim" in said and "leakage" in said and "scan.csv" in said
    assert yaml.safe_load((files / "out" / "config.yaml").read_text())["scan"]["content_dims"] == [2]
    before = (files / "out" / "scan.csv").read_bytes()
    main(f"{command} --resume".split())  # nothing is left to do
    assert (files / "out" / "scan.csv").read_bytes() == before
    assert "content_dims" in refused(f"{command} --resume".replace("--content-dims 2", "--content-dims 3"))


def test_candidates_that_had_no_time_are_not_compared_in_silence(files, capsys):
    command = "scan good.npz --config small.yaml --content-dims 2 --rows 60 --seeds 1"
    main(f"{command} --out enough --steps 4".split())
    assert "too little to choose by" not in capsys.readouterr().out
    main(f"{command} --out short --steps 100000 --max-seconds 1".split())
    assert "warning: 1 of 1 candidates had time for less than a quarter of their steps" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--windows 12", ["good.npz", "windows of 12 px cannot be cut", "9 x 9 px"]),
        ("--windows 2", ["good.npz", "too small"]),
        ("--invariances rotated", ["'rotated' is not one of none, rotation, shift, scale"]),
        ("--seeds 0", ["--seeds must be at least 1"]),
        ("--content-dims 0", ["--content-dims must be at least 1"]),
        ("--vary classes.count=2", ["there is no section 'classes'"]),
        ("--preset papr", ["'papr' is not one of"]),
    ],
)
def test_a_scan_that_cannot_be_is_one_line_and_nothing_is_written(arguments, words, files, refused):
    line = refused(f"scan good.npz --out out {arguments}")
    assert all(word in line for word in words), line
    assert not (files / "out").exists()


def test_the_figure_leaves_out_what_was_not_measured():
    row = {"name": "a", "content_dim": 1, "elbo": 3.0, "elbo_spread": None, "reconstruction": 0.2, "leakage": None}
    labels = [axes.get_xlabel() for axes in scan_figure([row, {**row, "name": "b", "elbo": 4.0}]).axes]
    assert len(labels) == 2 and "ELBO" in labels[0] and "reconstruction" in labels[1]
    assert scan_figure([{"name": "a", "elbo": None}]).texts
