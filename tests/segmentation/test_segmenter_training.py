"""Training of the segmenter: its loop on images that cost nothing, and one batch of the real ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.errors import ConfigError
from rvaejax.segmentation import train
from rvaejax.segmentation.config import SegmenterConfig
from rvaejax.segmentation.train import Batch, cross_entropy, network, optimizer, train_segmenter, training_batch
from rvaejax.simulate.config import ImagingConfig, SheetConfig

CONFIG = SegmenterConfig(
    widths=(4, 6), steps=3, batch_size=2, average=0.5,
    sheet=SheetConfig(field_nm=0.96, max_holes=1, max_bond_rotations=1, relaxation_steps=2),
    imaging=ImagingConfig(size_px=48),
)  # fmt: skip


def _plain_batch(config, *, key):
    """Squares: background, C, Si by brightness."""
    level = jax.random.randint(key, (config.batch_size, 2, 2), 0, 3)
    classes = jnp.repeat(jnp.repeat(level, 8, 1), 8, 2)
    return Batch(classes[..., None].astype(jnp.float32), jax.nn.one_hot(classes, 3))


def test_it_learns_and_the_same_seed_gives_the_same_weights(monkeypatch):
    monkeypatch.setattr(train, "training_batch", _plain_batch)
    config = SegmenterConfig(widths=(6,), steps=45, batch_size=2, learning_rate=2e-2, average=0.9)
    seen = []
    first = train_segmenter(config, seed=0, log=lambda metrics, _: seen.append(metrics), log_every=20)
    weights = network(config)[0](jax.random.fold_in(jax.random.key(0), 0))
    again = train_segmenter(config, seed=0, start=weights)  # what it starts from where nothing is given
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(weights))  # still the caller's own
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(again), strict=True))
    assert [metrics["step"] for metrics in seen] == [20, 40, 45]
    # it starts near ln 3, the cross-entropy of an ignorant network
    assert seen[0]["loss"] < 1.5 * np.log(3) and seen[2]["loss"] < 0.8 * seen[0]["loss"]


@pytest.mark.slow
def test_it_trains_on_simulated_images():
    params = train_segmenter(CONFIG, seed=0)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))


def test_a_batch_is_what_the_network_takes():
    shapes = jax.eval_shape(lambda key: training_batch(CONFIG, key=key), jax.random.key(0))
    assert shapes.images.shape == (2, 48, 48, 1) and shapes.labels.shape == (2, 48, 48, 3)


def test_cross_entropy_is_least_at_the_labels():
    """Where the labels are probabilities, the best prediction is those probabilities: their entropy is the floor."""
    labels = jax.nn.softmax(jax.random.normal(jax.random.key(0), (5, 5, 3)))
    floor = -(labels * jnp.log(labels)).sum(-1).mean()
    assert float(cross_entropy(jnp.log(labels), labels)) == pytest.approx(float(floor), rel=1e-5)
    assert float(cross_entropy(jnp.log(labels) * 1.3, labels)) > float(floor)
    slope = jax.grad(cross_entropy)(jnp.log(labels), labels)
    assert float(jnp.abs(slope).max()) < 1e-7


def test_the_learning_rate_warms_up_and_decays():
    config = SegmenterConfig(steps=400, learning_rate=1e-3)
    tx = optimizer(config)

    def step(state, _):
        updates, state = tx.update(jnp.ones(1), state)
        return state, -updates[0]

    moved = jax.lax.scan(step, tx.init(jnp.zeros(1)), None, length=400)[1].tolist()
    assert moved[0] == pytest.approx(1e-4, rel=0.1) and max(moved) == pytest.approx(1e-3, rel=0.02)
    assert moved[-1] < 2e-5


def test_what_is_predicted_does_not_depend_on_the_batch():
    init, apply = network(CONFIG)
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: rng.normal(0, 0.3, leaf.shape).astype(np.float32), shapes)
    images = jax.random.normal(jax.random.key(1), (3, 16, 16, 1))
    assert np.allclose(jax.jit(apply)(params, images)[1], jax.jit(apply)(params, images[1:2])[0], atol=1e-5)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"batch_size": 0}, {"widths": ()}, {"pixel_size_nm": 0.03}])
def test_configs_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ConfigError):
        SegmenterConfig(**wrong)
