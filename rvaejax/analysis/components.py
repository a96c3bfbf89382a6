"""Which component of a mixture prior each sub-image's content belongs to: kinds found without labels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rvaejax.errors import ConfigError
from rvaejax.rvae import elbo
from rvaejax.rvae.config import NormalMixture, VampPrior
from rvaejax.rvae.priors.vector import log_normal
from rvaejax.rvae.record import TrainedRVAE
from rvaejax.types import Latents


def component_probabilities(model: TrainedRVAE, latents: Latents) -> Float[np.ndarray, "n k"]:
    """P(component | content) of each sub-image, at the mean of its posterior.

    Args:
        model: an rVAE with a mixture as the content's prior.
        latents: of the sub-images, as `encode` gives them.

    Raises:
        ConfigError: the content's prior is no mixture.
    """
    if not isinstance(model.config.content_prior, NormalMixture | VampPrior):
        kind = type(model.config.content_prior).__name__
        raise ConfigError(f"content_prior={kind}(...) has no components: train with NormalMixture or VampPrior")
    own = np.empty_like(latents.content, dtype=np.float32)
    own[:, list(model.order)] = latents.content * np.asarray(model.sign, np.float32)
    prior = elbo.build(model.config, model.image_shape).prior_params(model.params)["content"]
    each = jax.vmap(lambda z: log_normal(z[None], prior["mean"], prior["log_sd"]))(jnp.asarray(own))
    return np.asarray(jax.nn.softmax(jax.nn.log_softmax(prior["logits"])[None] + each, axis=1))
