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
from rvaejax.rvae import likelihoods, posteriors, schedules
from rvaejax.rvae.config import RVAEConfig
from rvaejax.rvae.coordinates import grid, to_content

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
        decode: `(params, points (p, 2), angle, shift (2,), content (d,)) -> (p, c)`, expected intensities of one
            example; shift [half windows].
        families: the functions of each latent's posterior and prior.
        log_likelihood: `(params, x (p, c), points (p, 2), angle, shift, content) -> ` log-likelihood of one example.
        prior_params: `params -> {"angle", "shift", "content"}`, the priors' parameters as their functions take them.
        terms: `(params, images, *, key, pixels) -> ElboTerms` of each example.
        loss: `(params, images, step, *, key) -> (loss, metrics)`, the means over the batch.
    """

    init: Callable[..., PyTree]
    encode: Callable[..., Encoded]
    decode: Callable[..., Float[Array, "p c"]]
    families: posteriors.Posteriors
    log_likelihood: Callable[..., Float[Array, ""]]
    prior_params: Callable[[PyTree], dict[str, PyTree]]
    terms: Callable[..., ElboTerms]
    loss: Callable[..., tuple[Float[Array, ""], dict[str, Float[Array, ""]]]]


def elbo(terms: ElboTerms) -> Float[Array, "..."]:
    """The evidence lower bound."""
    return terms.log_likelihood - terms.kl_angle - terms.kl_shift - terms.kl_content


def objective(means: ElboTerms, config: RVAEConfig, step: Integer[Array, ""] | int) -> Float[Array, ""]:
    """The batch's ELBO with the weights that the configuration gives its terms at a step; `means` over the batch."""
    factor = schedules.weight_factor(config.divergences, step)
    weighted = ElboTerms(
        means.log_likelihood / schedules.temperature(config, step),
        factor * config.angle_weight * means.kl_angle,
        factor * config.shift_weight * means.kl_shift,
        factor * schedules.content_cost(config, step)(means.kl_content),
    )
    return elbo(weighted)


def build(config: RVAEConfig, shape: tuple[int, int, int]) -> RVAE:
    """The rVAE of windows of shape (h, w, c), h = w; every choice of family is made here."""
    size, _, channels = shape
    encoder = encoders.build(config.encoder, shape, config.content_dim)
    decoder = decoders.build(config.decoder, size, channels, config.content_dim)
    likelihood = likelihoods.build(config.likelihood)
    families = posteriors.build(config, shape)
    sampled = posteriors.sampled(families)

    def init(*, key: Key[Array, ""]) -> PyTree:
        a, b = jax.random.split(key)
        params = {"encoder": encoder.init(key=a), "decoder": decoder.init(key=b), "likelihood": likelihood.init()}
        return {**params, **posteriors.init_priors(families, key=jax.random.fold_in(key, 2))}

    def encode(params, images):
        return encoder.apply(params["encoder"], images)

    def prior_params(params: PyTree) -> dict[str, PyTree]:
        return posteriors.prior_params(families, params, lambda images: encode(params, images))

    def draw(params, points, angle, shift, content):
        return decoder.apply(params["decoder"], to_content(points, angle, shift), content)

    def decode(params, points, angle, shift, content):
        return likelihood.mean(draw(params, points, angle, shift, content))

    def log_likelihood(params, x, points, angle, shift, content):
        return likelihood.log_prob(params["likelihood"], x, draw(params, points, angle, shift, content)).sum()

    def one(params, prior, q: Encoded, x: Float[Array, "p c"], points: Float[Array, "p 2"], key):
        a, b, c, *more = jax.random.split(key, 3 + 2 * bool(sampled))
        draws = families.angle.draw(q.angle, key=a)
        shift = families.shift.draw(q.shift, prior["shift"], key=b)
        content = families.content.draw(q.content, prior["content"], key=c)
        drawn = jax.vmap(lambda angle: draw(params, points, angle, shift, content))(draws.angle)
        log_prob = likelihood.log_prob(params["likelihood"], x[None], drawn).sum((1, 2))
        kl_shift = families.shift.kl(q.shift, prior["shift"], key=more[0] if sampled else None)
        kl_content = families.content.kl(q.content, prior["content"], key=more[1] if sampled else None)
        found = ElboTerms(
            (draws.weight * log_prob).sum() * (size * size / len(points)),
            families.angle.kl(q.angle, prior["angle"]),
            kl_shift.kl,
            kl_content.kl,
        )
        return found, {"shift": kl_shift.variance, "content": kl_content.variance}

    def terms_and_variances(params, images, key, pixels):
        q, points = encode(params, images), grid(size)
        x = images.reshape(len(images), size * size, channels)
        if pixels is not None:
            x, points = x[:, pixels], points[pixels]
        keys = jax.random.split(key, len(images))
        return jax.vmap(one, in_axes=(None, None, 0, 0, None, 0))(params, prior_params(params), q, x, points, keys)

    def terms(params: PyTree, images: Float[Array, "b h w c"], *, key, pixels: Int[Array, " p"] | None) -> ElboTerms:
        return terms_and_variances(params, images, key, pixels)[0]

    def loss(params: PyTree, images: Float[Array, "b h w c"], step: Integer[Array, ""] | int, *, key: Key[Array, ""]):
        for_pixels, for_terms = jax.random.split(key)
        # The decoder is a function of coordinates: some pixels give an unbiased estimate of the sum over all.
        count = max(FEWEST_PIXELS, round(config.pixel_share * size * size))
        everything = count >= size * size
        pixels = None if everything else jax.random.randint(for_pixels, (count,), 0, size * size)
        t, variances = terms_and_variances(params, images, for_terms, pixels)
        means = ElboTerms(*(value.mean() for value in t))
        # root mean square over examples of the standard error of one's estimate [nat]
        errors = {f"kl_{name}_error": jnp.sqrt(variances[name].mean()) for name in sampled}
        return -objective(means, config, step), {"elbo": elbo(t).mean(), **means._asdict(), **errors}

    return RVAE(
        init=init,
        encode=encode,
        decode=decode,
        families=families,
        log_likelihood=log_likelihood,
        prior_params=prior_params,
        terms=terms,
        loss=loss,
    )
