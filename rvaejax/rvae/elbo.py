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
        init: `(*, key, images=None) -> params`; some images, where given, set the scale of the encoder's features.
        encode: `(params, images (b, h, w, c)) -> Encoded`.
        decode: `(params, points (p, 2), angle, shift (2,), content (d,)) -> (p, c)`, expected intensities of one
            example; shift [half windows].
        expect: `(params, x (p, c), points (p, 2), angle, shift (2,), content (d,)) -> (p, c)`, expected intensities of
            all pixels of one window in the light in which its image x was taken.
        families: the functions of each latent's posterior and prior.
        log_likelihood: `(params, x (p, c), points (p, 2), angle, shift, content) -> ` log-likelihood of one example on
            all its pixels.
        prior_params: `params -> {"angle", "shift", "content"}`, the priors' parameters as their functions take them.
        terms: `(params, images, *, key, pixels) -> ElboTerms` of each example.
        loss: `(params, images, step, *, key) -> (loss, metrics)`, the means over the batch.
    """

    init: Callable[..., PyTree]
    encode: Callable[..., Encoded]
    decode: Callable[..., Float[Array, "p c"]]
    expect: Callable[..., Float[Array, "p c"]]
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


def off_centre(content: Float[Array, "b d"]) -> Float[Array, ""]:
    """Unbiased estimate of |E m|^2 from the means m of a batch's contents: (|sum m|^2 - sum |m|^2) / (b (b - 1)).

    The ELBO hardly minds where the contents lie as long as they lie together: all of them run far from 0 while the
    decoder learns what the images have in common, and there its layers are saturated, and deaf to differences.
    """
    b = len(content)
    return ((content.sum(0) ** 2).sum() - (content**2).sum()) / max(1, b * (b - 1))


def build(config: RVAEConfig, shape: tuple[int, int, int]) -> RVAE:
    """The rVAE of windows of shape (h, w, c), h = w; every choice of family is made here."""
    size, _, channels = shape
    encoder = encoders.build(config.encoder, shape, config.content_dim)
    decoder = decoders.build(config.decoder, size, channels, config.content_dim)
    likelihood = likelihoods.build(config.likelihood)
    families = posteriors.build(config, shape)
    sampled = posteriors.sampled(families)

    def init(*, key: Key[Array, ""], images: Float[Array, "b h w c"] | None = None) -> PyTree:
        a, b = jax.random.split(key)
        given = {} if images is None else {"images": images}
        encoding = encoder.init(key=a, **given)
        params = {"encoder": encoding, "decoder": decoder.init(key=b), "likelihood": likelihood.init()}
        return {**params, **posteriors.init_priors(families, key=jax.random.fold_in(key, 2))}

    def encode(params, images):
        return encoder.apply(params["encoder"], images)

    def prior_params(params: PyTree) -> dict[str, PyTree]:
        return posteriors.prior_params(families, params, lambda images: encode(params, images))

    def draw(params, points, angle, shift, content):
        return decoder.apply(params["decoder"], to_content(points, angle, shift), content)

    def decode(params, points, angle, shift, content):
        return likelihood.mean(draw(params, points, angle, shift, content))

    def expect(params, x, points, angle, shift, content):
        drawn = draw(params, points, angle, shift, content)
        return likelihood.mean(likelihood.match(params["likelihood"], x, drawn, points, 1.0).drawn)

    def fit(params, x, drawn, points):
        """Log-likelihood of a whole window by the pixels at some points, in the likeliest light."""
        each = size * size / len(points)
        light = likelihood.match(params["likelihood"], x, drawn, points, each)
        return each * likelihood.log_prob(params["likelihood"], x, light.drawn).sum() - light.penalty

    def log_likelihood(params, x, points, angle, shift, content):
        return fit(params, x, draw(params, points, angle, shift, content), points)

    def one(params, prior, q: Encoded, x: Float[Array, "p c"], points: Float[Array, "p 2"], key):
        a, b, c, *more = jax.random.split(key, 3 + 2 * bool(sampled))
        draws = families.angle.draw(q.angle, key=a)
        shift = families.shift.draw(q.shift, prior["shift"], key=b)
        content = families.content.draw(q.content, prior["content"], key=c)
        drawn = jax.vmap(lambda angle: draw(params, points, angle, shift, content))(draws.angle)
        fits = jax.vmap(lambda drawn: fit(params, x, drawn, points))(drawn)
        kl_shift = families.shift.kl(q.shift, prior["shift"], key=more[0] if sampled else None)
        kl_content = families.content.kl(q.content, prior["content"], key=more[1] if sampled else None)
        found = ElboTerms(
            (draws.weight * fits).sum(),
            families.angle.kl(q.angle, prior["angle"]),
            kl_shift.kl,
            kl_content.kl,
        )
        return found, {"shift": kl_shift.variance, "content": kl_content.variance}

    def inferred(params, images, key, pixels):
        q, points = encode(params, images), grid(size)
        x = images.reshape(len(images), size * size, channels)
        if pixels is not None:
            x, points = x[:, pixels], points[pixels]
        keys = jax.random.split(key, len(images))
        found = jax.vmap(one, in_axes=(None, None, 0, 0, None, 0))(params, prior_params(params), q, x, points, keys)
        return *found, q

    def terms(params: PyTree, images: Float[Array, "b h w c"], *, key, pixels: Int[Array, " p"] | None) -> ElboTerms:
        return inferred(params, images, key, pixels)[0]

    def loss(params: PyTree, images: Float[Array, "b h w c"], step: Integer[Array, ""] | int, *, key: Key[Array, ""]):
        for_pixels, for_terms = jax.random.split(key)
        # The decoder is a function of coordinates: some pixels give an unbiased estimate of the sum over all.
        count = max(FEWEST_PIXELS, round(config.pixel_share * size * size))
        everything = count >= size * size
        pixels = None if everything else jax.random.randint(for_pixels, (count,), 0, size * size)
        t, variances, q = inferred(params, images, for_terms, pixels)
        means = ElboTerms(*(value.mean() for value in t))
        # root mean square over examples of the standard error of one's estimate [nat]
        errors = {f"kl_{name}_error": jnp.sqrt(variances[name].mean()) for name in sampled}
        centring = config.centring / schedules.temperature(config, step) * off_centre(q.content.mean)
        return centring - objective(means, config, step), {"elbo": elbo(t).mean(), **means._asdict(), **errors}

    return RVAE(
        init=init,
        encode=encode,
        decode=decode,
        expect=expect,
        families=families,
        log_likelihood=log_likelihood,
        prior_params=prior_params,
        terms=terms,
        loss=loss,
    )
