"""Priors of the angle: densities, samples, and divergences against brute force and Monte Carlo."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import vonmises

from rvaejax.nets.encoders import Circular, Normal
from rvaejax.rvae import latents
from rvaejax.rvae.config import (
    GaussianAngle,
    HierarchicalAngle,
    LearnedAngle,
    MLPEncoder,
    PolarEncoder,
    UniformAngle,
    VonMisesAngle,
    VonMisesMixtureAngle,
)
from rvaejax.rvae.priors import circle
from rvaejax.rvae.priors.build import build_angle

K = 16
PRIORS = [
    UniformAngle(),
    GaussianAngle(0.1),
    GaussianAngle(2.5),
    VonMisesAngle(mean=3.0, concentration=2.0),
    VonMisesAngle(mean=0.4, concentration=6.0, fold=3, learn=True),
    VonMisesMixtureAngle(means=(0.2, 3.3), concentration=8.0, weights=(1.0, 3.0)),
    VonMisesMixtureAngle(means=(0.0, math.pi / 3), concentration=3.0, fold=3),
    LearnedAngle(harmonics=5),
    LearnedAngle(harmonics=3, fold=6),
    HierarchicalAngle(median=0.2, spread=1.0),
]
IDS = [f"{type(p).__name__}-{i}" for i, p in enumerate(PRIORS)]
every_prior = pytest.mark.parametrize("prior", PRIORS, ids=IDS)


def _params(prior, seed=0):
    """Parameters away from the start, so that a learned density has some shape."""
    params = build_angle(prior).init(key=jax.random.key(seed))
    leaves, tree = jax.tree.flatten(params)
    rng = np.random.default_rng(seed)
    return jax.tree.unflatten(tree, [v + jnp.asarray(0.3 * rng.standard_normal(v.shape), jnp.float32) for v in leaves])


@functools.cache
def _log_density(prior):
    """Compiled once a prior, for so many angles at a time."""
    fns, params = build_angle(prior), _params(prior)
    return jax.jit(lambda a: fns.log_prob(a, params))


def _density(prior, theta):
    flat = np.ravel(theta)
    padded = np.resize(flat, -(-len(flat) // 16_384) * 16_384).astype(np.float32)
    found = np.concatenate([np.asarray(_log_density(prior)(part)) for part in padded.reshape(-1, 16_384)])
    return np.exp(found[: len(flat)].astype(np.float64)).reshape(np.shape(theta))


@every_prior
def test_densities_integrate_to_one_and_meet_at_the_cut(prior):
    theta = np.linspace(-np.pi, np.pi, 8193)
    density = _density(prior, theta)
    assert np.trapezoid(density, theta) == pytest.approx(1, abs=2e-4)
    assert _density(prior, [np.pi - 1e-4]) == pytest.approx(_density(prior, [np.pi + 1e-4]), rel=2e-2, abs=1e-6)
    assert _density(prior, [0.3]) == pytest.approx(_density(prior, [0.3 + 4 * np.pi]), rel=1e-3)


@every_prior
def test_samples_have_the_density(prior):
    """Counts in 24 bins against the density's integrals over them."""
    fns, n = build_angle(prior), 20_000
    drawn = np.asarray(jax.jit(lambda key: fns.sample(_params(prior), (n,), key=key))(jax.random.key(1)))
    assert drawn.shape == (n,) and (np.abs(drawn) <= np.pi + 1e-5).all()
    edges = np.linspace(-np.pi, np.pi, 25)
    theta = np.linspace(-np.pi, np.pi, 24 * 400 + 1)
    density = _density(prior, theta)
    mass = np.array([np.trapezoid(density[i * 400 : i * 400 + 401], theta[:401]) for i in range(24)])
    counts = np.histogram(drawn, edges)[0]
    assert np.abs(counts - n * mass).max() < 5 * np.sqrt(n * mass.max()) + 3
    chi2 = ((counts - n * mass) ** 2 / np.maximum(n * mass, 1)).sum()
    assert chi2 < 24 + 6 * np.sqrt(48)


def test_von_mises_is_scipys():
    fns = build_angle(VonMisesAngle(mean=0.7, concentration=300.0))
    theta = np.linspace(-3, 3, 13)
    ours = np.asarray(fns.log_prob(jnp.asarray(theta, jnp.float32), {}))
    assert ours == pytest.approx(vonmises.logpdf(theta, 300.0, loc=0.7), rel=1e-4, abs=1e-3)


def _circular(seed, log_sd=-0.5):
    rng = np.random.default_rng(seed)
    logits = jax.nn.log_softmax(jnp.asarray(1.5 * rng.standard_normal(K), jnp.float32))
    mean = jnp.asarray(0.5 * rng.standard_normal(K), jnp.float32)
    return Circular(logits, Normal(mean, jnp.full(K, log_sd)))


def _normal_log(x, mean, sd):
    return -0.5 * ((x - mean) / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi)


