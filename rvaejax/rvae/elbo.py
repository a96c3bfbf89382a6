"""The evidence lower bound of the rVAE, term by term and per example.

ELBO = E_q[log p(x | angle, shift, content)] - KL(angle) - KL(shift) - KL(content)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Integer, Key, PyTree

from rvaejax.nets import decoders, encoders
from rvaejax.nets.encoders import Encoded
from rvaejax.rvae import latents, likelihoods
from rvaejax.rvae.config import RVAEConfig
from rvaejax.rvae.coordinates import grid, to_content
from rvaejax.rvae.priors import kl_normal

FEWEST_PIXELS = 128


class ElboTerms(NamedTuple):
    """The terms of one example's ELBO [nat]; each divergence is positive."""

    log_likelihood: Float[Array, "..."]
    kl_angle: Float[Array, "..."]
    kl_shift: Float[Array, "..."]
    kl_content: Float[Array, "..."]


class RVAE(NamedTuple):
    """An rVAE as pure functions, for windows of one shape.

    Attributes:
        init: `(*, key) -> params`.
        encode: `(params, images (b, h, w, c)) -> Encoded`.
        decode: `(params, points (p, 2), angle, shift (2,), content (d,)) -> (p, c)`, one example; shift [half windows].
        angle: the functions of the angle's posterior.
        terms: `(params, images, *, key, pixels) -> ElboTerms` of each example.
        loss: `(params, images, step, *, key) -> (loss, metrics)`, the means over the batch.
    """

    init: Callable[..., PyTree]
    encode: Callable[..., Encoded]
    decode: Callable[..., Float[Array, "p c"]]
    angle: latents.AngleFamily
    terms: Callable[..., ElboTerms]
    loss: Callable[..., tuple[Float[Array, ""], dict[str, Float[Array, ""]]]]


def elbo(terms: ElboTerms) -> Float[Array, "..."]:
    """The evidence lower bound."""
    return terms.log_likelihood - terms.kl_angle - terms.kl_shift - terms.kl_content


def temperature(config: RVAEConfig, step: Integer[Array, ""] | int) -> Float[Array, ""]:
    """Divisor of the log-likelihood: falls to 1 by equal factors (deterministic annealing, Ueda and Nakano 1998)."""
    left = jnp.clip(1 - step / max(1, config.anneal_steps), 0.0, 1.0)
    return config.temperature**left


def objective(terms: ElboTerms, config: RVAEConfig, temperature: Float[Array, ""]) -> Float[Array, "..."]:
    """The ELBO with the configuration's weights on its divergences, and the temperature under its likelihood."""
    weighted = ElboTerms(
        terms.log_likelihood / temperature,
        config.angle_weight * terms.kl_angle,
        config.shift_weight * terms.kl_shift,
        config.content_weight * terms.kl_content,
    )
    return elbo(weighted)


def build(config: RVAEConfig, shape: tuple[int, int, int]) -> RVAE:
    """The rVAE of windows of shape (h, w, c), h = w; every choice of family is made here."""
    size, _, channels = shape
    encoder = encoders.build(config.encoder, shape, config.content_dim)
    decoder = decoders.build(config.decoder, size, channels, config.content_dim)
    likelihood = likelihoods.build(config.likelihood)
    family = latents.build(config.encoder, config.angle_prior, config.draws)

    def init(*, key: Key[Array, ""]) -> PyTree:
        a, b = jax.random.split(key)
        return {"encoder": encoder.init(key=a), "decoder": decoder.init(key=b), "likelihood": likelihood.init()}

    def decode(params, points, angle, shift, content):
        return decoder.apply(params["decoder"], to_content(points, angle, shift), content)

    def one(params, q: Encoded, x: Float[Array, "p c"], points: Float[Array, "p 2"], key) -> ElboTerms:
        a, b, c = jax.random.split(key, 3)
        draws = family.draw(q.angle, key=a)
        shift = config.shift_scale * latents.draw_normal(q.shift, key=b)
        content = latents.draw_normal(q.content, key=c)
        mean = jax.vmap(lambda angle: decode(params, points, angle, shift, content))(draws.angle)
        log_likelihood = likelihood.log_prob(params["likelihood"], x[None], mean).sum((1, 2))
        return ElboTerms(
            (draws.weight * log_likelihood).sum() * (size * size / len(points)),
            family.kl(q.angle),
            kl_normal(*q.shift).sum(),
            kl_normal(*q.content).sum(),
        )

    def terms(params: PyTree, images: Float[Array, "b h w c"], *, key, pixels: Int[Array, " p"] | None) -> ElboTerms:
        q, points = encoder.apply(params["encoder"], images), grid(size)
        x = images.reshape(len(images), size * size, channels)
        if pixels is not None:
            x, points = x[:, pixels], points[pixels]
        keys = jax.random.split(key, len(images))
        return jax.vmap(one, in_axes=(None, 0, 0, None, 0))(params, q, x, points, keys)

    def loss(params: PyTree, images: Float[Array, "b h w c"], step: Integer[Array, ""] | int, *, key: Key[Array, ""]):
        for_pixels, for_terms = jax.random.split(key)
        # The decoder is a function of coordinates: some pixels give an unbiased estimate of the sum over all.
        count = max(FEWEST_PIXELS, round(config.pixel_share * size * size))
        everything = count >= size * size
        pixels = None if everything else jax.random.randint(for_pixels, (count,), 0, size * size)
        t = terms(params, images, key=for_terms, pixels=pixels)
        metrics = {name: value.mean() for name, value in t._asdict().items()}
        return -objective(t, config, temperature(config, step)).mean(), {"elbo": elbo(t).mean(), **metrics}

    return RVAE(init, lambda params, x: encoder.apply(params["encoder"], x), decode, family, terms, loss)
