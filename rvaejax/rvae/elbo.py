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
from rvaejax.rvae import ascent, classes, likelihoods, posteriors, precision, schedules
from rvaejax.rvae.config import RVAEConfig
from rvaejax.rvae.coordinates import content_frame, to_content, window_grid
from rvaejax.rvae.moved import blind
from rvaejax.rvae.pieces import piece_size, sum_of
from rvaejax.rvae.terms import ElboTerms, draw_pixels, elbo, objective, off_centre


class _Sample(NamedTuple):
    """What the decoder draws an example at: m frames, with weights, and one content, with its class."""

    frames: Float[Array, "... m 2 3"]
    content: Float[Array, "... d"]
    weight: Float[Array, "... m"]


class _Parts(NamedTuple):
    """Of a batch: the mean log-likelihood; all terms of each example, whose log-likelihoods have no gradient.

    Attributes:
        log_likelihood: the mean over the batch.
        terms: of each example.
        variances: of divergences that are estimated, by latent.
        lag: of the encoder behind the ascent.
        log_class: log q(class | x) where classes are summed over, else None.
    """

    log_likelihood: Float[Array, ""]
    terms: ElboTerms
    variances: dict[str, Float[Array, " b"]]
    lag: Float[Array, " b"]
    log_class: Float[Array, "b k"] | None


class RVAE(NamedTuple):
    """An rVAE as pure functions, for windows of one shape.

    Attributes:
        init: `(*, key, images=None) -> params`; some images, where given, set the scale of the encoder's features.
        encode: `(params, images (b, h, w, c), labels=None, temperature=1, together=False) -> Encoded`; where there are
            classes, the other latents are those given the row's label, or its likeliest class where it has none. The
            temperature is that of the step, where the training heats; `together` lets the images of a batch of the
            training act on each other (`proposals.py`).
        decode: `(params, points (p, 2), angle, shift (2,), content (d,), scale=1) -> (p, c)`, expected intensities of
            one example; shift [half windows]; content followed by the class, one-hot, where there are classes.
        expect: `(params, x (p, c), points (p, 2), angle, shift (2,), content (d,)) -> (p, c)`, expected intensities of
            all pixels of one window in the light in which its image x was taken.
        families: the functions of each latent's posterior and prior.
        draw: as `decode`, but what the likelihood takes: log-odds, where it is a Bernoulli's.
        fit: `(params, x (p, c), drawn (p, c), points (p, 2)) -> ` log-likelihood of one example given what is drawn.
        log_likelihood: `(params, x (p, c), points (p, 2), angle, shift, content) -> ` log-likelihood of one example on
            all its pixels.
        prior_params: `params -> {"angle", "shift", "content"}`, the priors' parameters as their functions take them.
        terms: `(params, images, *, key, pixels, labels=None, targets=None) -> ElboTerms` of each example; to look
            at, not to differentiate.
        loss: `(params, images, step, *, key, labels=None, targets=None) -> (loss, metrics)`, the means over the batch;
            labels (b,), -1 for none, where the classes ask for them; targets (b, 1, length, c), what is drawn if it is
            not the images.
    """

    init: Callable[..., PyTree]
    encode: Callable[..., Encoded]
    decode: Callable[..., Float[Array, "p c"]]
    expect: Callable[..., Float[Array, "p c"]]
    families: posteriors.Posteriors
    draw: Callable[..., Float[Array, "p c"]]
    fit: Callable[..., Float[Array, ""]]
    log_likelihood: Callable[..., Float[Array, ""]]
    prior_params: Callable[[PyTree], dict[str, PyTree]]
    terms: Callable[..., ElboTerms]
    loss: Callable[..., tuple[Float[Array, ""], dict[str, Float[Array, ""]]]]


