"""The priors of the angle that come with the package, as functions of one angle; `config.py` says what each is."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import i0e
from jaxtyping import Array, Float, PyTree

from rvaejax.rvae.divergences import LOG_2PI
from rvaejax.rvae.priors import circle
from rvaejax.rvae.priors.config import (
    GaussianAngle,
    HierarchicalAngle,
    LearnedAngle,
    UniformAngle,
    VonMisesAngle,
    VonMisesMixtureAngle,
)
from rvaejax.rvae.priors.functions import RATE, PriorFns, no_params

_WIDTHS, _WIDTH_WEIGHTS = np.polynomial.hermite_e.hermegauss(15)


def log_von_mises(
    angle: Float[Array, ""], mean: Float[Array, "..."], concentration: Float[Array, "..."], fold: int = 1
) -> Float[Array, "..."]:
    """Log-density k cos(N (angle - mean)) - log(2 pi I0(k)), written so that a large k does not overflow."""
    return concentration * (jnp.cos(fold * (angle - mean)) - 1) - jnp.log(i0e(concentration)) - LOG_2PI


def concentration(params: dict[str, Array]) -> Float[Array, "..."]:
    """The concentration of a von Mises density, or of each of a mixture, from the learned parameters."""
    return jnp.exp(RATE * params["raw"])


def uniform(prior: UniformAngle) -> PriorFns:
    """Log-density -log 2 pi."""

    def sample(params, shape, *, key):
        return jax.random.uniform(key, shape, minval=-jnp.pi, maxval=jnp.pi)

    def log_prob(angle, params):
        return jnp.float32(-LOG_2PI)

    return PriorFns(log_prob, sample, mean_log_prob=lambda mean, sd, params: jnp.float32(-LOG_2PI))


def gaussian(prior: GaussianAngle) -> PriorFns:
    """The wrapped normal; `on_line` for the paper's reading of it."""

    def log_prob(angle, params):
        return circle.log_wrapped_normal(angle, jnp.zeros(()), jnp.asarray(math.log(prior.sd), jnp.float32))

    def sample(params, shape, *, key):
        return circle.wrap(prior.sd * jax.random.normal(key, shape))

    return PriorFns(log_prob, sample, on_line=True)


def von_mises(prior: VonMisesAngle) -> PriorFns:
    """E[log p] under a wrapped normal: k exp(-N^2 sd^2 / 2) cos(N (m - mean)) - log(2 pi I0(k))."""
    start = {"mean": jnp.float32(prior.mean), "raw": _raw(prior.concentration)}

    def own(params):
        p = params if prior.learn else start
        return p["mean"], concentration(p)

    def log_prob(angle, params):
        mean, k = own(params)
        return log_von_mises(angle, mean, k, prior.fold)

    def mean_log_prob(m, sd, params):
        mean, k = own(params)
        damping = jnp.exp(-0.5 * (prior.fold * jnp.minimum(sd, 1e3)) ** 2)
        return k * (damping * jnp.cos(prior.fold * (m - mean)) - 1) - jnp.log(i0e(k)) - LOG_2PI

    return PriorFns(log_prob, None, _starting(start, prior.learn), mean_log_prob=mean_log_prob)


def von_mises_mixture(prior: VonMisesMixtureAngle) -> PriorFns:
    """Log of the sum of weight_j x von Mises(mean_j, k_j)."""
    count = len(prior.means)
    weights = np.ones(count) if prior.weights is None else np.asarray(prior.weights)
    start = {
        "mean": jnp.asarray(prior.means, jnp.float32),
        "raw": jnp.full(count, _raw(prior.concentration)),
        "logits": jnp.asarray(np.log(weights / weights.sum()), jnp.float32),
    }

    def log_prob(angle, params):
        p = params if prior.learn else start
        each = log_von_mises(angle, p["mean"], concentration(p), prior.fold)
        return jax.nn.logsumexp(jax.nn.log_softmax(p["logits"]) + each)

    return PriorFns(log_prob, None, _starting(start, prior.learn))


def learned(prior: LearnedAngle) -> PriorFns:
    """Log p = sum over n of a_n cos(n N angle) + b_n sin(n N angle), less its log-integral over the circle."""
    orders = prior.fold * jnp.arange(1, prior.harmonics + 1, dtype=jnp.float32)
    points = max(circle.POINTS, 16 * prior.fold * prior.harmonics)

    def series(angle, sd, params):
        damping = jnp.exp(-0.5 * (orders * jnp.minimum(sd, 1e3)) ** 2)
        waves = jnp.cos(orders * angle) * params["cos"] + jnp.sin(orders * angle) * params["sin"]
        return RATE * damping @ waves

    def mean_log_prob(mean, sd, params):
        at_points = jax.vmap(lambda a: series(a, 0.0, params))
        return series(mean, sd, params) - circle.log_integral(at_points, points)

    def log_prob(angle, params):
        return mean_log_prob(angle, 0.0, params)

    start = {name: jnp.zeros(prior.harmonics) for name in ("cos", "sin")}
    return PriorFns(log_prob, None, _starting(start, True), mean_log_prob=mean_log_prob)


def hierarchical(prior: HierarchicalAngle) -> PriorFns:
    """Log of the mean over the width's log-normal, by Gauss and Hermite's rule, of the wrapped normal's density."""
    start = {"log_median": jnp.float32(math.log(prior.median)), "log_spread": jnp.float32(math.log(prior.spread))}
    log_weights = np.log(_WIDTH_WEIGHTS / _WIDTH_WEIGHTS.sum())

    def log_prob(angle, params):
        p = params if prior.learn else start
        log_width = p["log_median"] + jnp.exp(p["log_spread"]) * jnp.asarray(_WIDTHS, jnp.float32)
        each = circle.log_wrapped_normal(angle, jnp.zeros(()), log_width)
        return jax.nn.logsumexp(each + jnp.asarray(log_weights, jnp.float32))

    return PriorFns(log_prob, None, _starting(start, prior.learn))


def _raw(value: float) -> Float[Array, ""]:
    return jnp.asarray(math.log(value) / RATE, jnp.float32)


def _starting(start: PyTree, learn: bool) -> Callable[..., PyTree]:
    if not learn:
        return no_params
    return lambda *, key: jax.tree.map(jnp.asarray, start)


BUILD: dict[type, Callable[..., PriorFns]] = {
    UniformAngle: uniform,
    GaussianAngle: gaussian,
    VonMisesAngle: von_mises,
    VonMisesMixtureAngle: von_mises_mixture,
    LearnedAngle: learned,
    HierarchicalAngle: hierarchical,
}
