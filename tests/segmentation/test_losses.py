"""The losses against closed forms, and their gradients where logits are saturated."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.segmentation.losses import build, cross_entropy, dice, focal

ONES = jnp.ones(3)
WEIGHTS = jnp.array([0.5, 1.0, 3.0])
KEY = jax.random.key(0)
LABELS = jax.nn.softmax(jax.random.normal(KEY, (5, 6, 3)))
CLASSES = jax.nn.one_hot(jax.random.randint(jax.random.key(1), (5, 6), 0, 3), 3)
LOGITS = 3 * jax.random.normal(jax.random.key(2), (5, 6, 3))


def test_cross_entropy_is_least_at_the_labels():
    """Where the labels are probabilities, the best prediction is those probabilities: their entropy is the floor."""
    floor = -(LABELS * jnp.log(LABELS)).sum(-1).mean()
    assert float(cross_entropy(jnp.log(LABELS), LABELS, ONES)) == pytest.approx(float(floor), rel=1e-5)
    assert float(cross_entropy(jnp.log(LABELS) * 1.3, LABELS, ONES)) > float(floor)
    slope = jax.grad(cross_entropy)(jnp.log(LABELS), LABELS, ONES)
    assert float(jnp.abs(slope).max()) < 1e-7


def test_cross_entropy_of_an_ignorant_network():
    assert float(cross_entropy(jnp.zeros((4, 4, 3)), CLASSES[:4, :4], ONES)) == pytest.approx(np.log(3), rel=1e-6)


def test_a_class_weighs_what_it_is_given():
    one_class = jnp.zeros((4, 4, 3)).at[..., 2].set(1.0)
    assert float(cross_entropy(LOGITS[:4, :4], one_class, WEIGHTS)) == pytest.approx(
        3 * float(cross_entropy(LOGITS[:4, :4], one_class, ONES)), rel=1e-5
    )


def test_focal_without_focus_is_cross_entropy():
    for labels in (LABELS, CLASSES):
        assert float(focal(LOGITS, labels, WEIGHTS, 0)) == float(cross_entropy(LOGITS, labels, WEIGHTS))


@pytest.mark.parametrize("gamma", [1.0, 2.0, 3.5])
def test_focal_of_one_pixel_is_as_published(gamma):
    """-(1 - q)^gamma log q for a pixel of a known class."""
    q = 0.3
    logits = jnp.log(jnp.array([[[q, 1 - q - 0.1, 0.1]]]))
    label = jnp.array([[[1.0, 0.0, 0.0]]])
    assert float(focal(logits, label, ONES, gamma)) == pytest.approx(-((1 - q) ** gamma) * np.log(q), rel=1e-5)


def test_focal_vanishes_at_the_labels_and_nowhere_else():
    assert float(focal(jnp.log(LABELS), LABELS, ONES, 2.0)) < 1e-12 < float(focal(LOGITS, LABELS, ONES, 2.0))


def test_dice_of_equal_masks_is_zero_and_of_opposite_ones_nearly_one():
    assert float(dice(jnp.log(LABELS), LABELS, ONES)) == pytest.approx(0, abs=1e-6)
    assert float(dice(40 * CLASSES, CLASSES, WEIGHTS)) == pytest.approx(0, abs=1e-6)
    many = jnp.tile(CLASSES, (20, 20, 1))
    assert float(dice(40 * jnp.roll(many, 1, -1), many, ONES)) > 0.99


def test_dice_of_half_a_mask():
    """Two classes; the second is there in n pixels, and predicted in n / 2 of them: 2 (n / 2) / (n + n / 2) = 2 / 3."""
    n = 3000
    label = jax.nn.one_hot((jnp.arange(2 * n) < n).astype(jnp.int32), 2)[None]
    guess = 40 * jax.nn.one_hot((jnp.arange(2 * n) < n // 2).astype(jnp.int32), 2)[None]
    assert float(dice(guess, label, jnp.array([0.0, 1.0]))) == pytest.approx(1 / 3, abs=1e-3)


@pytest.mark.parametrize("name", ["cross-entropy", "focal", "dice"])
def test_gradients_are_finite_where_logits_are_saturated(name):
    loss = build(name, (1.0, 2.0, 1.0), 2.0)
    for labels in (LABELS, CLASSES):
        for logits in (200 * CLASSES, -200 * CLASSES, jnp.zeros_like(CLASSES)):
            value, slope = jax.value_and_grad(loss)(logits, labels)
            assert np.isfinite(value) and np.isfinite(slope).all()


@pytest.mark.parametrize("name", ["cross-entropy", "focal", "dice"])
def test_going_downhill_leads_to_the_labels(name):
    loss = build(name, (1.0, 1.0, 1.0), 2.0)

    def step(logits, _):
        return logits - 5.0 * jax.grad(loss)(logits, CLASSES), None

    found = jax.lax.scan(step, jnp.zeros_like(CLASSES), None, length=200)[0]
    assert np.array_equal(found.argmax(-1), CLASSES.argmax(-1))
