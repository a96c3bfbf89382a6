"""Chains, evidences and bounds against densities whose integrals are known; calibration of the whole."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from rvaejax.analysis.simulation_based import calibration_ranks, quarter_turned, simulate, uniformity
from rvaejax.rvae import elbo, preset
from rvaejax.rvae.config import LearnedGaussian, PolarEncoder, SpatialDecoder
from rvaejax.rvae.posterior import calls, spread
from rvaejax.rvae.posterior.bounds import encoder_bounds
from rvaejax.rvae.posterior.calls import compiled, sample
from rvaejax.rvae.posterior.climb import Expansion, climb, gauss_newton
from rvaejax.rvae.posterior.config import NutsConfig
from rvaejax.rvae.posterior.evidence import log_evidence
from rvaejax.rvae.posterior.modes import Modes, owner
from rvaejax.rvae.posterior.nuts import Where, advance, begin
from rvaejax.rvae.posterior.target import Target, target
from rvaejax.rvae.priors.angle import log_von_mises
from rvaejax.rvae.record import TrainedRVAE

pytestmark = pytest.mark.usefixtures("chains")
SHORT = NutsConfig(modes=4, warmup=150, draws=200, weighing=256, kept=200)
WEIGHTS, CENTRES, SHARP = np.array([0.6, 0.3, 0.1]), np.array([0.5, 0.5 + 2.1, 0.5 - 2.1]), 60.0
SD = jnp.array([0.2, 0.5, 1.0])


def _log_p(point):
    """Three modes of the angle of known weights, a Gaussian in three more coordinates: its integral is exp(2)."""
    angle = jnp.log(WEIGHTS) + log_von_mises(point[0], jnp.asarray(CENTRES), jnp.asarray(SHARP))
    return jax.nn.logsumexp(angle) + jax.scipy.stats.norm.logpdf(point[1:], 1.0, SD).sum() + 2.0


CENTRE, SCALE = jnp.array([0.45, 1.1, 0.9, 0.7]), jnp.concatenate([jnp.array([0.5 / SHARP**0.5]), 0.5 * SD])


def _expanded(log_density):
    """The expansion by second derivatives."""

    def expand(point):
        return Expansion(*jax.value_and_grad(log_density)(point), -jax.hessian(log_density)(point))

    return expand


def _two_contents(z):
    """At one angle two contents of weights 0.7 and 0.3; the integral is 1."""
    apart = jnp.stack([jax.scipy.stats.norm.logpdf(z[1:], m, 0.3).sum() for m in (2.0, -2.0)])
    angle = log_von_mises(z[0], jnp.asarray(0.4), jnp.asarray(30.0))
    return jax.nn.logsumexp(apart + jnp.log(jnp.array([0.7, 0.3]))) + angle


def _flat_angle(z):
    """An angle that hardly matters, a Gaussian in the rest; the integral over one turn is 1 (to 1e-4)."""
    return jax.scipy.stats.norm.logpdf(z[1:]).sum() - jnp.log(2 * jnp.pi) + 0.01 * jnp.cos(z[0])


def _target(centre=CENTRE, scale=SCALE, log_p=_log_p):
    """An encoder that knows one mode only, at half its width."""

    def draw(*, key):
        return centre + scale * jax.random.normal(key, (4,))

    def log_q(point):
        return jax.scipy.stats.norm.logpdf(point, centre, scale).sum()

    return Target(log_p, _expanded(log_p), log_q, draw, centre, scale)


def _any_target(number, encoder):
    """Of the densities above the one that has the number: they are compiled together, once."""
    return _target(*encoder, log_p=lambda z: jax.lax.switch(number, (_log_p, _two_contents, _flat_angle), z))


CALLS = compiled(_any_target, SHORT)


def _sampled(centre, scale, key, number=0):
    found = sample(CALLS, SHORT, number, (centre[None], scale[None]), keys=key[None])
    return jax.tree.map(lambda v: v[0], found)


def test_a_chain_in_each_orientation_weighted_by_its_evidence_is_the_posterior():
    found = _sampled(CENTRE, SCALE, jax.random.key(0))
    assert float(found.log_evidence) == pytest.approx(2.0, abs=0.15)
    order = np.argsort(-np.asarray(found.weights))
    assert np.asarray(found.weights)[order] == pytest.approx([*WEIGHTS, 0.0], abs=0.06)
    off = np.asarray(found.mode_angle)[order[:3]] - CENTRES
    assert np.abs(np.angle(np.exp(1j * off))).max() < 0.15
    away = np.abs(np.angle(np.exp(1j * (np.asarray(found.points)[:, :1] - CENTRES))))
    counts = np.bincount(away.argmin(1), minlength=3) / SHORT.kept
    assert counts == pytest.approx(WEIGHTS, abs=0.07)
    assert np.std(away.min(1)) < 2 / SHARP**0.5  # within the modes, nothing between them
    rest = np.asarray(found.points)[:, 1:]
    assert rest.mean(0) == pytest.approx(np.ones(3), abs=0.3)
    assert rest.std(0) == pytest.approx(np.asarray(SD), rel=0.2)
    bounds = found.bounds
    assert float(bounds.elbo) < float(bounds.weighted) < float(found.log_evidence) + 0.2


def test_the_elbo_misses_the_evidence_by_the_divergence():
    """KL of the encoder's Gaussian to the posterior, by quadrature in the angle and in closed form in the rest."""
    t = _target()
    bounds = jax.jit(lambda key: encoder_bounds(t, 20_000, key=key))(jax.random.key(0))
    a = np.linspace(-2.5, 3.5, 20_001)
    q = stats.norm.pdf(a, 0.45, float(t.scale[0]))
    p = (WEIGHTS * stats.vonmises.pdf(a[:, None], SHARP, loc=CENTRES)).sum(1)
    kl = np.trapezoid(q * np.log(np.maximum(q, 1e-300) / p), a)
    ratio = np.asarray(t.scale[1:]) / np.asarray(SD)
    kl += (0.5 * (ratio**2 + ((np.asarray(t.centre[1:]) - 1) / np.asarray(SD)) ** 2) - 0.5 - np.log(ratio)).sum()
    assert 2.0 - float(bounds.elbo) == pytest.approx(kl, abs=0.05)


