"""The paper's ELBO, written out by hand, and estimates from a share of the pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.rvae import elbo, preset
from rvaejax.rvae.config import MLPEncoder, RVAEConfig, SpatialDecoder

SHAPE = (6, 6, 2)


def _terms(model, params, images, seed, pixels=None):
    """The same seed gives the same noise, whatever the pixels."""
    return jax.jit(lambda p, x: model.terms(p, x, key=jax.random.key(seed), pixels=pixels))(params, images)


def _init(model, seed):
    return jax.jit(lambda key: model.init(key=key))(jax.random.key(seed))


def _dense(x, layer):
    out = x @ np.asarray(layer["kernel"], np.float64)
    return out + np.asarray(layer["bias"], np.float64) if "bias" in layer else out


def _paper_terms(params, image, noise, config):
    """One example, in NumPy: (log-likelihood, KL angle, KL shift, KL content)."""
    enc, dec = params["encoder"]["params"], params["decoder"]["params"]
    x = image.reshape(-1)
    for i in range(config.encoder.layers):
        x = np.tanh(_dense(x, enc[f"Dense_{i}"]))
    mean, log_sd = np.split(_dense(x, enc[f"Dense_{config.encoder.layers}"]), 2)
    z = mean + np.exp(log_sd) * noise
    angle, shift, content = z[0], 0.1 * z[1:3], z[3:]
    line = (np.arange(6) - 2.5) / 3
    total = 0.0
    for row, y in enumerate(line):
        for column, x_pixel in enumerate(line):
            u, v = x_pixel - shift[0], y - shift[1]
            # back by the angle: content at (x, y) is drawn at (x cos a + y sin a, -x sin a + y cos a)
            point = np.array([u * np.cos(angle) - v * np.sin(angle), u * np.sin(angle) + v * np.cos(angle)])
            h = np.tanh(_dense(point, dec["Dense_0"]) + _dense(content, dec["Dense_1"]))
            for i in range(2, config.decoder.layers + 1):
                h = np.tanh(_dense(h, dec[f"Dense_{i}"]))
            drawn = _dense(h, dec[f"Dense_{config.decoder.layers + 1}"])
            total -= 0.5 * ((image[row, column] - drawn) ** 2).sum()
    sd = np.exp(log_sd)
    square = mean[0] ** 2 if config.angle_prior.mean_term else 0.0
    kl_angle = (sd[0] ** 2 + square) / (2 * 0.1**2) - 0.5 - np.log(sd[0] / 0.1)
    kl_rest = 0.5 * (sd**2 + mean**2 - 1) - log_sd
    return total, kl_angle, kl_rest[1:3].sum(), kl_rest[3:].sum()


@pytest.mark.parametrize("name", ["paper", "paper-atomai"])
def test_paper_elbo_equals_a_hand_written_evaluation(name):
    config = preset(name)
    model = elbo.build(config, SHAPE)
    params = _init(model, 0)
    images = jax.random.uniform(jax.random.key(1), (3, *SHAPE))
    terms = _terms(model, params, images, seed=2)
    for i, per_image in enumerate(jax.random.split(jax.random.key(2), 3)):
        # the same noise as in the model: one key each for angle, shift and content
        parts = zip(jax.random.split(per_image, 3), (1, 2, 2), strict=True)
        noise = np.concatenate([np.asarray(jax.random.normal(k, (d,))) for k, d in parts]).astype(np.float64)
        expected = _paper_terms(params, np.asarray(images[i], np.float64), noise, config)
        assert np.allclose([t[i] for t in terms[:4]], expected, rtol=2e-4, atol=1e-4)
    loss, metrics = jax.jit(model.loss)(params, images, 0, key=jax.random.key(3))
    assert float(loss) == pytest.approx(-float(metrics["elbo"]), rel=1e-6)


def test_presets_differ_where_they_should():
    paper, atomai, default = preset("paper"), preset("paper-atomai"), preset("default")
    assert paper.encoder == atomai.encoder == MLPEncoder(hidden=128, layers=2)
    assert (paper.decoder, atomai.decoder) == (SpatialDecoder(128, 2), SpatialDecoder(128, 3))
    assert paper.angle_prior.mean_term and not atomai.angle_prior.mean_term
    assert paper.training == atomai.training and paper.training.learning_rate == 1e-4
    assert type(paper.likelihood).__name__ == "UnitGaussian" and paper.content_dim == 2 and paper.shift_scale == 0.1
    assert default == RVAEConfig() and type(default.likelihood).__name__ == "LearnedGaussian"


@pytest.mark.parametrize("name", ["amortised", "paper"])
def test_a_share_of_the_pixels_estimates_all_of_them_without_bias(name):
    model = elbo.build(preset(name), SHAPE)
    params = _init(model, 0)
    images = jax.random.uniform(jax.random.key(1), (2, *SHAPE))
    everything = _terms(model, params, images, seed=2).log_likelihood
    halves = [_terms(model, params, images, seed=2, pixels=jnp.arange(36)[i::2]).log_likelihood for i in (0, 1)]
    assert np.allclose((halves[0] + halves[1]) / 2, everything, rtol=1e-4)


def test_default_elbo_is_no_better_than_the_data_allow():
    """With the circular posterior too, every divergence is at least 0 for any parameters."""
    model = elbo.build(preset("default"), SHAPE)
    for seed in range(3):
        params = jax.tree.map(lambda p: 2 * p, _init(model, seed))
        images = jax.random.uniform(jax.random.key(seed + 10), (4, *SHAPE))
        terms = _terms(model, params, images, seed=5)
        assert all((kl >= -1e-4).all() for kl in terms[1:4])


def test_the_distance_of_the_contents_from_zero_is_estimated_without_bias():
    """Batches of a normal around a known mean: the average estimate is that mean's square, the spread adds nothing."""
    mean = jnp.asarray([0.6, -0.3])
    batches = mean[None, None] + jax.random.normal(jax.random.key(5), (4000, 8, 2))
    estimates = jax.jit(jax.vmap(elbo.off_centre))(batches)
    assert float(estimates.mean()) == pytest.approx(float((mean**2).sum()), abs=5 * float(estimates.std()) / 4000**0.5)
    assert float(elbo.off_centre(batches[0, :1])) == pytest.approx(0, abs=1e-6)
