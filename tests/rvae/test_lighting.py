"""The light of an image is the optimum of its penalised fit, and leaves to the content what is not light."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from rvaejax.errors import ConfigError
from rvaejax.rvae.config import LearnedGaussian, Lighting
from rvaejax.rvae.coordinates import grid
from rvaejax.rvae.lighting import matched
from rvaejax.rvae.likelihoods import build

SIZE, LIGHT = 9, Lighting(gain=0.2, offset=0.1, slope=0.05)


def _scene(seed, channels=2):
    rng = np.random.default_rng(seed)
    drawn = rng.random((SIZE * SIZE, channels)).astype(np.float32)
    points = np.asarray(grid(SIZE))
    x = drawn * [1.3, 0.8] + [0.1, -0.05] + points @ [[0.05, 0.0], [0.0, -0.1]] + rng.normal(0, 0.1, drawn.shape)
    return jnp.asarray(x, jnp.float32), jnp.asarray(drawn), jnp.asarray(points)


def test_the_fit_is_the_minimum_that_a_general_optimiser_finds():
    x, drawn, points = _scene(0)
    variance = 0.02
    light = jax.jit(lambda: matched(LIGHT, x, drawn, points, variance))()
    ours = float(((x - light.drawn) ** 2).sum() / (2 * variance) + light.penalty)
    sds = np.array([LIGHT.gain, LIGHT.offset, LIGHT.slope, LIGHT.slope])

    def cost(t, channel):
        v = t * sds
        mu = np.asarray(drawn)[:, channel]
        expected = mu * (1 + v[0]) + v[1] + np.asarray(points) @ v[2:]
        return ((np.asarray(x)[:, channel] - expected) ** 2).sum() / (2 * variance) + 0.5 * (t**2).sum()

    best = sum(minimize(cost, np.zeros(4), args=(channel,), tol=1e-10).fun for channel in range(2))
    assert ours == pytest.approx(best, rel=1e-4)


def test_the_derivative_is_that_of_the_whole_minimum():
    """No derivative is taken through the fitted light, because it vanishes: finite differences do not tell."""
    x, drawn, points = _scene(1)

    def value(drawn, variance):
        light = matched(LIGHT, x, drawn, points, variance)
        return ((x - light.drawn) ** 2).sum() / (2 * variance) + light.penalty

    value, step = jax.jit(value), 1e-2
    direction = jnp.asarray(np.random.default_rng(2).normal(size=drawn.shape), jnp.float32)
    slope = float((jax.jit(jax.grad(value))(drawn, 0.5) * direction).sum())
    difference = float(value(drawn + step * direction, 0.5) - value(drawn - step * direction, 0.5)) / (2 * step)
    assert slope == pytest.approx(difference, rel=2e-3)


def test_a_missing_atom_is_not_explained_by_light_and_a_dimmer_image_is():
    points = grid(SIZE)
    spots = jnp.asarray([[-0.5, 0.0], [0.5, 0.0], [0.0, 0.6]])
    atoms = jnp.exp(-0.5 * ((points[:, None] - spots[None]) ** 2).sum(-1) / 0.15**2)
    fns = build(LearnedGaussian(initial=0.05, lighting=LIGHT))
    params, drawn = fns.init(), atoms.sum(1)[:, None]

    @jax.jit
    def loss(x):
        light = fns.match(params, x, drawn, points, 1.0)
        return light.penalty - fns.log_prob(params, x, light.drawn).sum() + fns.log_prob(params, drawn, drawn).sum()

    assert float(loss(0.85 * drawn + 0.05)) < 2
    assert float(loss(drawn - atoms[:, :1])) > 20


def test_a_negative_standard_deviation_is_refused():
    with pytest.raises(ConfigError, match="gain=-1"):
        Lighting(gain=-1.0)
