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
        init: `(*, key) -> params`.
        encode: `(params, images (b, h, w, c)) -> Encoded`.
        decode: `(params, points (p, 2), angle, shift (2,), content (d,)) -> (p, c)`, expected intensities of one
            example; shift [half windows].
        families: the functions of each latent's posterior and prior.
        log_likelihood: `(params, x (p, c), points (p, 2), angle, shift, content) -> ` log-likelihood of one example.
        prior_params: `params -> {"angle", "shift", "content"}`, the priors' parameters as their functions take them.
        terms: `(params, images, *, key, pixels) -> ElboTerms` of each example; to look at, not to differentiate.
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


<<<<<<< HEAD
class _Sample(NamedTuple):
    """What the decoder draws an example at: m frames, with weights, and one content."""

    frames: Float[Array, "... m 2 3"]
    content: Float[Array, "... d"]
    weight: Float[Array, "... m"]


def build(config: RVAEConfig, shape: tuple[int, int, int], most_rows: int | None = None) -> RVAE:
    """The rVAE of windows of shape (h, w, c), h = w; every choice of family is made here.

    Args:
        config: the families and their options.
        shape: of a window.
        most_rows: pixels, over examples and draws, that the gradient takes through the decoder at a time; None for
            the whole batch. It changes the order of a sum, nothing else (`rvae/pieces.py`).
    """
=======
def draw_pixels(config: RVAEConfig, size: int, *, key: Key[Array, ""]) -> Int[Array, " p"] | None:
    """The pixels that a step's likelihood is estimated from; None for all of them.

    The decoder is a function of coordinates: some pixels give an unbiased estimate of the sum over all.
    """
    count = max(FEWEST_PIXELS, round(config.pixel_share * size * size))
    return None if count >= size * size else jax.random.randint(key, (count,), 0, size * size)


def build(config: RVAEConfig, shape: tuple[int, int, int]) -> RVAE:
    """The rVAE of windows of shape (h, w, c), h = w; every choice of family is made here."""
>>>>>>> e85ee8a26c8a5d6f2b7340f6ad42565df7c9ba1c
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

    def decode(params, points, angle, shift, content):
        drawn = decoder.apply(params["decoder"], to_content(points, angle, shift), content)
        return likelihood.mean(drawn)

    def log_likelihood(params, x, points, angle, shift, content):
        drawn = decoder.apply(params["decoder"], to_content(points, angle, shift), content)
        return likelihood.log_prob(params["likelihood"], x, drawn).sum()

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
        return (
            _Sample(frames, content, draws.weight),
            found,
            {"shift": kl_shift.variance, "content": kl_content.variance},
        )

    def expected(params, examples: tuple[_Sample, Float[Array, "b p c"]], points) -> Float[Array, " b"]:
        drawn_at, x = examples
        drawn = decoder.apply_all(params["decoder"], points, drawn_at.frames, drawn_at.content)
        each = likelihood.log_prob(params["likelihood"], x[:, None], drawn).sum((2, 3))
        return (drawn_at.weight * each).sum(1) * (size * size / len(points))

    def parts(params: PyTree, images: Float[Array, "b h w c"], *, key, pixels: Int[Array, " p"] | None):
        """Mean log-likelihood; all terms of each example, whose log-likelihoods have no gradient; and variances."""
        q, points = encode(params, images), grid(size)
        x = images.reshape(len(images), size * size, channels)
        if pixels is not None:
            x, points = x[:, pixels], points[pixels]
        keys = jax.random.split(key, len(images))
        drawn_at, found, variances = jax.vmap(sample, in_axes=(None, 0, 0))(prior_params(params), q, keys)
        count = piece_size(len(images), len(points) * drawn_at.weight.shape[1], most_rows)
        total, each = sum_of(expected, count, params, (drawn_at, x), points)
        return total / len(images), found._replace(log_likelihood=each), variances

    def loss(params: PyTree, images: Float[Array, "b h w c"], step: Integer[Array, ""] | int, *, key: Key[Array, ""]):
        for_pixels, for_terms = jax.random.split(key)
<<<<<<< HEAD
        # The decoder is a function of coordinates: some pixels give an unbiased estimate of the sum over all.
        count = max(FEWEST_PIXELS, round(config.pixel_share * size * size))
        everything = count >= size * size
        pixels = None if everything else jax.random.randint(for_pixels, (count,), 0, size * size)
        log_likelihood_mean, t, variances = parts(params, images, key=for_terms, pixels=pixels)
        means = ElboTerms(log_likelihood_mean, *(value.mean() for value in t[1:]))
=======
        pixels = draw_pixels(config, size, key=for_pixels)
        t, variances = terms_and_variances(params, images, for_terms, pixels)
        means = ElboTerms(*(value.mean() for value in t))
>>>>>>> e85ee8a26c8a5d6f2b7340f6ad42565df7c9ba1c
        # root mean square over examples of the standard error of one's estimate [nat]
        errors = {f"kl_{name}_error": jnp.sqrt(variances[name].mean()) for name in sampled}
        return -objective(means, config, step), {"elbo": elbo(t).mean(), **means._asdict(), **errors}

    def terms(params: PyTree, images: Float[Array, "b h w c"], *, key, pixels: Int[Array, " p"] | None) -> ElboTerms:
        return parts(params, images, key=key, pixels=pixels)[1]

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
