"""The weights that ship: small, plain, whole, and with a card that says where they come from."""

import hashlib
import json
import shutil

import jax
import numpy as np
import pytest

import rvaejax as rx
from rvaejax.config import from_dict
from rvaejax.errors import ConfigError, FormatError, MissingFileError
from rvaejax.segmentation.config import CANONICAL_PX_NM, SegmenterConfig
from rvaejax.segmentation.network import network
from rvaejax.segmentation.record import Segmenter
from rvaejax.segmentation.weights import CARD, load_segmenter, save_segmenter, shipped_folder

SMALL = SegmenterConfig(widths=(4, 6), steps=7)


@pytest.fixture(scope="module")
def folder():
    with shipped_folder() as path:
        yield path


@pytest.fixture(scope="module")
def random_weights():
    """Of the shapes that the small network asks for; a new one each time."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(network(SMALL)[0], jax.random.key(0))
    return lambda: jax.tree.map(lambda leaf: rng.normal(0, 0.3, leaf.shape), shapes)


def test_they_are_small_and_without_pickle(folder):
    assert sum(path.stat().st_size for path in folder.iterdir()) < 5_000_000
    for path in folder.glob("*.npz"):
        with np.load(path, allow_pickle=False) as arrays:
            assert all(np.isfinite(arrays[name]).all() for name in arrays.files)


def test_the_card_says_where_they_come_from(folder):
    card = json.loads((folder / CARD).read_text())
    assert set(card) >= {"what", "command", "seed", "data", "wall time s", "scores on simulated images", "sha256"}
    assert "train" in card["command"] and f"--seed {card['seed']}" in card["command"]
    assert card["wall time s"] > 0 and "/" not in card["command"].replace("experiments/", "")
    for scores in card["scores on simulated images"].values():
        assert 0.5 < scores["f1"] <= 1 and scores["rmse_pm"] < 50
    for name, checksum in card["sha256"].items():
        assert checksum == hashlib.sha256((folder / name).read_bytes()).hexdigest()
    assert from_dict(SegmenterConfig, card["config"]).pixel_size_nm == CANONICAL_PX_NM


def test_they_fit_the_network_that_their_config_builds():
    shipped = rx.load_segmenter()
    expected = jax.eval_shape(network(shipped.config)[0], jax.random.key(0))
    for params in shipped.members:
        shapes = jax.tree.map(lambda leaf: leaf.shape, params)
        assert shapes == jax.tree.map(lambda leaf: leaf.shape, expected)


@pytest.mark.parametrize("place", [200, -200])
def test_a_changed_byte_is_noticed(folder, tmp_path, place):
    for path in folder.iterdir():
        shutil.copy(path, tmp_path)
    data = bytearray((tmp_path / "member_0.npz").read_bytes())
    data[place] ^= 1
    (tmp_path / "member_0.npz").write_bytes(data)
    with pytest.raises(FormatError, match="checksum"):
        load_segmenter(tmp_path)


@pytest.mark.parametrize("members", [1, 3])
def test_what_is_saved_is_what_is_loaded(tmp_path, members, random_weights):
    saved = Segmenter(SMALL, tuple(random_weights() for _ in range(members)))
    save_segmenter(tmp_path, saved, {"seed": 3})
    loaded = load_segmenter(tmp_path)
    assert loaded.config == SMALL and json.loads((tmp_path / CARD).read_text())["seed"] == 3
    assert len(loaded.members) == members
    for a, b in zip(jax.tree.leaves(loaded.members), jax.tree.leaves(saved.members), strict=True):
        assert np.allclose(a, b, rtol=1e-3, atol=1e-7)  # half precision
    save_segmenter(tmp_path, loaded, {})  # and once more changes nothing
    for a, b in zip(jax.tree.leaves(load_segmenter(tmp_path).members), jax.tree.leaves(loaded.members), strict=True):
        assert np.array_equal(a, b)
    assert sorted(path.name for path in tmp_path.iterdir()) == [*(f"member_{k}.npz" for k in range(members)), CARD]


def test_a_card_of_before_has_the_options_that_came_later(tmp_path, random_weights):
    """Options that a card does not have take their defaults; ones that nobody knows are an error."""
    save_segmenter(tmp_path, Segmenter(SMALL, (random_weights(),)), {})
    card = json.loads((tmp_path / CARD).read_text())
    del card["config"]["loss"], card["config"]["validation"]
    (tmp_path / CARD).write_text(json.dumps(card))
    assert load_segmenter(tmp_path).config == SMALL
    card["config"]["depth"] = 3
    (tmp_path / CARD).write_text(json.dumps(card))
    with pytest.raises(ConfigError, match="depth"):
        load_segmenter(tmp_path)


def test_folders_without_a_segmenter_are_one_clear_error(tmp_path, random_weights):
    with pytest.raises(MissingFileError, match="segmenter.json"):
        load_segmenter(tmp_path / "nowhere")
    (tmp_path / CARD).write_text("{}")
    with pytest.raises(FormatError, match="not the card of a segmenter"):
        load_segmenter(tmp_path)
    save_segmenter(tmp_path, Segmenter(SMALL, (random_weights(),)), {})
    (tmp_path / "member_0.npz").unlink()
    with pytest.raises(MissingFileError, match="member_0.npz"):
        load_segmenter(str(tmp_path))
