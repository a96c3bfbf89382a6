"""The polar encoder's promises, which hold for any weights: exact turns of the angle, invariance of the content."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.nets import encoders
from rvaejax.nets.config import ConvEncoder, MLPEncoder, PolarEncoder
from rvaejax.nets.polar import polar_features, polar_points, polar_taps
from rvaejax.rvae import latents
from rvaejax.rvae.config import UniformAngle

CONFIG = PolarEncoder(orientations=32, hidden=16, harmonics=8)
SIZE, CHANNELS = 13, 2


@pytest.fixture(scope="module")
def encode():
    net = encoders.build(CONFIG, (SIZE, SIZE, CHANNELS), encoders.Dims(3))
    params = jax.jit(lambda key: net.init(key=key))(jax.random.key(0))
    family = latents.build(CONFIG, UniformAngle(), 2)

    @jax.jit
    def apply(images):
        q = net.apply(params, images)
        return q, jax.vmap(family.summary)(q.angle)

    return apply


@pytest.fixture(scope="module")
def images():
    return jax.random.uniform(jax.random.key(1), (5, SIZE, SIZE, CHANNELS))


def _turned(angle, by):
    return np.exp(1j * (np.asarray(angle) + by))


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarter_turns_move_the_angle_and_the_shift_and_leave_the_content(encode, images, quarters):
    q, angle = encode(images)
    q_turned, angle_turned = encode(jnp.rot90(images, quarters, axes=(1, 2)))
    assert np.allclose(_turned(angle_turned.angle, 0), _turned(angle.angle, quarters * np.pi / 2), atol=1e-4)
    assert np.allclose(angle_turned.sd, angle.sd, rtol=1e-4)
    for before, after in zip(jax.tree.leaves(q.content), jax.tree.leaves(q_turned.content), strict=True):
        assert np.allclose(before, after, atol=1e-5)
    shift, turned = np.asarray(q.shift.mean), np.asarray(q_turned.shift.mean)
    for _ in range(quarters):
        shift = np.stack([shift[:, 1], -shift[:, 0]], axis=1)  # (x, y) -> (y, -x): counter-clockwise with y down
    assert np.allclose(shift, turned, atol=1e-5) and np.abs(shift).max() > 1e-3
    assert np.allclose(q.shift.log_sd, q_turned.shift.log_sd, atol=1e-5)


@pytest.mark.parametrize("by", [1, 5, 16])
def test_rolling_the_polar_grid_rolls_the_scores_and_nothing_else(by):
    module = encoders._Polar(CONFIG, encoders.Dims(3))
    x = jax.random.uniform(jax.random.key(2), (4, 32, 7))
    params = jax.jit(module.init)(jax.random.key(3), x)
    q, rolled = module.apply(params, x), module.apply(params, jnp.roll(x, by, axis=1))
    assert np.allclose(jnp.roll(q.angle.logits, by, axis=1), rolled.angle.logits, atol=1e-5)
    assert np.allclose(jnp.roll(q.angle.residual.mean, by, axis=1), rolled.angle.residual.mean, atol=1e-5)
    assert np.allclose(q.content.mean, rolled.content.mean, atol=1e-5)
    turn = np.exp(1j * 2 * np.pi * by / 32)  # y down: counter-clockwise is a positive turn of x - i y
    before, after = (np.asarray(v.shift.mean) @ [1, -1j] for v in (q, rolled))
    assert np.allclose(before * turn, after, atol=1e-5)


def test_images_that_differ_by_a_mirror_get_different_content(encode, images):
    """Invariance is to rotations only."""
    mirrored = encode(images[:, :, ::-1])[0].content.mean
    assert np.abs(np.asarray(mirrored - encode(images)[0].content.mean)).max() > 1e-3


def test_polar_samples_of_a_linear_ramp_are_exact():
    """Bilinear interpolation reproduces x and y themselves, and stays inside the window."""
    points = polar_points(SIZE, 32, None)
    taps, weights = polar_taps(points, (SIZE, SIZE))
    line = np.arange(SIZE) - (SIZE - 1) / 2
    x, y = np.meshgrid(line, line)
    ramp = jnp.asarray(np.stack([x, y], axis=-1)[None], jnp.float32)
    samples = np.asarray(polar_features(ramp, taps, weights, 32)).reshape(32, -1, 2)
    assert np.allclose(samples, points, atol=1e-5)
    radius = np.hypot(points[..., 0], points[..., 1])
    assert np.allclose(radius, radius[0]) and radius.max() == pytest.approx((SIZE - 1) / 2)
    assert (weights >= 0).all() and np.allclose(weights.sum(1), 1)


@pytest.mark.parametrize("size", [4, 12, 13])
@pytest.mark.parametrize("config", [MLPEncoder(hidden=8), ConvEncoder(filters=(4, 4), hidden=8)])
def test_gaussian_encoders_split_angle_shift_and_content(config, size):
    net = encoders.build(config, (size, size, 2), encoders.Dims(5))
    params = jax.jit(lambda key: net.init(key=key))(jax.random.key(0))
    q = net.apply(params, jnp.ones((3, size, size, 2)))
    assert q.scale is None and q.classes is None
    assert [v.mean.shape for v in q[:3]] == [(3, 1), (3, 2), (3, 5)]
    assert jax.tree.all(jax.tree.map(lambda v: bool(jnp.isfinite(v).all()), q))


def test_images_given_at_the_start_set_the_scale_of_the_content(images):
    """Windows that differ by little differ in content all the same, about as much as its prior is wide."""
    net = encoders.build(replace(CONFIG, standardise=True), (SIZE, SIZE, CHANNELS), encoders.Dims(3))
    similar = images[:1] + 0.02 * jax.random.normal(jax.random.key(4), (64, SIZE, SIZE, CHANNELS))

    def spread(params):
        return np.asarray(jax.jit(net.apply)(params, similar).content.mean).std(0)

    blind = jax.jit(lambda key: net.init(key=key))(jax.random.key(0))
    seeing = jax.jit(lambda key: net.init(key=key, images=similar))(jax.random.key(0))
    assert spread(blind).max() < spread(seeing).min()
    assert spread(seeing).min() > 0.15 and spread(seeing).max() < 3
