"""NumPyro's model and guide against the composable ELBO: the same number and the same gradient, each with its noise."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest

from rvaejax.errors import ConfigError
from rvaejax.rvae import elbo, numpyro_models, preset, train
from rvaejax.rvae.config import (
    Ascent,
    Capacity,
    DiscShift,
    FourierDecoder,
    GaussianAngle,
    Laplace,
    LearnedAngle,
    LearnedGaussian,
    MLPEncoder,
    NormalMixture,
    PolarEncoder,
    SpatialDecoder,
    UniformAngle,
    VampPrior,
    VonMisesAngle,
    WarmUp,
)
from rvaejax.types import SubImages

SHAPE = (6, 6, 1)
POLAR = replace(
    preset("amortised"),
    encoder=PolarEncoder(orientations=8, hidden=6, layers=1, harmonics=3),
    decoder=FourierDecoder(hidden=6, layers=1, max_modes=2),
)
MLP = replace(preset("paper"), encoder=MLPEncoder(hidden=8, layers=1), decoder=SpatialDecoder(hidden=8, layers=1))
CASES = {
    "paper": MLP,
    "amortised": POLAR,
    "von Mises, disc, Laplace": replace(
        POLAR,
        angle_prior=VonMisesAngle(concentration=2.0, fold=3, learn=True),
        shift_prior=DiscShift(),
        content_prior=Laplace(),
        content_weight=2.0,
        angle_weight=0.5,
    ),
    "learned angle": replace(POLAR, angle_prior=LearnedAngle(harmonics=3), temperature=1.0),
    "uniform, Gaussian posterior": replace(MLP, angle_prior=UniformAngle(), content_prior=Laplace()),
    "von Mises, Gaussian posterior": replace(MLP, angle_prior=VonMisesAngle(mean=2.0, learn=True)),
    "ascent": replace(POLAR, likelihood=preset("default").likelihood, ascent=Ascent()),
    "ascent, mixture": replace(POLAR, ascent=Ascent(rounds=1), content_prior=NormalMixture(components=3)),
    "ascent, vamp": replace(POLAR, ascent=Ascent(), content_prior=VampPrior(components=3)),
    "mixture": replace(POLAR, content_prior=NormalMixture(components=3)),
}


def _params(model):
    params = jax.jit(lambda key: model.init(key=key))(jax.random.key(0))
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda v: v + jnp.asarray(0.1 * rng.standard_normal(v.shape), jnp.float32), params)


def _vector(tree):
    return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)])


QUICK = ("paper", "ascent", "von Mises, disc, Laplace")


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in CASES])
def test_numpyros_bound_and_gradient_are_those_of_the_composable_elbo(name):
    """Means over many keys, for the objective with its weights; each entry of the gradient by its own noise."""
    config = CASES[name]
    model, params = elbo.build(config, SHAPE), _params(elbo.build(config, SHAPE))
    images = jax.random.uniform(jax.random.key(1), (2, *SHAPE))
    means, errors = [], []
    for loss in (model.loss, numpyro_models.build_loss(config, SHAPE)):

        def both(key, loss=loss):
            value, grad = jax.value_and_grad(lambda p: loss(p, images, 40, key=key)[0])(params)
            return jnp.concatenate([value[None], _vector(grad)])

        run = jax.jit(lambda keys, both=both: jax.lax.map(both, keys, batch_size=64))
        found = np.asarray(run(jax.random.split(jax.random.key(2), 768)), np.float64)
        means.append(found.mean(0))
        errors.append(found.std(0) / np.sqrt(len(found)))
    rounding = np.full(len(means[0]), 1e-4 * np.abs(means[0][1:]).max())
    rounding[0] = 1e-5 * abs(means[0][0])
    z = (means[0] - means[1]) / np.sqrt(errors[0] ** 2 + errors[1] ** 2 + rounding**2)
    assert abs(z[0]) < 5
    assert np.abs(z[1:]).max() < 6 and (np.abs(z[1:]) > 3).mean() < 0.02


@pytest.mark.slow
def test_numpyros_own_svi_trains_the_model_and_the_guide():
    config = POLAR
    parts = numpyro_models.build(config, SHAPE)
    images = jax.random.uniform(jax.random.key(1), (4, *SHAPE))
    svi = numpyro.infer.SVI(parts.model, parts.guide, numpyro.optim.Adam(1e-2), parts.elbo)
    result = svi.run(jax.random.key(0), 30, images, progress_bar=False)
    assert float(result.losses[-5:].mean()) < float(result.losses[:5].mean())
    assert set(result.params) == {"rvae"} and "encoder" in result.params["rvae"]


def test_the_model_draws_from_its_priors():
    """Predictive sampling of the model without data: sites have the priors' shapes and spread."""
    parts = numpyro_models.build(replace(POLAR, content_prior=Laplace(scale=2.0)), SHAPE)
    images = jnp.zeros((500, *SHAPE))
    with numpyro.handlers.seed(rng_seed=0):
        sites = numpyro.handlers.trace(parts.model).get_trace(images)
    assert sites["orientation"]["value"].shape == (500,) and sites["content"]["value"].shape == (500, 2)
    assert float(jnp.abs(sites["content"]["value"]).mean()) == pytest.approx(2.0, rel=0.15)