def test_a_chain_has_the_mean_and_the_covariance_of_a_gaussian():
    covariance = jnp.array([[1.0, 0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 4.0]])

    def log_density(z):
        return jax.scipy.stats.multivariate_normal.logpdf(z, jnp.array([1.0, -2.0, 0.5]), covariance)

    config, where = NutsConfig(warmup=300), Where(log_density, jnp.zeros(3), jnp.eye(3))

    @jax.jit
    def run(key):
        state, _ = advance(where, config, begin(where, config, key=key), 150)  # in pieces, one of them in the warm-up
        return advance(where, config, state, 1650)[1]

    chain = jax.tree.map(lambda v: v[150:], run(jax.random.key(0)))
    points = np.asarray(chain.points)
    assert points.mean(0) == pytest.approx([1.0, -2.0, 0.5], abs=0.2)
    assert np.cov(points.T) == pytest.approx(np.asarray(covariance), abs=0.5)
    assert np.asarray(chain.diverging).mean() < 0.01


def test_evidence_within_a_region_is_the_integral_over_it():
    draws = np.random.default_rng(0).normal(1.0, [0.5, 2.0], (400, 2))
    inside = jnp.asarray(draws[:, 0] > 1.2, jnp.float32)

    def log_density(z):
        return jax.scipy.stats.norm.logpdf(z, 1.0, jnp.array([0.5, 2.0])).sum() - 3.0

    found = log_evidence(
        log_density,
        lambda z: z[0] > 1.2,
        jnp.asarray(draws, jnp.float32),
        inside,
        jnp.array([0.5, 2.0]),
        4000,
        key=jax.random.key(0),
    )
    assert float(found.log_value) == pytest.approx(-3.0 + stats.norm.logsf(1.2, 1.0, 0.5), abs=0.1)
    nothing = log_evidence(
        log_density, lambda z: z[0] > 99.0, jnp.asarray(draws), 0 * inside, jnp.ones(2), 64, key=jax.random.key(1)
    )
    assert float(nothing.log_value) == -np.inf and float(nothing.effective) == 0


