"""Posteriors of the angle: unbiased sampling, and what is reported of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.nets.encoders import Circular, Normal
from rvaejax.rvae import latents
from rvaejax.rvae.config import GaussianAngle, MLPEncoder, PolarEncoder, UniformAngle

K = 16
LOGITS = jax.nn.log_softmax(jnp.sin(jnp.arange(K) * 1.3) * 1.5)


def _circular(logits, residual=0.0, log_sd=-8.0):
    return Circular(logits, Normal(jnp.full(K, residual), jnp.full(K, log_sd)))


@pytest.mark.parametrize("draws", [2, 4])
def test_weighted_draws_are_unbiased_in_value_and_gradient(draws):
    """Against the sum over all orientations, and its gradient, which holds the choice's own gradient."""
    family = latents.build(PolarEncoder(orientations=K, harmonics=4), UniformAngle(), draws)
    values = jnp.cos(jnp.arange(K) * 0.9) + 3.0

    def exact(raw):
        return (jax.nn.softmax(raw) * values).sum()

    def estimate(raw, key):
        d = family.draw(_circular(jax.nn.log_softmax(raw), log_sd=-20.0), key=key)
        bins = jnp.round(d.angle / (2 * jnp.pi / K)).astype(int) % K
        return (d.weight * values[bins]).sum()

    keys = jax.random.split(jax.random.key(0), 40_000)
    value, grad = jax.jit(jax.vmap(jax.value_and_grad(estimate), in_axes=(None, 0)))(LOGITS, keys)
    error = np.asarray(grad.std(0)) / np.sqrt(len(keys))
    assert float(value.mean()) == pytest.approx(float(exact(LOGITS)), abs=5 * float(value.std()) / 200)
    assert np.all(np.abs(np.asarray(grad.mean(0) - jax.grad(exact)(LOGITS))) < 5 * error + 1e-6)


def test_draws_of_one_orientation_have_no_variance():
    family = latents.build(PolarEncoder(orientations=K, harmonics=4), UniformAngle(), 2)
    sure = jax.nn.log_softmax(jnp.zeros(K).at[5].set(60.0))
    d = family.draw(_circular(sure, log_sd=-20.0), key=jax.random.key(0))
    assert np.allclose(d.weight, [1, 0], atol=1e-6)
    assert float(d.angle[0]) == pytest.approx(2 * np.pi * 5 / K, rel=1e-5)


def test_circular_kl_adds_the_choice_and_the_residual():
    family = latents.build(PolarEncoder(orientations=K, harmonics=4), UniformAngle(), 2)
    assert float(family.kl(_circular(jnp.full(K, -np.log(K)), 0.0, 0.0))) == pytest.approx(0, abs=1e-5)
    assert float(family.kl(_circular(jnp.full(K, -np.log(K)), 2.0, 0.0))) == pytest.approx(2.0, rel=1e-5)


def test_circular_posterior_pays_for_angles_away_from_a_gaussian_prior():
    family = latents.build(PolarEncoder(orientations=K, harmonics=4), GaussianAngle(sd=0.3), 2)
    at = [float(family.kl(_circular(jax.nn.log_softmax(jnp.zeros(K).at[i].set(60.0))))) for i in (0, 1, 3, 15)]
    assert at[0] < at[1] < at[2]
    assert at[1] == pytest.approx(at[3], rel=1e-4)


def test_gaussian_family_is_the_papers():
    family = latents.build(MLPEncoder(), GaussianAngle(sd=0.1), 2)
    q = Normal(jnp.array([0.2]), jnp.log(jnp.array([0.05])))
    assert float(family.kl(q)) == pytest.approx(0.5 * (0.25 + 4) - 0.5 - np.log(0.5), rel=1e-5)
    draws = jax.vmap(lambda k: family.draw(q, key=k))(jax.random.split(jax.random.key(0), 20_000))
    assert draws.angle.shape == (20_000, 1) and (draws.weight == 1).all()
    assert float(draws.angle.std()) == pytest.approx(0.05, rel=0.03)
    summary = family.summary(Normal(jnp.array([3 * np.pi + 0.1]), jnp.log(jnp.array([0.05]))))
    assert float(summary.angle) == pytest.approx(-np.pi + 0.1, abs=1e-5)


@pytest.mark.parametrize("start", range(0, K, 5))
def test_summary_turns_with_the_orientation_across_the_wrap(start):
    """Two neighbouring orientations with equal weight: the angle lies between them, its sd is half a step."""
    family = latents.build(PolarEncoder(orientations=K, harmonics=4), UniformAngle(), 2)
    logits = jax.nn.log_softmax(jnp.full(K, -60.0).at[jnp.array([start, (start + 1) % K])].set(0.0))
    summary = family.summary(_circular(logits))
    step = 2 * np.pi / K
    assert np.exp(1j * float(summary.angle)) == pytest.approx(np.exp(1j * step * (start + 0.5)), abs=1e-5)
    assert float(summary.sd) == pytest.approx(step / 2, rel=1e-3)
    assert -np.pi < float(summary.angle) <= np.pi


def test_wrap_keeps_pi_and_not_minus_pi():
    angles = np.array([np.pi, -np.pi, 3.5, -3.5, 0.0])
    wrapped = np.asarray(latents.wrap(jnp.asarray(angles)))
    assert np.allclose(np.exp(1j * wrapped), np.exp(1j * angles))
    assert (wrapped > -np.pi).all() and (wrapped <= np.pi).all()
