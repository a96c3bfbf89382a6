"""Components of a mixture prior as kinds: Bayes' rule, in the reported order and sign of the content."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from rvaejax.analysis.components import component_probabilities
from rvaejax.errors import ConfigError
from rvaejax.rvae import elbo
from rvaejax.rvae.config import FourierDecoder, NormalMixture, PolarEncoder, RVAEConfig, StandardNormal
from rvaejax.rvae.priors.functions import RATE
from rvaejax.rvae.record import TrainedRVAE
from rvaejax.types import Latents

SHAPE = (8, 8, 1)
CONFIG = RVAEConfig(
    content_dim=2,
    encoder=PolarEncoder(orientations=8, hidden=4, layers=1, harmonics=2),
    decoder=FourierDecoder(hidden=4, layers=1, max_modes=2),
    content_prior=NormalMixture(components=3),
)


def _model(config):
    params = jax.jit(lambda key: elbo.build(config, SHAPE).init(key=key))(jax.random.key(0))
    facts = {"pixel_size_nm": None, "channels": ("intensity",), "history": (), "steps": 0, "cut": 0, "seed": 0}
    return TrainedRVAE(config, params, SHAPE, (0.0, 1.0), (1, 0), (1, -1), (1.0, 0.5), **facts)


def _latents(content):
    n = len(content)
    return Latents(np.zeros(n), np.ones(n), np.zeros((n, 2)), content, np.ones_like(content))


def test_probabilities_are_bayes_rule_in_the_networks_own_order_and_sign():
    mean, sd = np.array([[-1.0, 0.0], [1.0, 0.5], [0.0, 2.0]]), np.array([[0.5, 0.4], [0.3, 0.3], [1.0, 0.6]])
    weight, content = np.array([0.5, 0.3, 0.2]), np.random.default_rng(0).normal(0, 1, (20, 2))
    model = _model(CONFIG)
    model.params["prior"]["content"] = {
        "mean": jnp.asarray(mean / RATE, jnp.float32),
        "log_sd": jnp.asarray(np.log(sd) / RATE, jnp.float32),
        "logits": jnp.asarray(np.log(weight) / RATE, jnp.float32),
    }
    own = np.stack([-content[:, 1], content[:, 0]], axis=1)  # reported: latent 1 first, then latent 0 turned over
    density = weight * norm.pdf(own[:, None], mean, sd).prod(2)
    found = component_probabilities(model, _latents(content.astype(np.float32)))
    assert found == pytest.approx(density / density.sum(1, keepdims=True), abs=1e-4)


def test_a_prior_without_components_is_refused():
    with pytest.raises(ConfigError, match=r"content_prior=StandardNormal\(...\) has no components"):
        component_probabilities(_model(replace(CONFIG, content_prior=StandardNormal())), _latents(np.zeros((2, 2))))