def test_a_climb_ends_on_the_maximum_with_the_width_that_is_there():
    """From a flank: of two Gaussians of known covariance the near one is found, and its mass."""
    covariance = np.array([[0.3, 0.1], [0.1, 0.05]])
    inverse = jnp.asarray(np.linalg.inv(covariance))

    def log_density(z):
        return jax.nn.logsumexp(jnp.stack([-0.5 * (z - m) @ inverse @ (z - m) for m in jnp.array([[2.0, 0], [-2, 0]])]))

    found = jax.jit(lambda start: climb(_expanded(log_density), start, 30))(jnp.array([1.5, 0.4]))
    assert np.asarray(found.point) == pytest.approx([2.0, 0.0], abs=1e-3)
    assert np.asarray(found.root @ found.root.T) == pytest.approx(covariance, rel=1e-3)
    assert float(found.log_mass) == pytest.approx(np.log(2 * np.pi * np.sqrt(np.linalg.det(covariance))), abs=1e-3)


def test_gauss_newton_is_newton_where_the_drawing_is_linear():
    """A linear drawing and a Gaussian prior: value, slope and curvature are those of the sum, by second derivatives."""
    rng = np.random.default_rng(0)
    matrix, image = jnp.asarray(rng.normal(size=(7, 3))), jnp.asarray(rng.normal(size=(7, 1)))
    point = jnp.asarray(rng.normal(size=3))

    def draw(z):
        return (matrix @ z)[:, None]

    def fit(drawn):  # not a sum over pixels: as where each image's light is fitted
        return -2 * ((drawn - image) ** 2).sum() - 0.3 * drawn.sum() ** 2

    def log_prior(z):
        return -0.5 * (z**2).sum() - z[0]

    found = gauss_newton(draw, fit, log_prior, point)
    whole = _expanded(lambda z: fit(draw(z)) + log_prior(z))(point)
    for ours, exact in zip(found, whole, strict=True):
        assert np.asarray(ours) == pytest.approx(np.asarray(exact), rel=1e-4, abs=1e-4)


def test_two_contents_at_one_angle_are_two_modes_and_share_the_space():
    """One chain could not tell their weights, and by parts of the circle both would count twice."""
    found = _sampled(jnp.zeros(4), jnp.ones(4), jax.random.key(0), number=1)
    assert np.sort(np.asarray(found.weights))[::-1] == pytest.approx([0.7, 0.3, 0, 0], abs=0.05)
    assert float(found.log_evidence) == pytest.approx(0, abs=0.1)
    assert (np.asarray(found.points)[:, 1] > 0).mean() == pytest.approx(0.7, abs=0.05)


def test_an_angle_that_does_not_matter_counts_once_around_the_circle():
    """Its one chain and the proposal around it go round and round; the evidence is that of one turn."""
    found = _sampled(jnp.zeros(4), jnp.ones(4), jax.random.key(0), number=2)
    assert np.asarray(found.weights) == pytest.approx([1, 0, 0, 0], abs=1e-6)
    assert float(found.log_evidence) == pytest.approx(0, abs=0.1)
    assert np.abs(np.exp(1j * np.asarray(found.points)[:, 0]).mean()) < 0.3


@pytest.mark.slow
def test_examples_side_by_side_are_sampled_as_one_by_one(monkeypatch):
    """As accelerators lay the work out: chains of two examples in one batch, padded with a third.

    Rounded otherwise, a chain takes another way after a while: what is sampled agrees as from two keys (over keys the
    log-evidence has a standard deviation of 0.025, measured), what is not agrees closely.
    """
    keys = jax.random.split(jax.random.key(5), 2)
    centres, scales = jnp.stack([CENTRE, CENTRE + 1.0]), jnp.stack([SCALE, SCALE])
    alone = [_sampled(c, s, k) for c, s, k in zip(centres, scales, keys, strict=True)]
    for module in (spread, calls):
        monkeypatch.setattr(module, "lanes", lambda most=8: min(most, 8))
    beside = compiled(lambda shared, encoder: _target(*encoder), SHORT)
    together = sample(beside, SHORT, None, (centres, scales), keys=keys)
    for i, one in enumerate(alone):
        assert np.asarray(together.weights[i]) == pytest.approx(np.asarray(one.weights), abs=0.06)
        assert float(together.log_evidence[i]) == pytest.approx(float(one.log_evidence), abs=0.14)
        assert float(together.bounds.elbo[i]) == pytest.approx(float(one.bounds.elbo), rel=1e-3)


