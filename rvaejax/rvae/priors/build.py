"""From the options of a prior, or from a prior of one's own, to its functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from rvaejax.rvae.priors import angle, circle, vector
from rvaejax.rvae.priors.config import AnglePrior, ContentPrior, ShiftPrior
from rvaejax.rvae.priors.functions import PriorFns, as_they_are, no_params


def build_angle(prior: AnglePrior) -> PriorFns:
    """The functions of an angle's prior, of any number of angles [rad] at a time."""
    made = angle.BUILD.get(type(prior))
    one = _own(prior, 1) if made is None else made(prior)

    def log_prob(value, params):
        return jnp.vectorize(lambda a: one.log_prob(a, params))(circle.wrap(jnp.asarray(value)))

    def mean_log_prob(mean, sd, params):
        return jnp.vectorize(lambda m, s: one.mean_log_prob(m, s, params))(mean, sd)  # type: ignore[misc]

    def sample(params, shape, *, key):
        return circle.sample(lambda a: log_prob(a, params), shape, key=key)

    return one._replace(
        log_prob=log_prob,
        mean_log_prob=None if one.mean_log_prob is None else mean_log_prob,
        sample=sample if one.sample is None else one.sample,
    )


def build_shift(prior: ShiftPrior, scale: float) -> PriorFns:
    """The functions of a shift's prior; its values are in half windows, `scale` is the unit of the encoder's latent."""
    made = vector.SHIFT.get(type(prior))
    return _own(prior, 2) if made is None else made(prior, scale)


def build_content(prior: ContentPrior, dim: int, shape: tuple[int, int, int]) -> PriorFns:
    """The functions of the prior of `dim` content latents, for windows of `shape` (h, w, c)."""
    made = vector.CONTENT.get(type(prior))
    return _own(prior, dim) if made is None else made(prior, dim, shape)


def _own(prior: Any, dim: int) -> PriorFns:
    init: Callable[..., Any] | None = getattr(prior, "init", None)
    return PriorFns(
        prior.log_prob,
        getattr(prior, "sample", None),
        no_params if init is None else lambda *, key: init(dim, key=key),
        getattr(prior, "prepare", as_they_are),
        kl=getattr(prior, "kl", None),
        transport=getattr(prior, "transport", None),
    )
