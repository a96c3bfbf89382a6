"""Priors of shift and content: densities, samples, divergences with the variance that they state."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from rvaejax.nets.encoders import Normal
from rvaejax.rvae import elbo, preset, vectors
from rvaejax.rvae.config import (
    DiscShift,
    FlowPrior,
    FourierDecoder,
    GaussianShift,
    Laplace,
    NormalMixture,
    PolarEncoder,
    StandardNormal,
    StudentT,
    VampPrior,
)

SHAPE = (8, 8, 1)
CONTENT = [
    StandardNormal(),
    NormalMixture(components=3),
    NormalMixture(components=2, learn=False),
    VampPrior(components=3),
    FlowPrior(layers=4, hidden=8),
    StudentT(dof=3.0, scale=0.7),
    Laplace(scale=0.8),
]
IDS = [f"{type(p).__name__}-{i}" for i, p in enumerate(CONTENT)]
every_content = pytest.mark.parametrize("prior", CONTENT, ids=IDS)
TINY = replace(
    preset("default"),
    content_dim=2,
    encoder=PolarEncoder(orientations=8, hidden=8, layers=1, harmonics=3),
    decoder=FourierDecoder(hidden=8, layers=1, max_modes=3),
)


@functools.cache
def _content(prior):
    """The family, and parameters moved away from their start."""
    model = elbo.build(replace(TINY, content_prior=prior), SHAPE)
    params = jax.jit(lambda key: model.init(key=key))(jax.random.key(0))
    rng = np.random.default_rng(0)
    moved = jax.tree.map(
        lambda v: v + jnp.asarray(0.2 * rng.standard_normal(v.shape), jnp.float32), params.get("prior", {})
    )
    return model.families.content, jax.jit(model.prior_params)({**params, "prior": moved})["content"]


@every_content
def test_densities_integrate_to_one(prior):
    family, params = _content(prior)
    u = (np.arange(400) + 0.5) / 400 * 2 - 1
    line, step = 3 * np.arctanh(u), 3 / (1 - u**2) * (2 / 400)
    points = np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
    log_p = jax.jit(jax.vmap(lambda z: family.log_prior(z, params)))(jnp.asarray(points, jnp.float32))
    total = (np.exp(np.asarray(log_p, np.float64)) * np.outer(step, step).ravel()).sum()
    assert total == pytest.approx(1, abs=5e-3)


@every_content
def test_samples_have_the_density(prior):
    """The mean of g(z) / p(z) over draws of p is the integral of g, for any density g that is narrower than p."""
    family, params = _content(prior)
    n = 40_000
    z = jax.jit(lambda key: family.prior.sample(params, (n, 2), key=key))(jax.random.key(3))
    log_p = np.asarray(jax.jit(jax.vmap(lambda z: family.log_prior(z, params)))(z), np.float64)
    centre = np.median(np.asarray(z), 0)
    log_g = stats.norm.logpdf(np.asarray(z), centre + [[0.05, -0.05]], 0.25).sum(1)
    weight = np.exp(log_g - log_p)
    assert weight.mean() == pytest.approx(1, abs=5 * weight.std() / np.sqrt(n))
    assert weight.std() / np.sqrt(n) < 0.06


Q = Normal(jnp.array([0.4, -0.9]), jnp.log(jnp.array([0.3, 0.15])))


@every_content
def test_divergences_match_monte_carlo_and_state_their_variance(prior):
    family, params = _content(prior)
    z = np.asarray(Q.mean) + np.exp(np.asarray(Q.log_sd)) * np.random.default_rng(1).standard_normal((60_000, 2))
    log_p = jax.jit(jax.vmap(lambda z: family.log_prior(z, params)))(jnp.asarray(z, jnp.float32))
    ratio = stats.norm.logpdf(z, Q.mean, np.exp(np.asarray(Q.log_sd))).sum(1) - np.asarray(log_p, np.float64)
    keys = jax.random.split(jax.random.key(2), 2000)
    kl, variance = jax.jit(jax.vmap(lambda k: family.kl(Q, params, key=k)))(keys)
    error = np.sqrt(ratio.var() / len(ratio) + float(kl.var()) / len(kl))
    assert float(kl.mean()) == pytest.approx(ratio.mean(), abs=5 * error + 1e-5)
    assert float(variance.mean()) == pytest.approx(float(kl.var()), rel=0.25, abs=1e-9)
    assert (float(variance.max()) > 0) == family.sampled


@every_content
def test_gradients_are_finite_at_extreme_widths_and_far_out(prior):
    family, params = _content(prior)

    def kl(mean, log_sd, params):
        return family.kl(Normal(mean * jnp.ones(2), log_sd * jnp.ones(2)), params, key=jax.random.key(0)).kl

    means, log_sds = jnp.meshgrid(jnp.array([0.0, -3.0, 1e3]), jnp.array([-12.0, 0.0, 4.0]))
    run = jax.jit(jax.vmap(jax.value_and_grad(kl, argnums=(0, 1, 2)), in_axes=(0, 0, None)))
    value, grads = run(means.ravel(), log_sds.ravel(), params)
    assert jnp.isfinite(value).all() and all(jnp.isfinite(g).all() for g in jax.tree.leaves(grads))


def test_heavy_tails_are_scipys():
    z = jnp.array([0.3, -4.0])
    for prior, logpdf in (
        (StudentT(3.0, 0.7), lambda v: stats.t.logpdf(v, 3.0, scale=0.7)),
        (Laplace(0.8), lambda v: stats.laplace.logpdf(v, scale=0.8)),
    ):
        family, params = _content(prior)
        assert float(family.log_prior(z, params)) == pytest.approx(logpdf(np.asarray(z)).sum(), rel=1e-5)


def _shift(prior):
    return vectors.build_shift_family(replace(TINY, shift_prior=prior))


def test_the_discs_map_turns_a_normal_into_uniform_density():
    """log N(u) - log |det d shift / d u| = -log(pi R^2), at the centre and far out."""
    family = _shift(DiscShift(0.3))
    for u in ([0.0, 0.0], [1e-3, 0.0], [0.4, -1.1], [2.5, 2.0]):
        u = jnp.array(u)
        jacobian = jax.jacfwd(lambda u: family.value(u))(u)
        log_density = float(family.log_prior(u)) - np.linalg.slogdet(np.asarray(jacobian, np.float64))[1]
        assert log_density == pytest.approx(-np.log(np.pi * 0.3**2), rel=1e-3)
        assert float(family.prior.log_prob(family.value(u), {})) == pytest.approx(log_density, rel=1e-3)
        assert np.linalg.norm(family.value(u)) <= 0.3
    assert float(family.prior.log_prob(jnp.array([0.3, 0.1]), {})) == -np.inf
    drawn = np.asarray(family.prior.sample({}, (20_000, 2), key=jax.random.key(0)))
    assert stats.kstest((drawn**2).sum(1) / 0.3**2, "uniform").pvalue > 1e-3


def test_shift_divergences_do_not_depend_on_the_unit():
    """A closed form in half windows gives the divergence of the unit latents."""
    q = Normal(jnp.array([0.5, -0.2]), jnp.array([-1.0, -0.3]))
    expected = float((0.5 * (jnp.exp(2 * q.log_sd) + q.mean**2) - 0.5 - q.log_sd).sum())
    for prior in (GaussianShift(), DiscShift()):
        kl, variance = _shift(prior).kl(q, {}, key=jax.random.key(0))
        assert float(kl) == pytest.approx(expected, rel=1e-5) and float(variance) == 0
