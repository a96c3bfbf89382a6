"""The evidence lower bound of the rVAE, term by term and per example.

ELBO = E_q[log p(x | angle, shift, content)] - KL(angle) - KL(shift) - KL(content)

Scale and class, where there are such, each add a divergence; the class is joined to the content, one-hot.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Integer, Key, PyTree

from rvaejax.nets import decoders, encoders
from rvaejax.nets.encoders import Encoded
from rvaejax.rvae import classes, likelihoods, posteriors, schedules
from rvaejax.rvae.config import RVAEConfig
from rvaejax.rvae.coordinates import to_content, window_grid
from rvaejax.rvae.moved import blind

FEWEST_PIXELS = 128


class ElboTerms(NamedTuple):
    """The terms of one example's ELBO [nat]; each divergence is positive, None where there is no such latent."""

    log_likelihood: Float[Array, "..."]
    kl_angle: Float[Array, "..."]
    kl_shift: Float[Array, "..."]
    kl_content: Float[Array, "..."]
    kl_scale: Float[Array, "..."] | None = None
    kl_class: Float[Array, "..."] | None = None

    def present(self) -> dict[str, Float[Array, "..."]]:
        """Those that there are, by name."""
        return {name: value for name, value in self._asdict().items() if value is not None}


class Estimate(NamedTuple):
    """Terms of each example, variances of estimated divergences by latent, and log q(class | x) where it is summed."""

    terms: ElboTerms
    variances: dict[str, Float[Array, " b"]]
    log_class: Float[Array, "b k"] | None


class RVAE(NamedTuple):
    """An rVAE as pure functions, for windows of one shape.

    Attributes:
        init: `(*, key) -> params`.
        encode: `(params, images (b, h, w, c), labels=None) -> Encoded`; where there are classes, the other latents are
            those given the row's label, or its likeliest class where it has none.
        decode: `(params, points (p, 2), angle, shift (2,), content (d,), scale=1) -> (p, c)`, expected intensities of
            one example; shift [half windows]; content followed by the class, one-hot, where there are classes.
        families: the functions of each latent's posterior and prior.
        log_likelihood: `(params, x (p, c), points (p, 2), angle, shift, content) -> ` log-likelihood of one example.
        prior_params: `params -> {"angle", "shift", "content"}`, the priors' parameters as their functions take them.
        terms: `(params, images, *, key, pixels, labels=None, targets=None) -> ElboTerms` of each example.
        loss: `(params, images, step, *, key, labels=None, targets=None) -> (loss, metrics)`, the means over the batch;
            labels (b,), -1 for none, where the classes ask for them; targets (b, 1, length, c), what is drawn if it is
            not the images.
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
    bound = terms.log_likelihood - terms.kl_angle - terms.kl_shift - terms.kl_content
    return bound - sum(kl for kl in (terms.kl_scale, terms.kl_class) if kl is not None)


def objective(means: ElboTerms, config: RVAEConfig, step: Integer[Array, ""] | int) -> Float[Array, ""]:
    """The batch's ELBO with the weights that the configuration gives its terms at a step; `means` over the batch."""
    factor = schedules.weight_factor(config.divergences, step)
    weighted = ElboTerms(
        means.log_likelihood / schedules.temperature(config, step),
        factor * config.angle_weight * means.kl_angle,
        factor * config.shift_weight * means.kl_shift,
        factor * schedules.content_cost(config, step)(means.kl_content),
        None if means.kl_scale is None else factor * means.kl_scale,
        None if config.classes is None or means.kl_class is None else factor * config.classes.weight * means.kl_class,
    )
    return elbo(weighted)