def build(config: RVAEConfig, shape: tuple[int, int, int], most_rows: int | None = None, parts: int = 1) -> RVAE:
    """The rVAE of windows of shape (h, w, c), h = w or h = 1; every choice of family is made here.

    Args:
        config: the families and their options.
        shape: of a window.
        most_rows: pixels, over examples and draws, that the gradient takes through the decoder at a time; None for
            the whole batch. It changes the order of a sum, nothing else (`rvae/pieces.py`).
        parts: of a batch, one for each device that shares it.
    """
    height, width, channels = posteriors.drawn_shape(config, shape)
    all_pixels, of_class = height * width, config.classes
    dims, kinds = posteriors.dims(config, shape), 0 if config.classes is None else config.classes.count
    encoder = encoders.build(config.encoder, shape, dims)
    decoder = decoders.build(config.decoder, width, channels, config.content_dim + kinds, 1 if height == 1 else 2)
    likelihood = likelihoods.build(config.likelihood)
    families = posteriors.build(config, shape)
    sampled = posteriors.sampled(families)
    ascend = ascent.build(config, shape, decoder, likelihood, families)

    def init(*, key: Key[Array, ""], images: Float[Array, "b h w c"] | None = None) -> PyTree:
        a, b = jax.random.split(key)
        given = {} if images is None else {"images": images}
        encoding = encoder.init(key=a, **given)
        params = {"encoder": encoding, "decoder": decoder.init(key=b), "likelihood": likelihood.init()}
        params |= {} if ascend is None else ascent.memory(config)
        learned = {} if of_class is None else classes.init(of_class, key=jax.random.fold_in(key, 3))
        params |= {"classes": learned} if learned else {}
        return {**params, **posteriors.init_priors(families, key=jax.random.fold_in(key, 2))}

    def guess(params, images, y: Float[Array, "b k"]) -> Encoded:
        return encoder.apply(params["encoder"], images, *([y] if kinds else []))

    def given_class(params, images, y: Float[Array, "b k"], temperature=1.0, share=1.0, together=False) -> Encoded:
        q = guess(params, images, y)
        return q if ascend is None else ascend(params, images, q, y, temperature, share, together)

    def likeliest_class(params, images, labels=None) -> Float[Array, "b k"]:
        if of_class is None:
            return jnp.zeros((len(images), 0))
        likeliest = jnp.full(len(images), classes.UNLABELLED) if labels is None else labels
        if of_class.labels != "all":
            found = guess(params, images, jnp.zeros((len(images), kinds))).classes
            likeliest = jnp.where(likeliest >= 0, likeliest, jnp.argmax(found, -1))  # type: ignore[arg-type]
        return classes.one_hot(likeliest, kinds)

    def encode(params, images, labels=None, temperature=1.0, together=False):
        return given_class(params, images, likeliest_class(params, images, labels), temperature, together=together)

    def prior_params(params: PyTree) -> dict[str, PyTree]:
        """A prior that rests on posteriors rests on the encoder's own: those of an ascent have no gradient."""
        return posteriors.prior_params(
            families, params, lambda images: guess(params, images, likeliest_class(params, images))
        )

    def draw(params, points, angle, shift, content, scale=1.0):
        seen = points if config.target is not None else to_content(points, angle, shift, scale)
        return decoder.apply(params["decoder"], seen, content)

    def decode(params, points, angle, shift, content, scale=1.0):
        return likelihood.mean(draw(params, points, angle, shift, content, scale))

    def expect(params, x, points, angle, shift, content):
        drawn = draw(params, points, angle, shift, content)
        return likelihood.mean(likelihood.match(params["likelihood"], x, drawn, points, 1.0).drawn)

    def fit(params, x, drawn, points):
        """Log-likelihood of a whole window by the pixels at some points, in the likeliest light."""
        each = all_pixels / len(points)
        light = likelihood.match(params["likelihood"], x, drawn, points, each)
        return each * likelihood.log_prob(params["likelihood"], x, light.drawn).sum() - light.penalty

    def log_likelihood(params, x, points, angle, shift, content, scale=1.0):
        return fit(params, x, draw(params, points, angle, shift, content, scale), points)

    def sample(prior, q: Encoded, y: Float[Array, " k"], share, key):
        """One example's draws, its divergences, and the variances of those that are estimated."""
        a, b, c, *more = jax.random.split(key, 3 + 2 * bool(sampled))
        draws = families.angle.draw(q.angle, key=a)
        shift = families.shift.draw(q.shift, prior["shift"], key=b)
        content = jnp.concatenate([share * families.content.draw(q.content, prior["content"], key=c), y])
        scale, kl_scale = posteriors.draw_scale(families, q, key=jax.random.fold_in(key, 3))
        frames = jax.vmap(content_frame, in_axes=(0, None, None))(draws.angle, shift, scale)
        if config.target is not None:
            frames = jnp.broadcast_to(jnp.eye(2, 3), frames.shape)
        kl_shift = families.shift.kl(q.shift, prior["shift"], key=more[0] if sampled else None)
        kl_content = families.content.kl(q.content, prior["content"], key=more[1] if sampled else None)
        kl_angle = families.angle.kl(q.angle, prior["angle"])
        found = ElboTerms(jnp.zeros(()), kl_angle, kl_shift.kl, kl_content.kl, kl_scale)
        variances = {"shift": kl_shift.variance, "content": kl_content.variance}
        return _Sample(frames, content, draws.weight), found, variances

    def expected(params, examples: tuple[_Sample, Float[Array, "b p c"]], points) -> Float[Array, " b"]:
        """Log-likelihood of each example, over its draws."""
        drawn_at, x = examples
        drawn = decoder.apply_all(params["decoder"], points, drawn_at.frames, drawn_at.content)
        of_draws = jax.vmap(fit, in_axes=(None, None, 0, None))
        fits = jax.vmap(of_draws, in_axes=(None, 0, 0, None))(params, x, drawn, points)
        return (drawn_at.weight * fits).sum(1)

    def samples(params, images, labels, share, temperature, together, keys):
        """Draws, divergences and variances of each example; with a class summed over, draws of (k b) weighted by it."""
        prior, n = prior_params(params), len(images)

        def of(y: Float[Array, "b k"]):
            q = given_class(params, images, y, temperature, share, together)
            drawn = jax.vmap(sample, in_axes=(None, 0, 0, None, 0))(prior, q, y, share, keys)
            return (*drawn, ascent.lag(q)), q.classes

        if of_class is None or of_class.labels == "all":
            return *of(jnp.zeros((n, 0)) if of_class is None else classes.one_hot(labels, kinds))[0], None
        every = jnp.broadcast_to(jnp.eye(kinds)[:, None], (kinds, n, kinds))
        # the encoder's trunk, which no class enters, runs once
        (drawn_at, found, variances, lag), log_q = jax.vmap(of)(every)
        weight = classes.weights(log_q[0], labels, classes.log_prior(of_class, params.get("classes", {})))
        found, variances, lag = classes.expected(weight.probability, (found, variances, lag))
        drawn_at = drawn_at._replace(weight=drawn_at.weight * weight.probability.T[..., None])
        drawn_at = jax.tree.map(lambda v: v.reshape(kinds * n, *v.shape[2:]), drawn_at)
        return drawn_at, found._replace(kl_class=weight.kl), variances, lag, log_q[0]

    def terms_and_sum(
        params: PyTree, images, *, key, pixels, labels, targets, share=1.0, temperature=1.0, together=False
    ) -> _Parts:
        n, points = len(images), window_grid(height, width)
        x = (images if targets is None else targets).reshape(n, all_pixels, channels)
        if pixels is not None:
            x, points = x[:, pixels], points[pixels]
        drawn_at, found, variances, lag, log_class = samples(
            params, images, labels, share, temperature, together, jax.random.split(key, n)
        )
        x = jnp.tile(x, (len(drawn_at.weight) // n, 1, 1))
        split = parts if len(x) % parts == 0 else 1
        count = piece_size(len(x) // split, len(points) * drawn_at.weight.shape[1], most_rows)
        total, each = sum_of(expected, count, params, (drawn_at, x), points, split)
        return _Parts(total / n, found._replace(log_likelihood=each.reshape(-1, n).sum(0)), variances, lag, log_class)

    def terms(params: PyTree, images, *, key, pixels: Int[Array, " p"] | None, labels=None, targets=None) -> ElboTerms:
        return terms_and_sum(params, images, key=key, pixels=pixels, labels=labels, targets=targets).terms

    def loss(params: PyTree, images, step: Integer[Array, ""] | int, *, key, labels=None, targets=None):
        for_pixels, for_terms = jax.random.split(key)
        pixels = draw_pixels(config, all_pixels, key=for_pixels)
        if config.target is not None:
            images = blind(config, images, key=jax.random.fold_in(key, 2))
        share = schedules.content_share(config, step)
        heat = schedules.temperature(config, step)
        further = {"labels": labels, "targets": targets, "share": share, "temperature": heat, "together": True}
        found = terms_and_sum(params, images, key=for_terms, pixels=pixels, **further)
        means = jax.tree.map(jnp.mean, found.terms)._replace(log_likelihood=found.log_likelihood)
        # root mean square over examples of the standard error of one's estimate [nat]
        errors = {f"kl_{name}_error": jnp.sqrt(found.variances[name].mean()) for name in sampled}
        metrics = {"elbo": elbo(found.terms).mean(), **means.present(), **errors}
        cost = found.lag.mean() - objective(means, config, step)
        if config.centring:
            off = off_centre(encode(params, images, labels, heat, together=True).content.mean)
            cost += config.centring / heat * off
        if of_class is None or found.log_class is None:
            return cost, metrics
        beside = classes.beside(of_class, params.get("classes", {}), found.log_class, labels, share)
        return cost + beside.cost, {**metrics, **beside.metrics}

    made = {f.__name__: f for f in (encode, decode, expect, draw, fit, log_likelihood, prior_params, terms, loss)}
    return RVAE(init=init, families=families, **(precision.exact(made) if precision.must_be_exact(config) else made))
