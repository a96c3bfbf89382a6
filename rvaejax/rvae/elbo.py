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
from rvaejax.rvae.coordinates import content_frame, grid, to_content
from rvaejax.rvae.pieces import piece_size, sum_of

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
        terms: `(params, images, *, key, pixels) -> ElboTerms` of each example; to look at, not to differentiate.
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


def draw_pixels(config: RVAEConfig, size: int, *, key: Key[Array, ""]) -> Int[Array, " p"] | None:
    """The pixels that a step's likelihood is estimated from; None for all of them.

    The decoder is a function of coordinates: some pixels give an unbiased estimate of the sum over all.
    """
    count = max(FEWEST_PIXELS, round(config.pixel_share * size * size))
    return None if count >= size * size else jax.random.randint(key, (count,), 0, size * size)


class _Sample(NamedTuple):
    """What the decoder draws an example at: m frames, with weights, and one content."""

    frames: Float[Array, "... m 2 3"]
    content: Float[Array, "... d"]
    weight: Float[Array, "... m"]


class _Found(NamedTuple):
    """What a batch comes to.

    Attributes:
        log_likelihood: mean over the batch, which is what its gradient is taken of.
        terms: of each example; their log-likelihoods have no gradient.
        variances: of the divergences that are estimated.
        posterior: of each example.
    """

    log_likelihood: Float[Array, ""]
    terms: ElboTerms
    variances: dict[str, Float[Array, " b"]]
    posterior: Encoded


def build(config: RVAEConfig, shape: tuple[int, int, int], most_rows: int | None = None) -> RVAE:
    """The rVAE of windows of shape (h, w, c), h = w; every choice of family is made here.

    Args:
        config: the families and their options.
        shape: of a window.
        most_rows: pixels, over examples and draws, that the gradient takes through the decoder at a time; None for
            the whole batch. It changes the order of a sum, nothing else (`rvae/pieces.py`).
    """
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

    def sample(prior, q: Encoded, key) -> tuple[_Sample, ElboTerms, dict[str, Float[Array, ""]]]:
        """One example's draws, its divergences, and the variances of those that are estimated."""
        a, b, c, *more = jax.random.split(key, 3 + 2 * bool(sampled))
        draws = families.angle.draw(q.angle, key=a)
        shift = families.shift.draw(q.shift, prior["shift"], key=b)
        content = families.content.draw(q.content, prior["content"], key=c)
        frames = jax.vmap(content_frame, in_axes=(0, None))(draws.angle, shift)
        kl_shift = families.shift.kl(q.shift, prior["shift"], key=more[0] if sampled else None)
        kl_content = families.content.kl(q.content, prior["content"], key=more[1] if sampled else None)
        found = ElboTerms(jnp.zeros(()), families.angle.kl(q.angle, prior["angle"]), kl_shift.kl, kl_content.kl)
        variances = {"shift": kl_shift.variance, "content": kl_content.variance}
        return _Sample(frames, content, draws.weight), found, variances

    def expected(params, examples: tuple[_Sample, Float[Array, "b p c"]], points) -> Float[Array, " b"]:
        """Log-likelihood of each example, over its draws."""
        drawn_at, x = examples
        drawn = decoder.apply_all(params["decoder"], points, drawn_at.frames, drawn_at.content)
        of_draws = jax.vmap(fit, in_axes=(None, None, 0, None))
        fits = jax.vmap(of_draws, in_axes=(None, 0, 0, None))(params, x, drawn, points)
        return (drawn_at.weight * fits).sum(1)

    def inferred(params: PyTree, images: Float[Array, "b h w c"], key, pixels: Int[Array, " p"] | None) -> _Found:
        q, points = encode(params, images), grid(size)
        x = images.reshape(len(images), size * size, channels)
        if pixels is not None:
            x, points = x[:, pixels], points[pixels]
        keys = jax.random.split(key, len(images))
        drawn_at, found, variances = jax.vmap(sample, in_axes=(None, 0, 0))(prior_params(params), q, keys)
        count = piece_size(len(images), len(points) * drawn_at.weight.shape[1], most_rows)
        total, each = sum_of(expected, count, params, (drawn_at, x), points)
        return _Found(total / len(images), found._replace(log_likelihood=each), variances, q)

    def terms(params: PyTree, images: Float[Array, "b h w c"], *, key, pixels: Int[Array, " p"] | None) -> ElboTerms:
        return inferred(params, images, key, pixels).terms

    def loss(params: PyTree, images: Float[Array, "b h w c"], step: Integer[Array, ""] | int, *, key: Key[Array, ""]):
        for_pixels, for_terms = jax.random.split(key)
        found = inferred(params, images, for_terms, draw_pixels(config, size, key=for_pixels))
        means = ElboTerms(found.log_likelihood, *(value.mean() for value in found.terms[1:]))
        # root mean square over examples of the standard error of one's estimate [nat]
        errors = {f"kl_{name}_error": jnp.sqrt(found.variances[name].mean()) for name in sampled}
        centring = config.centring / schedules.temperature(config, step) * off_centre(found.posterior.content.mean)
        metrics = {"elbo": elbo(found.terms).mean(), **means._asdict(), **errors}
        return centring - objective(means, config, step), metrics

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
