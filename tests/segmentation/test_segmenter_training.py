"""Training of the segmenter: its loop on images that cost nothing, and one batch of the real ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.errors import ConfigError
from rvaejax.segmentation import train
from rvaejax.segmentation.config import SegmenterConfig, ValidationConfig
from rvaejax.segmentation.network import network
from rvaejax.segmentation.train import Batch, cut_short, jittered, score, train_segmenter, training_batch
from rvaejax.simulate.config import ImagingConfig, SheetConfig

CONFIG = SegmenterConfig(
    widths=(4, 6), steps=3, batch_size=2, average=0.5,
    sheet=SheetConfig(field_nm=0.96, max_holes=1, max_bond_rotations=1, relaxation_steps=2),
    imaging=ImagingConfig(size_px=48),
)  # fmt: skip


def _plain_batch(config, pairs, *, key):
    """Squares: background, C, Si by brightness."""
    level = jax.random.randint(key, (config.batch_size, 2, 2), 0, 3)
    classes = jnp.repeat(jnp.repeat(level, 8, 1), 8, 2)
    return Batch(classes[..., None].astype(jnp.float32), jax.nn.one_hot(classes, 3))


@pytest.mark.parametrize("loss", ["cross-entropy", "focal", "dice"])
def test_it_learns_with_every_loss(monkeypatch, loss):
    monkeypatch.setattr(train, "training_batch", _plain_batch)
    monkeypatch.setattr(train, "VALIDATION_IMAGES", 8)
    config = SegmenterConfig(
        widths=(6,), steps=60, batch_size=2, learning_rate=2e-2, warmup=5, average=0.9, loss=loss,
        validation=ValidationConfig(every=20),
    )  # fmt: skip
    result = train_segmenter(config, seed=0)
    held_out = [r.metrics["holdout_loss"] for r in result.history if "holdout_loss" in r.metrics]
    assert [r.step for r in result.history] == [0, 10, 20, 30, 40, 50, 60] and len(held_out) == 4
    assert held_out[-1] < 0.7 * held_out[0] and result.best.step == 60


def test_the_same_seed_gives_the_same_weights_and_a_start_is_left_alone(monkeypatch):
    monkeypatch.setattr(train, "training_batch", _plain_batch)
    monkeypatch.setattr(train, "VALIDATION_IMAGES", 2)
    config = SegmenterConfig(widths=(5,), steps=12, batch_size=2, learning_rate=2e-2, warmup=1, average=0.9)
    start = jax.jit(network(config)[0])(jax.random.key(7))
    first, second = (train_segmenter(config, seed=0, start=start) for _ in range(2))
    other = train_segmenter(config, seed=1, start=start)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(start))  # still the caller's own
    leaves = [jax.tree.leaves(r.state.params) for r in (first, second, other)]
    assert all(np.array_equal(a, b) for a, b in zip(*leaves[:2], strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(leaves[0], leaves[2], strict=True))


@pytest.mark.slow
def test_it_trains_on_simulated_images():
    result = train_segmenter(CONFIG, seed=0, evaluate=lambda params: {"f1": 0.5, "rmse_pm": float("nan")})
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result.best.params))
    assert result.history[-1].metrics["holdout_f1"] == 0.5


def test_a_batch_is_what_the_network_takes():
    shapes = jax.eval_shape(lambda key: training_batch(CONFIG, None, key=key), jax.random.key(0))
    assert shapes.images.shape == (2, 48, 48, 1) and shapes.labels.shape == (2, 48, 48, 3)


def test_jitter_changes_scale_and_level_of_each_image_but_no_label():
    images = jax.random.normal(jax.random.key(0), (3, 8, 8, 1))
    batch = jittered(Batch(images, images), 0.3, key=jax.random.key(1))
    assert np.array_equal(batch.labels, images)
    slopes = []
    for before, after in zip(np.asarray(images).reshape(3, -1), np.asarray(batch.images).reshape(3, -1), strict=True):
        slope, level = np.polyfit(before, after, 1)
        assert np.allclose(after, slope * before + level, atol=1e-5)
        slopes.append(slope)
    assert np.ptp(slopes) > 0.05


@pytest.mark.parametrize(
    ("monitor", "better", "worse"),
    [
        ("f1", {"f1": 0.99, "rmse_pm": 5.0, "loss": 2.0}, {"f1": 0.99, "rmse_pm": 6.0, "loss": 1.0}),
        ("f1", {"f1": 0.99, "rmse_pm": 9.0, "loss": 2.0}, {"f1": 0.98, "rmse_pm": 5.0, "loss": 1.0}),
        ("f1", {"f1": 0.1, "rmse_pm": 9.0, "loss": 2.0}, {"f1": 0.0, "rmse_pm": float("nan"), "loss": 1.0}),
        ("loss", {"f1": 0.98, "rmse_pm": 9.0, "loss": 1.0}, {"f1": 0.99, "rmse_pm": 5.0, "loss": 2.0}),
    ],
)
def test_what_counts_as_better(monitor, better, worse):
    of = score(SegmenterConfig(validation=ValidationConfig(monitor=monitor)))
    assert of(better) > of(worse)


def test_what_is_predicted_does_not_depend_on_the_batch():
    init, apply = network(CONFIG)
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: rng.normal(0, 0.3, leaf.shape).astype(np.float32), shapes)
    images = jax.random.normal(jax.random.key(1), (3, 16, 16, 1))
    assert np.allclose(jax.jit(apply)(params, images)[1], jax.jit(apply)(params, images[1:2])[0], atol=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"batch_size": 0},
        {"widths": ()},
        {"pixel_size_nm": 0.03},
        {"loss": "hinge"},
        {"class_weights": (1.0, 2.0)},
        {"class_weights": (1.0, -2.0, 1.0)},
        {"focal_gamma": 0.5},
        {"pairs_fraction": 0.0},
        {"species": ("C", "C")},
    ],
)
def test_configs_that_make_no_sense_are_refused(wrong, untyped):
    with pytest.raises(ConfigError):
        SegmenterConfig(**wrong)


@pytest.mark.parametrize("wrong", [{"images": 0}, {"monitor": "f2"}, {"counts": (0.0, 1.0)}, {"pairs_holdout": 1.0}])
def test_validations_that_make_no_sense_are_refused(wrong, untyped):
    with pytest.raises(ConfigError):
        ValidationConfig(**wrong)


def test_images_that_end_before_their_array_does_are_background_there():
    labels = jnp.full((40, 32, 48, 3), 1 / 3)
    cut = cut_short(Batch(jnp.ones((40, 32, 48, 1)), labels), 16, key=jax.random.key(0))
    shown = np.asarray(cut.images[..., 0])
    rows, columns = shown.max(2).sum(1), shown.max(1).sum(1)
    assert rows.min() > 32 - 16 and columns.min() > 48 - 16
    whole = (rows == 32) & (columns == 48)
    assert 0.3 < whole.mean() < 0.7 and len(np.unique(rows)) > 8
    for image, label, h, w in zip(shown, np.asarray(cut.labels), rows.astype(int), columns.astype(int), strict=True):
        assert image[:h, :w].min() == 1 and image.sum() == h * w
        assert (label[h:] == [1, 0, 0]).all() and (label[:, w:] == [1, 0, 0]).all()
        assert (label[:h, :w] == np.float32(1 / 3)).all()
