"""The evidence lower bound of the rVAE, term by term and per example.

ELBO = E_q[log p(x | angle, shift, content)] - KL(angle) - KL(shift) - KL(content)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
from jaxtyping import Array, Float, Int, Integer, Key, PyTree

from rvaejax.nets import decoders, encoders
from rvaejax.nets.encoders import Encoded
from rvaejax.rvae import latents, likelihoods, schedules
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
        init: `(*, key, images=None) -> params`; some images, where given, set the scale of the encoder's features.
        encode: `(params, images (b, h, w, c)) -> Encoded`.
        decode: `(params, points (p, 2), angle, shift (2,), content (d,)) -> (p, c)`, expected intensities of one
            example; shift [half windows].
        expect: `(params, x (p, c), points (p, 2), angle, shift (2,), content (d,)) -> (p, c)`, expected intensities of
            all pixels of one window in the light in which its image x was taken.
        angle: the functions of the angle's posterior.
        terms: `(params, images, *, key, pixels) -> ElboTerms` of each example.
        loss: `(params, images, step, *, key) -> (loss, metrics)`, the means over the batch.
    """

    init: Callable[..., PyTree]
    encode: Callable[..., Encoded]
    decode: Callable[..., Float[Array, "p c"]]
    expect: Callable[..., Float[Array, "p c"]]
    angle: latents.AngleFamily
    terms: Callable[..., ElboTerms]
    loss: Callable[..., tuple[Float[Array, ""], dict[str, Float[Array, ""]]]]


def elbo(terms: ElboTerms) -> Float[Array, "..."]:
    """The evidence lower bound."""
    return terms.log_likelihood - terms.kl_angle - terms.kl_shift - terms.kl_content


def objective(means: ElboTerms, config: RVAEConfig, step: Integer[Array, ""] | int) -> Float[Array, ""]:
    """The batch's ELBO with the weights that the configuration gives its terms at a step; `means` over the batch."""
    factor, hot = schedules.weight_factor(config.divergences, step), schedules.temperature(config, step)
    weighted = ElboTerms(
        means.log_likelihood / hot,
        factor * config.angle_weight * means.kl_angle,
        factor / hot * config.shift_weight * means.kl_shift,
        factor / hot * schedules.content_cost(config, step)(means.kl_content),
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
    family = latents.build(config.encoder, config.angle_prior, config.draws)

    def init(*, key: Key[Array, ""], images: Float[Array, "b h w c"] | None = None) -> PyTree:
        a, b = jax.random.split(key)
        given = {} if images is None else {"images": images}
        encoding = encoder.init(key=a, **given)
        return {"encoder": encoding, "decoder": decoder.init(key=b), "likelihood": likelihood.init()}

    def draw(params, points, angle, shift, content):
        return decoder.apply(params["decoder"], to_content(points, angle, shift), content)

    def decode(params, points, angle, shift, content):
        return likelihood.mean(draw(params, points, angle, shift, content))

    def expect(params, x, points, angle, shift, content):
        drawn = draw(params, points, angle, shift, content)
        return likelihood.mean(likelihood.match(params["likelihood"], x, drawn, points, 1.0).drawn)

    def one(params, q: Encoded, x: Float[Array, "p c"], points: Float[Array, "p 2"], key) -> ElboTerms:
        a, b, c = jax.random.split(key, 3)
        draws = family.draw(q.angle, key=a)
        shift = config.shift_scale * latents.draw_normal(q.shift, key=b)
        content = latents.draw_normal(q.content, key=c)
        drawn = jax.vmap(lambda angle: draw(params, points, angle, shift, content))(draws.angle)
        each = size * size / len(points)
        lit = jax.vmap(lambda drawn: likelihood.match(params["likelihood"], x, drawn, points, each))(drawn)
        log_likelihood = likelihood.log_prob(params["likelihood"], x[None], lit.drawn).sum((1, 2))
        return ElboTerms(
            (draws.weight * (each * log_likelihood - lit.penalty)).sum(),
            family.kl(q.angle),
            kl_normal(*q.shift).sum(),
            kl_normal(*q.content).sum(),
        )

    def inferred(
        params: PyTree, images: Float[Array, "b h w c"], *, key, pixels: Int[Array, " p"] | None
    ) -> tuple[ElboTerms, Encoded]:
        q, points = encoder.apply(params["encoder"], images), grid(size)
        x = images.reshape(len(images), size * size, channels)
        if pixels is not None:
            x, points = x[:, pixels], points[pixels]
        keys = jax.random.split(key, len(images))
        return jax.vmap(one, in_axes=(None, 0, 0, None, 0))(params, q, x, points, keys), q

    def terms(params: PyTree, images: Float[Array, "b h w c"], *, key, pixels: Int[Array, " p"] | None) -> ElboTerms:
        return inferred(params, images, key=key, pixels=pixels)[0]

    def loss(params: PyTree, images: Float[Array, "b h w c"], step: Integer[Array, ""] | int, *, key: Key[Array, ""]):
        for_pixels, for_terms = jax.random.split(key)
        # The decoder is a function of coordinates: some pixels give an unbiased estimate of the sum over all.
        count = max(FEWEST_PIXELS, round(config.pixel_share * size * size))
        everything = count >= size * size
        pixels = None if everything else jax.random.randint(for_pixels, (count,), 0, size * size)
        t, q = inferred(params, images, key=for_terms, pixels=pixels)
        means = ElboTerms(*(value.mean() for value in t))
        centring = config.centring / schedules.temperature(config, step) * off_centre(q.content.mean)
        return centring - objective(means, config, step), {"elbo": elbo(t).mean(), **means._asdict()}

    return RVAE(init, lambda params, x: encoder.apply(params["encoder"], x), decode, expect, family, terms, loss)
