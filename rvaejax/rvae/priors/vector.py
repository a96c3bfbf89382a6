"""The priors of shift and content that come with the package, as functions; see `config.py` for what each is."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.scipy.special import erf, gammaln
from jaxtyping import Array, Float

from rvaejax.errors import ConfigError
from rvaejax.nets import flows
from rvaejax.nets.encoders import Normal
from rvaejax.rvae.divergences import LOG_2PI, kl_normal
from rvaejax.rvae.priors.config import (
    DiscShift,
    FlowPrior,
    GaussianShift,
    Laplace,
    NormalMixture,
    StandardNormal,
    StudentT,
    VampPrior,
)
from rvaejax.rvae.priors.functions import RATE, PriorFns

Build = Callable[..., PriorFns]


def log_normal(
    value: Float[Array, "... d"], mean: Float[Array, "... d"], log_sd: Float[Array, "... d"]
) -> Float[Array, "..."]:
    """Log-density of independent Gaussians, summed over the last axis."""
    return (-0.5 * ((value - mean) * jnp.exp(-log_sd)) ** 2 - log_sd - 0.5 * LOG_2PI).sum(-1)


def gaussian(scale: float) -> PriorFns:
    """Independent Gaussians of mean 0."""
    log_scale = jnp.asarray(math.log(scale), jnp.float32)
    return PriorFns(
        lambda z, params: log_normal(z, jnp.zeros_like(z), jnp.full(z.shape, log_scale)),
        lambda params, shape, *, key: scale * jax.random.normal(key, shape),
        kl=lambda q, params: kl_normal(q.mean, q.log_sd, scale).sum(),
    )


def disc(prior: DiscShift) -> PriorFns:
    """Density 1 / (pi R^2) within R; a standard normal u becomes R u / |u| sqrt(1 - exp(-|u|^2 / 2))."""

    def log_prob(shift, params):
        inside = (shift**2).sum(-1) <= prior.radius**2
        return jnp.where(inside, -math.log(math.pi * prior.radius**2), -jnp.inf)

    def transport(latent, params):
        half = 0.5 * (latent**2).sum(-1, keepdims=True)
        # sqrt((1 - exp(-h)) / (2 h)), by its series near 0, where quotient and root have no gradient
        small = half < 1e-3
        far = jnp.where(small, 1.0, half)
        ratio = jnp.where(small, 1 - half / 2 + half**2 / 6, -jnp.expm1(-far) / far)
        return prior.radius * latent * jnp.sqrt(0.5 * ratio)

    def sample(params, shape, *, key):
        return transport(jax.random.normal(key, shape), params)

    return PriorFns(log_prob, sample, transport=transport)


def mixture(prior: NormalMixture, dim: int) -> PriorFns:
    """Log of the sum of weight_j x N(mean_j, sd_j^2); where it is not learned, its means are always the same draws."""

    def start(*, key):
        count = prior.components
        return {
            "mean": prior.spread * jax.random.normal(key, (count, dim)),
            "log_sd": jnp.full((count, dim), math.log(prior.sd), jnp.float32),
            "logits": jnp.zeros(count),
        }

    if prior.learn:
        return PriorFns(
            log_mixture,
            sample_mixture,
            lambda *, key: jax.tree.map(lambda v: v / RATE, start(key=key)),
            lambda params, encode: jax.tree.map(lambda v: RATE * v, params),
        )
    return PriorFns(log_mixture, sample_mixture, prepare=lambda params, encode: start(key=jax.random.key(0)))


def vamp(prior: VampPrior, shape: tuple[int, int, int]) -> PriorFns:
    """Log of the mean over pseudo-images of their posteriors' densities."""

    def init(*, key):
        return {"images": 0.5 + 0.25 * jax.random.normal(key, (prior.components, *shape))}

    def prepare(params, encode):
        posterior = encode(jnp.clip(params["images"], -0.5, 1.5))
        return {"mean": posterior.mean, "log_sd": posterior.log_sd, "logits": jnp.zeros(prior.components)}

    return PriorFns(log_mixture, sample_mixture, init, prepare)


def log_mixture(z: Float[Array, " d"], params: dict[str, Array]) -> Float[Array, ""]:
    """Log-density of a mixture of Gaussians with components along the first axis."""
    each = log_normal(z[..., None, :], params["mean"], params["log_sd"])
    return jax.nn.logsumexp(jax.nn.log_softmax(params["logits"]) + each, axis=-1)


def sample_mixture(params: dict[str, Array], shape: tuple[int, ...], *, key: Array) -> Float[Array, "... d"]:
    """Draws of the same mixture."""
    for_choice, for_noise = jax.random.split(key)
    chosen = jax.random.categorical(for_choice, params["logits"], shape=shape[:-1])
    return params["mean"][chosen] + jnp.exp(params["log_sd"][chosen]) * jax.random.normal(for_noise, shape)


def flow(prior: FlowPrior, dim: int) -> PriorFns:
    """Log N(f(z)) + log |det df/dz|."""
    if dim < 2:
        raise ConfigError(f"content_prior=FlowPrior(...) with content_dim={dim}: it needs at least 2 content latents")
    net = flows.build(prior.layers, prior.hidden, dim)

    def log_prob(z, params):
        latent, log_det = net.to_latent(params, z)
        return log_normal(latent, jnp.zeros_like(latent), jnp.zeros_like(latent)) + log_det

    def sample(params, shape, *, key):
        return net.from_latent(params, jax.random.normal(key, shape))

    return PriorFns(log_prob, sample, net.init)


def student(prior: StudentT) -> PriorFns:
    """Student's t density in each latent."""
    nu = prior.dof
    constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * math.log(nu * math.pi) - math.log(prior.scale)

    def log_prob(z, params):
        return (constant - 0.5 * (nu + 1) * jnp.log1p((z / prior.scale) ** 2 / nu)).sum(-1)

    return PriorFns(log_prob, lambda params, shape, *, key: prior.scale * jax.random.t(key, nu, shape))


def laplace(prior: Laplace) -> PriorFns:
    """Laplace density; under N(m, s^2) the mean of |z| is s sqrt(2 / pi) exp(-m^2 / 2 s^2) + m erf(m / s sqrt 2)."""
    b = prior.scale

    def log_prob(z, params):
        return (-jnp.abs(z) / b - math.log(2 * b)).sum(-1)

    def kl(q: Normal, params):
        sd = jnp.exp(q.log_sd)
        ratio = jnp.clip(q.mean * jnp.exp(-q.log_sd), -20.0, 20.0)  # erf and exp have long come to their ends
        mean_abs = sd * math.sqrt(2 / math.pi) * jnp.exp(-0.5 * ratio**2) + q.mean * erf(ratio * math.sqrt(0.5))
        entropy = 0.5 * (1 + LOG_2PI) + q.log_sd
        return (mean_abs / b + math.log(2 * b) - entropy).sum()

    return PriorFns(log_prob, lambda params, shape, *, key: b * jax.random.laplace(key, shape), kl=kl)


SHIFT: dict[type, Build] = {
    GaussianShift: lambda prior, scale: gaussian(scale),
    DiscShift: lambda prior, scale: disc(prior),
}
CONTENT: dict[type, Build] = {
    StandardNormal: lambda prior, dim, shape: gaussian(1.0),
    NormalMixture: lambda prior, dim, shape: mixture(prior, dim),
    VampPrior: lambda prior, dim, shape: vamp(prior, shape),
    FlowPrior: lambda prior, dim, shape: flow(prior, dim),
    StudentT: lambda prior, dim, shape: student(prior),
    Laplace: lambda prior, dim, shape: laplace(prior),
}
