"""Densities integrate to one, agree with their textbook forms, and keep their gradients where these divide by zero."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

from rvaejax.errors import ConfigError
from rvaejax.rvae.config import Bernoulli, ContinuousBernoulli, FixedGaussian, LearnedGaussian, UnitGaussian
from rvaejax.rvae.likelihoods import build, log_continuous_bernoulli, mean_continuous_bernoulli

LOG_ODDS = [-30.0, -4.0, -1.5, -1.3, -0.3, -1e-3, -1e-6, 0.0, 1e-6, 1e-3, 0.3, 1.3, 1.5, 4.0, 30.0]


def _fixed(config, drawn):
    """x -> the density at x, as a plain float."""
    fns = build(config)
    params = fns.init()
    log_prob = jax.jit(lambda x: fns.log_prob(params, x, jnp.float32(drawn)))
    return lambda x: float(np.exp(np.float64(log_prob(jnp.float32(x)))))


@pytest.mark.parametrize("log_odds", [-30.0, -1.3, 0.0, 1e-4, 4.0])
def test_the_continuous_bernoulli_integrates_to_one_over_the_unit_interval(log_odds):
    total, _ = quad(_fixed(ContinuousBernoulli(), log_odds), 0, 1, epsabs=1e-5)
    assert total == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("config", [FixedGaussian(0.3), LearnedGaussian(initial=0.3)])
def test_gaussians_integrate_to_one(config):
    assert quad(_fixed(config, 0.4), -3, 4, points=[0.4], epsabs=1e-5)[0] == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("log_odds", LOG_ODDS)
def test_the_continuous_bernoulli_is_the_published_one(log_odds):
    """log C(l) + x log l + (1 - x) log(1 - l), C = 2 atanh(1 - 2 l) / (1 - 2 l), and its mean, in double precision."""
    x = np.linspace(0, 1, 5)
    p = 1 / (1 + np.exp(-np.float64(log_odds)))
    away = 1 - 2 * p
    constant = 2.0 if abs(away) < 1e-5 else -log_odds / away  # 2 atanh(1 - 2 l) is minus the log-odds
    expected = (
        np.log(constant)
        + -x * np.log1p(np.exp(-np.float64(log_odds)))
        - (1 - x) * np.log1p(np.exp(np.float64(log_odds)))
    )
    got = log_continuous_bernoulli(jnp.asarray(x, jnp.float32), jnp.float32(log_odds))
    assert np.allclose(got, expected, rtol=1e-5, atol=2e-6)
    mean = 0.5 if abs(away) < 1e-5 else p / (2 * p - 1) - 1 / log_odds
    assert float(mean_continuous_bernoulli(jnp.float32(log_odds))) == pytest.approx(mean, abs=3e-6)


def test_the_score_of_the_continuous_bernoulli_is_x_minus_its_mean():
    """True of every exponential family; across the place where the series takes over, and finite at the extremes."""
    log_odds = jnp.asarray([*LOG_ODDS, -1e4, 1e4, -1e30, 1e30, *np.linspace(-1.5, 1.5, 61)], jnp.float32)
    for x in (0.0, 0.3, 1.0):
        score = jax.vmap(jax.grad(log_continuous_bernoulli, argnums=1), in_axes=(None, 0))(jnp.float32(x), log_odds)
        assert np.allclose(score, x - np.asarray(mean_continuous_bernoulli(log_odds)), atol=5e-6)
    curvature = jax.vmap(jax.grad(jax.grad(mean_continuous_bernoulli)))(log_odds)
    assert np.isfinite(curvature).all()


def test_the_bernoulli_is_minus_the_cross_entropy_of_probabilities():
    fns = build(Bernoulli())
    x, log_odds = jnp.asarray([0.0, 1.0, 0.25, -0.1, 1.2]), jnp.asarray([0.7, 0.7, -1.0, 0.7, 0.7])
    p, seen = 1 / (1 + np.exp(-np.asarray(log_odds, np.float64))), np.clip(np.asarray(x), 0, 1)
    assert np.allclose(fns.log_prob({}, x, log_odds), seen * np.log(p) + (1 - seen) * np.log(1 - p), atol=1e-6)
    assert np.allclose(fns.mean(log_odds), p, atol=1e-6)
    grad = jax.vmap(jax.grad(lambda drawn: fns.log_prob({}, jnp.float32(0.3), drawn)))
    assert np.isfinite(grad(jnp.asarray([-1e30, -1e4, 0.0, 1e4, 1e30]))).all()


@pytest.mark.parametrize("config", [UnitGaussian(), FixedGaussian(), LearnedGaussian()])
def test_what_a_gaussian_draws_is_its_mean(config):
    drawn = jnp.asarray([-0.5, 0.2, 3.0])
    assert (build(config).mean(drawn) == drawn).all()


def test_a_fixed_gaussian_of_unit_variance_is_the_papers_and_its_constant():
    x, drawn = jnp.linspace(-1, 2, 7), jnp.float32(0.3)
    unit, fixed = (build(c).log_prob({}, x, drawn) for c in (UnitGaussian(), FixedGaussian(1.0)))
    assert np.allclose(unit - fixed, 0.5 * np.log(2 * np.pi), atol=1e-6)


def test_a_standard_deviation_must_be_positive():
    with pytest.raises(ConfigError, match=r"sd=0\.0"):
        FixedGaussian(0.0)
