"""Closed forms against Monte Carlo and quadrature."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.rvae.divergences import (
    kl_categorical,
    kl_normal,
    kl_wrapped_to_uniform,
    log_uniform_bins,
)


def _log_normal(x, mean, sd):
    return -0.5 * ((x - mean) / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi)


@pytest.mark.parametrize(("mean", "sd", "prior_sd"), [(0.3, 0.5, 1.0), (-1.2, 1.7, 1.0), (0.05, 0.02, 0.1)])
def test_kl_normal_is_the_mean_log_ratio(mean, sd, prior_sd):
    x = mean + sd * np.random.default_rng(0).standard_normal(400_000)
    ratio = _log_normal(x, mean, sd) - _log_normal(x, 0.0, prior_sd)
    closed = float(kl_normal(jnp.array(mean), jnp.log(sd), prior_sd))
    assert closed == pytest.approx(ratio.mean(), abs=5 * ratio.std() / np.sqrt(len(x)))


def test_kl_normal_without_its_mean_term_misses_exactly_that():
    mean, log_sd, prior = jnp.array(0.4), jnp.array(-1.0), 0.1
    gap = kl_normal(mean, log_sd, prior) - kl_normal(mean, log_sd, prior, mean_term=False)
    assert float(gap) == pytest.approx(0.4**2 / (2 * 0.1**2), rel=1e-5)


def test_kl_normal_is_zero_at_the_prior_and_positive_elsewhere():
    assert float(kl_normal(jnp.array(0.0), jnp.log(0.1), 0.1)) == pytest.approx(0, abs=1e-6)
    means, log_sds = jnp.meshgrid(jnp.linspace(-2, 2, 21), jnp.linspace(-3, 1, 20))
    assert (kl_normal(means, log_sds) >= -1e-6).all()


@pytest.mark.parametrize("sd", [0.05, 0.3, 0.59, 0.61, 0.9, 1.1, 2.0, 4.0])
def test_kl_of_the_wrapped_normal_to_uniform_matches_quadrature(sd):
    theta = np.linspace(-np.pi, np.pi, 40_001)
    turns = 2 * np.pi * np.arange(-9, 10)
    density = np.exp(_log_normal(theta[:, None] + turns, 0.0, sd)).sum(1)
    expected = np.trapezoid(density * np.log(np.maximum(density, 1e-300) * 2 * np.pi), theta)
    assert float(kl_wrapped_to_uniform(jnp.log(sd))) == pytest.approx(expected, abs=2e-5)


def test_kl_categorical_counts_the_nats_of_a_choice():
    """Choosing one of three orientations out of all costs ln 3 more than leaving all three open."""
    bins = log_uniform_bins(12)
    one = jnp.log(jnp.full(12, 1e-30).at[0].set(1.0))
    three = jnp.log(jnp.full(12, 1e-30).at[jnp.array([0, 4, 8])].set(1 / 3))
    assert float(kl_categorical(one, bins)) == pytest.approx(np.log(12), rel=1e-5)
    assert float(kl_categorical(one, bins) - kl_categorical(three, bins)) == pytest.approx(np.log(3), rel=1e-5)
    assert float(kl_categorical(bins, bins)) == pytest.approx(0, abs=1e-6)


def test_divergences_have_finite_gradients_far_out():
    assert jnp.isfinite(jax.grad(kl_wrapped_to_uniform)(jnp.array(2.5)))
    assert jnp.isfinite(jax.grad(kl_wrapped_to_uniform)(jnp.array(-8.0)))
