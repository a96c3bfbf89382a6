"""The discrete latent: what the ELBO is when its classes are summed over.

With q(y | x) of the encoder and ELBO(x, y) that of the other latents given a class,

    ELBO(x) = sum over y of q(y | x) ELBO(x, y)  -  KL(q(y | x) || p(y)).

Of a row whose class is known, q(y | x) is 1 at that class and 0 elsewhere: what remains is ELBO(x, y) + log p(y).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

from rvaejax.rvae.divergences import kl_categorical, log_uniform_bins
from rvaejax.rvae.variants import Classes

UNLABELLED = -1
INDECISION = 0.02  # cost of a row's entropy beside that of the batch's imbalance


class Weights(NamedTuple):
    """How much each class counts in the bound of each example, and what that costs.

    Attributes:
        probability: (b, k), rows add up to 1.
        kl: (b,) divergence from the prior [nat]; of a known class minus its log-probability under the prior.
    """

    probability: Float[Array, "b k"]
    kl: Float[Array, " b"]


def one_hot(labels: Int[Array, " b"], count: int) -> Float[Array, "b k"]:
    """(b, k) rows of the identity; a row without a label (-1) is 0."""
    return jax.nn.one_hot(labels, count)


def init(config: Classes, *, key: Key[Array, ""]) -> PyTree:
    """`{"logits"}` of the learned prior; empty where it is not learned."""
    del key
    return {"logits": jnp.zeros(config.count)} if config.learn_prior else {}


def log_prior(config: Classes, params: PyTree) -> Float[Array, " k"]:
    """Log-probabilities of the classes."""
    return jax.nn.log_softmax(params["logits"]) if config.learn_prior else log_uniform_bins(config.count)


def weights(log_q: Float[Array, "b k"], labels: Int[Array, " b"] | None, log_p: Float[Array, " k"]) -> Weights:
    """The posterior where a row has no label, the label where it has one.

    Args:
        log_q: log-probabilities of the encoder's posterior.
        labels: (b,) class, or -1; None where no row has one.
        log_p: log-probabilities of the prior.
    """
    free = Weights(jnp.exp(log_q), kl_categorical(log_q, log_p[None]))
    if labels is None:
        return free
    known, labelled = one_hot(labels, log_q.shape[-1]), labels >= 0
    return Weights(
        jnp.where(labelled[:, None], known, free.probability),
        jnp.where(labelled, -(known * log_p[None]).sum(-1), free.kl),
    )


def imbalance(log_q: Float[Array, "b k"], log_p: Float[Array, " k"]) -> Float[Array, ""]:
    """Divergence of the batch's mean posterior from the prior [nat]."""
    return kl_categorical(jnp.log(jnp.exp(log_q).mean(0) + 1e-9), log_p)


def expected(probability: Float[Array, "b k"], of_each: PyTree) -> PyTree:
    """The mean over the classes of a pytree of (k, b) arrays, each class by its probability."""
    return jax.tree.map(lambda values: (probability.T * values).sum(0), of_each)


class Beside(NamedTuple):
    """What classes cost beside the bound [nat per row], and metrics of it."""

    cost: Float[Array, ""]
    metrics: dict[str, Float[Array, ""]]


def beside(
    config: Classes,
    params: PyTree,
    log_q: Float[Array, "b k"],
    labels: Int[Array, " b"] | None,
    share: Float[Array, ""] | float,
) -> Beside:
    """What keeps classes apart while `share` is below 1, and the cross-entropy of the rows with a label.

    Imbalance: the class that the decoder happens to draw best at first would otherwise take all rows, and keep them.
    Indecision: a decoder that does not use the classes would otherwise leave all of them as likely, and never use them.
    """
    undecided = -(jnp.exp(log_q) * log_q).sum(-1).mean()
    uneven = imbalance(log_q, log_prior(config, params))
    cost = (1 - share) * config.balance * (uneven + INDECISION * undecided)
    if labels is None:
        return Beside(jnp.asarray(cost), {})
    entropy = -(one_hot(labels, config.count) * log_q).sum()
    rows = jnp.maximum((labels >= 0).sum(), 1)
    return Beside(cost + config.classification_weight * entropy / len(labels), {"cross_entropy": entropy / rows})