def test_a_share_of_the_pixels_estimates_the_bound_of_all():
    """The halves of an image's pixels, each alone, estimate the same bound on average, with the same noise.

    Without lighting, which is fitted to the pixels that are looked at.
    """
    config = replace(POLAR, likelihood=LearnedGaussian())
    parts = numpyro_models.build(config, SHAPE)
    params, images = _params(elbo.build(config, SHAPE)), jax.random.uniform(jax.random.key(1), (2, *SHAPE))

    def bound(pixels):
        return parts.elbo.bounds(jax.random.key(0), {"rvae": params}, parts.model, parts.guide, images, pixels).plain

    run, everything = jax.jit(bound), jnp.arange(36)
    found = [np.asarray(run(pixels)) for pixels in (everything, everything[::2], everything[1::2])]
    assert found[0] == pytest.approx((found[1] + found[2]) / 2, rel=1e-4)


def test_a_warm_up_from_nothing_is_finite():
    config = replace(POLAR, divergences=WarmUp(initial=0.0, steps=10))
    model = elbo.build(config, SHAPE)
    loss = numpyro_models.build_loss(config, SHAPE)
    run = jax.jit(lambda p, step: loss(p, jnp.ones((2, *SHAPE)) * 0.5, step, key=jax.random.key(0))[0])
    assert jnp.isfinite(run(_params(model), 0))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (replace(POLAR, divergences=Capacity()), "no model has that objective"),
        (replace(MLP, angle_prior=GaussianAngle(mean_term=False)), "belongs to no density"),
    ],
)
def test_objectives_that_are_no_bound_are_refused(config, message):
    with pytest.raises(ConfigError, match=message):
        numpyro_models.build(config, SHAPE)


@pytest.mark.slow
def test_the_training_loop_runs_by_svi_with_the_same_presets():
    """Both ways of estimating the same bound lower the same held-out loss, from the same start, by about as much."""
    rng = np.random.default_rng(0)
    images = np.clip(rng.random((40, 1, 1, 1)) + 0.1 * rng.random((40, *SHAPE)), 0, 1).astype(np.float32)
    zeros = np.zeros(40)
    subimages = SubImages(images, zeros.astype(int), zeros, zeros, np.full(40, "C"), zeros.astype(int))
    training = replace(POLAR.training, steps=60, batch_size=16, piece=10, evaluate_every=60)
    config = replace(POLAR, temperature=1.0, training=training)
    bounds = {}
    for inference in ("elbo", "svi"):
        model = train(subimages, config=config, inference=inference)
        assert model.config.inference == inference
        bounds[inference] = [row["holdout_elbo"] for row in model.history if "holdout_elbo" in row][-1]
    assert bounds["svi"] == pytest.approx(bounds["elbo"], abs=0.1 * abs(bounds["elbo"]) + 2.0)