@every_prior
def test_circular_divergence_is_brute_force_over_bins_and_residuals(prior):
    """Joint density of bin k and residual r: 1 / K x N(r; 0, 1) x 2 pi p(angle), as the module's text says."""
    family, params = latents.build(PolarEncoder(orientations=K, harmonics=4), prior, 2), _params(prior)
    kl = jax.jit(lambda q: family.kl(q, params))
    for log_sd in (-2.0, 0.0):
        q, sd = _circular(0, log_sd), math.exp(log_sd)
        mean, log_pi = (np.asarray(v, np.float64)[:, None] for v in (q.residual.mean, q.logits))
        r = mean + sd * np.linspace(-8, 8, 801)
        log_q = log_pi + _normal_log(r, mean, sd)
        log_p = -np.log(K) + _normal_log(r, 0, 1)
        log_p += np.log(2 * np.pi * _density(prior, np.pi / K * (2 * np.arange(K)[:, None] + r)))
        brute = np.trapezoid(np.exp(log_q) * (log_q - log_p), r, axis=1).sum()
        assert float(kl(q)) == pytest.approx(brute, abs=5e-3, rel=5e-3)


@every_prior
def test_circular_divergence_is_an_upper_bound_of_that_of_the_angle_alone(prior):
    """And close to it where neighbouring bins share the angles between them as the module's text says."""
    family, params = latents.build(PolarEncoder(orientations=K, harmonics=4), prior, 2), _params(prior)
    kl, theta = jax.jit(lambda q: family.kl(q, params)), np.linspace(-np.pi, np.pi, 16_385)[:-1]
    log_prob = jax.jit(jax.vmap(family.log_prob, in_axes=(None, 0)))
    smooth = jax.nn.log_softmax(jnp.cos(2 * jnp.pi * jnp.arange(K) / K))
    for q, gap in ((_circular(1), 0.5), (Circular(smooth, Normal(jnp.zeros(K), jnp.zeros(K))), 0.02)):
        log_q = np.asarray(log_prob(q, jnp.asarray(theta, jnp.float32)), np.float64)
        step = 2 * np.pi / len(theta)
        assert np.exp(log_q).sum() * step == pytest.approx(1, abs=1e-3)
        alone = (np.exp(log_q) * (log_q - np.log(_density(prior, theta)))).sum() * step
        assert alone - 1e-2 <= float(kl(q)) <= alone + gap + 1e-3 * abs(alone)


@every_prior
def test_divergence_of_a_gaussian_posterior_is_an_integral_over_the_circle(prior):
    if isinstance(prior, GaussianAngle):
        pytest.skip("the paper's, on the line: tests/rvae/test_divergences.py")
    family, params = latents.build(MLPEncoder(), prior, 2), _params(prior)
    kl = jax.jit(lambda q: family.kl(q, params))
    theta = np.linspace(-np.pi, np.pi, 16_001)
    for mean, sd in ((0.1, 0.05), (3.1, 0.6), (-2.0, 3.0)):
        density = np.exp(_normal_log(theta[:, None] + 2 * np.pi * np.arange(-9, 10), mean, sd)).sum(1)
        ratio = np.log(np.maximum(density, 1e-300)) - np.log(_density(prior, theta))
        expected = np.trapezoid(density * ratio, theta)
        q = Normal(jnp.array([mean]), jnp.log(jnp.array([sd])))
        assert float(kl(q)) == pytest.approx(expected, abs=1e-2, rel=1e-3)


@every_prior
def test_gradients_are_finite_at_the_cut_and_at_extreme_widths(prior):
    params = _params(prior)
    on_circle = latents.build(PolarEncoder(orientations=K, harmonics=4), prior, 2)
    on_line = latents.build(MLPEncoder(), prior, 2)

    def total(mean, log_sd, params):
        q = Circular(
            jax.nn.log_softmax(jnp.zeros(K).at[K // 2].set(30.0)), Normal(mean + jnp.zeros(K), log_sd + jnp.zeros(K))
        )
        line = on_line.kl(Normal(mean[None] + jnp.pi, log_sd[None]), params)
        value = on_circle.prior.log_prob(jnp.pi * jnp.sign(mean + 0.5), params)
        return on_circle.kl(q, params) + line + value

    grad = jax.jit(jax.vmap(jax.value_and_grad(total, argnums=(0, 1, 2)), in_axes=(0, 0, None)))
    means, log_sds = jnp.meshgrid(jnp.array([-1.0, 0.0, 1.0, 40.0]), jnp.array([-12.0, 0.0, 3.0, 8.0]))
    value, grads = grad(means.ravel(), log_sds.ravel(), params)
    assert jnp.isfinite(value).all() and all(jnp.isfinite(g).all() for g in jax.tree.leaves(grads))


def test_wrapped_normal_is_the_sum_over_turns_narrow_and_wide():
    theta = np.linspace(-np.pi, np.pi, 101)
    for sd in (0.02, 0.9, 1.6, 1.7, 4.0):
        expected = np.exp(_normal_log(theta[:, None] + 2 * np.pi * np.arange(-12, 13), 2.5, sd)).sum(1)
        found = np.exp(np.asarray(circle.log_wrapped_normal(jnp.asarray(theta), jnp.array(2.5), jnp.log(sd))))
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-6)