def drawn_shape(config: RVAEConfig, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """(h, w, c) of what is drawn for windows of `shape`: the same, or one row for a spectrum."""
    return shape if config.target is None else (1, config.target.length or 0, 1)


def draw_pixels(config: RVAEConfig, pixels: int, *, key: Key[Array, ""]) -> Int[Array, " p"] | None:
    """Those of all `pixels` that a step's likelihood is estimated from; None for all of them.

    The decoder is a function of coordinates: some pixels give an unbiased estimate of the sum over all.
    """
    count = max(FEWEST_PIXELS, round(config.pixel_share * pixels))
    return None if count >= pixels else jax.random.randint(key, (count,), 0, pixels)


def build(config: RVAEConfig, shape: tuple[int, int, int]) -> RVAE:
    """The rVAE of windows of shape (h, w, c), h = w or h = 1; every choice of family is made here."""
    height, width, channels = drawn_shape(config, shape)
    all_pixels, of_class = height * width, config.classes
    dims, kinds = posteriors.dims(config, shape), 0 if config.classes is None else config.classes.count
    encoder = encoders.build(config.encoder, shape, dims)
    decoder = decoders.build(config.decoder, width, channels, config.content_dim + kinds, 1 if height == 1 else 2)
    likelihood = likelihoods.build(config.likelihood)
    families = posteriors.build(config, shape)
    sampled = posteriors.sampled(families)

    def init(*, key: Key[Array, ""]) -> PyTree:
        a, b = jax.random.split(key)
        params = {"encoder": encoder.init(key=a), "decoder": decoder.init(key=b), "likelihood": likelihood.init()}
        learned = {} if of_class is None else classes.init(of_class, key=jax.random.fold_in(key, 3))
        params |= {"classes": learned} if learned else {}
        return {**params, **posteriors.init_priors(families, key=jax.random.fold_in(key, 2))}

    def given_class(params, images, y: Float[Array, "b k"]) -> Encoded:
        return encoder.apply(params["encoder"], images, *([y] if kinds else []))

    def encode(params, images, labels=None):
        if of_class is None:
            return given_class(params, images, jnp.zeros((len(images), 0)))
        likeliest = jnp.full(len(images), classes.UNLABELLED) if labels is None else labels
        if of_class.labels != "all":
            found = given_class(params, images, jnp.zeros((len(images), kinds))).classes
            likeliest = jnp.where(likeliest >= 0, likeliest, jnp.argmax(found, -1))  # type: ignore[arg-type]
        return given_class(params, images, classes.one_hot(likeliest, kinds))

    def prior_params(params: PyTree) -> dict[str, PyTree]:
        return posteriors.prior_params(families, params, lambda images: encode(params, images))

    def draw(params, points, angle, shift, content, scale=1.0):
        seen = points if config.target is not None else to_content(points, angle, shift, scale)
        return decoder.apply(params["decoder"], seen, content)

    def decode(params, points, angle, shift, content, scale=1.0):
        return likelihood.mean(draw(params, points, angle, shift, content, scale))

    def log_likelihood(params, x, points, angle, shift, content, scale=1.0):
        return likelihood.log_prob(params["likelihood"], x, draw(params, points, angle, shift, content, scale)).sum()

    def one(params, prior, q: Encoded, y: Float[Array, " k"], x: Float[Array, "p c"], points, share, key):
        a, b, c, *more = jax.random.split(key, 3 + 2 * bool(sampled))
        draws = families.angle.draw(q.angle, key=a)
        shift = families.shift.draw(q.shift, prior["shift"], key=b)
        content = jnp.concatenate([share * families.content.draw(q.content, prior["content"], key=c), y])
        scale, kl_scale = _scale(families, q, jax.random.fold_in(key, 3))
        drawn = jax.vmap(lambda angle: draw(params, points, angle, shift, content, scale))(draws.angle)
        log_prob = likelihood.log_prob(params["likelihood"], x[None], drawn).sum((1, 2))
        kl_shift = families.shift.kl(q.shift, prior["shift"], key=more[0] if sampled else None)
        kl_content = families.content.kl(q.content, prior["content"], key=more[1] if sampled else None)
        found = ElboTerms(
            (draws.weight * log_prob).sum() * (all_pixels / len(points)),
            families.angle.kl(q.angle, prior["angle"]),
            kl_shift.kl,
            kl_content.kl,
            kl_scale,
        )
        return found, {"shift": kl_shift.variance, "content": kl_content.variance}

    def estimate(params, images, key, pixels, labels=None, targets=None, share=1.0) -> Estimate:
        points, prior = window_grid(height, width), prior_params(params)
        x = (images if targets is None else targets).reshape(len(images), all_pixels, channels)
        if pixels is not None:
            x, points = x[:, pixels], points[pixels]
        keys = jax.random.split(key, len(images))

        each = jax.vmap(one, in_axes=(None, None, 0, 0, 0, None, None, 0))

        def of(y: Float[Array, "b k"]):
            q = given_class(params, images, y)
            return each(params, prior, q, y, x, points, share, keys), q.classes

        if of_class is None or of_class.labels == "all":
            y = jnp.zeros((len(images), 0)) if labels is None else classes.one_hot(labels, kinds)
            found, variances = of(y)[0]
            return Estimate(found, variances, None)
        every = jnp.broadcast_to(jnp.eye(kinds)[:, None], (kinds, len(images), kinds))
        (of_each, variances), log_q = jax.vmap(of)(every)  # the encoder's trunk, which no class enters, runs once
        log_p = classes.log_prior(of_class, params.get("classes", {}))
        weight = classes.weights(log_q[0], labels, log_p)
        found, variances = classes.expected(weight.probability, (of_each, variances))
        return Estimate(found._replace(kl_class=weight.kl), variances, log_q[0])

    def terms(params: PyTree, images, *, key, pixels: Int[Array, " p"] | None, labels=None, targets=None) -> ElboTerms:
        return estimate(params, images, key, pixels, labels, targets).terms

    def loss(params: PyTree, images, step: Integer[Array, ""] | int, *, key, labels=None, targets=None):
        for_pixels, for_terms = jax.random.split(key)
        pixels = draw_pixels(config, all_pixels, key=for_pixels)
        if config.target is not None:
            images = blind(config, images, key=jax.random.fold_in(key, 2))
        found = estimate(params, images, for_terms, pixels, labels, targets, schedules.content_share(config, step))
        means = jax.tree.map(jnp.mean, found.terms)
        # root mean square over examples of the standard error of one's estimate [nat]
        errors = {f"kl_{name}_error": jnp.sqrt(found.variances[name].mean()) for name in sampled}
        metrics = {"elbo": elbo(found.terms).mean(), **means.present(), **errors}
        told = jnp.zeros(())
        if of_class is not None and found.log_class is not None and labels is not None:
            total, rows = classes.cross_entropy(found.log_class, labels)
            told = of_class.classification_weight * total / len(images)
            metrics["cross_entropy"] = total / jnp.maximum(rows, 1)
        return told - objective(means, config, step), metrics

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


def _scale(families: posteriors.Posteriors, q: Encoded, key: Key[Array, ""]):
    """A scale drawn from its posterior, and its divergence; 1 and None where it is no latent."""
    if families.scale is None:
        return 1.0, None
    return families.scale.draw(q.scale, {}, key=key), families.scale.kl(q.scale, {}, key=None).kl