def test_a_signal_ends_the_sampling_after_the_call_that_runs():
    seen = []

    def heed():
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt(15)

    with pytest.raises(KeyboardInterrupt):
        sample(CALLS, SHORT, 0, (CENTRE[None], SCALE[None]), heed, keys=jax.random.key(0)[None])
    assert len(seen) == 3


def test_a_point_belongs_to_the_mode_whose_gaussian_is_highest_there():
    modes = Modes(
        points=jnp.array([[0.0, 0.0], [2.0, 0.0], [3.0, 5.0]]),
        values=jnp.zeros(3),
        roots=jnp.stack([0.1 * jnp.eye(2), 0.5 * jnp.eye(2), jnp.eye(2)]),
        there=jnp.array([True, True, False]),
    )
    own = [int(owner(jnp.array(z), modes)) for z in ([0.1, 0.0], [1.0, 0.0], [0.1 + 4 * np.pi, 0.0], [3.0, 5.0])]
    assert own == [0, 1, 0, 1]  # the wide one has the middle; turns do not count; what is not there has nothing


def test_modes_are_found_where_the_encoder_is_far_off():
    """An encoder 40 of its standard deviations off, in what is turned as well: the modes and their weights remain."""
    found = _sampled(jnp.array([2.0, -1.0, 2.0, -1.5]), jnp.array([0.05] * 4), jax.random.key(3))
    assert float(found.log_evidence) == pytest.approx(2.0, abs=0.15)
    assert np.sort(np.asarray(found.weights))[::-1][:3] == pytest.approx(WEIGHTS, abs=0.06)


def _small_model():
    """A small decoder with random weights, whose images have one orientation or several."""
    config = replace(
        preset("default"),
        content_dim=2,
        encoder=PolarEncoder(orientations=16, hidden=8, layers=1, harmonics=4),
        decoder=SpatialDecoder(hidden=16, layers=2),
        likelihood=LearnedGaussian(),
    )
    shape = (12, 12, 1)
    shapes = jax.eval_shape(lambda key: elbo.build(config, shape).init(key=key), jax.random.key(0))
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda leaf: rng.normal(0, 0.5, leaf.shape).astype(np.float32), shapes)
    params["likelihood"] = {"raw_sd": jnp.float32(-1.5)}
    facts = {"pixel_size_nm": None, "channels": ("intensity",), "history": (), "steps": 0, "cut": 0, "seed": 0}
    return TrainedRVAE(config, params, shape, (0.0, 1.0), (0, 1), (1, 1), (1.0, 0.5), **facts)


def test_the_density_turns_with_the_image():
    """By a right angle, which pixels allow exactly: nothing in the joint density tells x from y."""
    model = _small_model()
    rvae = elbo.build(model.config, model.image_shape)
    q = jax.tree.map(lambda v: v[0], rvae.encode(model.params, jnp.zeros((1, 12, 12, 1))))
    points, images = simulate(model, 5, key=jax.random.key(0))

    @jax.jit
    def log_joint(points, images):
        prior = rvae.prior_params(model.params)
        return jax.vmap(lambda z, x: target(rvae, model.params, prior, x, q).log_joint(z))(points, images)

    value = np.asarray(log_joint(points, images))
    assert np.ptp(value) > 1
    for turns in (1, 2):
        assert np.asarray(log_joint(*quarter_turned(points, images, turns))) == pytest.approx(value, rel=1e-4)


@pytest.mark.slow
def test_sampled_posteriors_are_calibrated():
    nuts = NutsConfig(modes=4, warmup=150, draws=200, kept=99, particles=99, weighing=256, depth=5)
    ranks = calibration_ranks(_small_model(), 80, nuts)
    values = {name: uniformity(found, 99) for name, found in ranks.sampled.items()}
    assert min(values.values()) > 1e-3, values
    assert min(uniformity(found, 99) for found in ranks.encoder.values()) < 1e-6  # untrained: far from right
