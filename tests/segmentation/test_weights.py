"""The weights that ship: small, plain, whole, and with a card that says where they come from."""

import hashlib
import json
import shutil
from importlib import resources

import jax
import numpy as np
import pytest

from rvaejax.config import from_dict
from rvaejax.errors import FormatError
from rvaejax.segmentation.config import CANONICAL_PX_NM, SegmenterConfig
from rvaejax.segmentation.train import network
from rvaejax.segmentation.weights import SHIPPED, load_segmenter, save_segmenter


@pytest.fixture(scope="module")
def folder():
    with resources.as_file(resources.files("rvaejax.segmentation") / "weights") as path:
        yield path


def test_they_are_small_and_without_pickle(folder):
    assert sum(path.stat().st_size for path in folder.iterdir()) < 5_000_000
    with np.load(folder / f"{SHIPPED}.npz", allow_pickle=False) as arrays:
        assert all(np.isfinite(arrays[name]).all() for name in arrays.files)


def test_the_card_says_where_they_come_from(folder):
    card = json.loads((folder / f"{SHIPPED}.json").read_text())
    assert set(card) >= {"what", "command", "seed", "data", "wall time s", "scores on simulated images", "sha256"}
    assert "train_segmenter.py" in card["command"] and f"--seed {card['seed']}" in card["command"]
    assert card["wall time s"] > 0
    for scores in card["scores on simulated images"].values():
        assert 0.5 < scores["f1"] <= 1 and scores["rmse_pm"] < 50
    assert card["sha256"] == hashlib.sha256((folder / f"{SHIPPED}.npz").read_bytes()).hexdigest()
    assert from_dict(SegmenterConfig, card["config"]).pixel_size_nm == CANONICAL_PX_NM


def test_they_fit_the_network_that_their_config_builds():
    config, params = load_segmenter()
    init, _ = network(config)
    expected = jax.eval_shape(init, jax.random.key(0))
    shapes = jax.tree.map(lambda leaf: leaf.shape, params)
    assert shapes == jax.tree.map(lambda leaf: leaf.shape, expected)


@pytest.mark.parametrize("place", [200, -200])
def test_a_changed_byte_is_noticed(folder, tmp_path, place):
    for suffix in ("npz", "json"):
        shutil.copy(folder / f"{SHIPPED}.{suffix}", tmp_path)
    data = bytearray((tmp_path / f"{SHIPPED}.npz").read_bytes())
    data[place] ^= 1
    (tmp_path / f"{SHIPPED}.npz").write_bytes(data)
    with pytest.raises(FormatError, match="checksum"):
        load_segmenter(tmp_path)


def test_what_is_saved_is_what_is_loaded(tmp_path):
    config = SegmenterConfig(widths=(4, 6), steps=7)
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(network(config)[0], jax.random.key(0))
    params = jax.tree.map(lambda leaf: rng.normal(0, 0.3, leaf.shape), shapes)
    save_segmenter(tmp_path, "mine", config, params, {"seed": 3})
    again, loaded = load_segmenter(tmp_path, "mine")
    assert again == config and json.loads((tmp_path / "mine.json").read_text())["seed"] == 3
    for a, b in zip(jax.tree.leaves(loaded), jax.tree.leaves(params), strict=True):
        assert np.allclose(a, b, rtol=1e-3, atol=1e-7)  # half precision
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.json", "mine.npz"]
