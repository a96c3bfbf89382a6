"""From the encoder's guess uphill on the ELBO: angle and content by what the decoder draws of them.

With a factorised posterior the best factor of each latent is known from the other's (Bishop, Pattern Recognition and
Machine Learning, 2006, section 10.1), and each round takes both in turn:

    q(angle)  proportional to  exp(log p(x | angle, shift, content) / T) at the content's mean,
    q(content)  about  N(m, 1 / diag H),    m = z + H^-1 (J' r / T - grad KL),    H = J' J / T + 1,

J the slope of what is drawn at content z, and r the mean over q(angle) of what is left of the turned-back window; both
in units of the noise. All orientations are compared at once on rings around the content's centre, where a rotation is
a shift (`nets/rings.py`). No network has to learn what a missing neighbour says about the angle before the decoder can
learn to draw one. The encoder gives the shift, and where the ascent starts (Kim et al. 2018, arXiv:1802.02550); an
image may also take over the content of another (`proposals.py`). As in expectation maximisation no gradient is taken of
the ascent, whose end is what the encoder learns to guess.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from rvaejax.nets import rings
from rvaejax.nets.decoders import DecoderFns
from rvaejax.nets.encoders import Circular, Encoded, Normal
from rvaejax.rvae import proposals
from rvaejax.rvae.config import PolarEncoder, RVAEConfig, StandardNormal
from rvaejax.rvae.lighting import RingLight, solve
from rvaejax.rvae.likelihoods import LikelihoodFns
from rvaejax.rvae.posteriors import Posteriors
from rvaejax.rvae.priors.functions import as_they_are

_CENTRED = 5.0  # cost of the squared distance of the mean guess from 0 [nat]
_LEAST = 1e-6  # precision of the content where neither the prior nor what is drawn says anything of it
_MOST = 8  # dimensions of the content that slopes are taken along; a wider content is the encoder's alone


class _Drawn(NamedTuple):
    """What is drawn on the rings, as natural parameters and as means, and the slopes of both along the content."""

    natural: Float[Array, "b c q"]
    mean: Float[Array, "b c q"]
    natural_slope: Float[Array, "d b c q"]
    mean_slope: Float[Array, "d b c q"]


def build(
    config: RVAEConfig,
    shape: tuple[int, int, int],
    decoder: DecoderFns,
    likelihood: LikelihoodFns,
    families: Posteriors,
) -> Callable[..., Encoded] | None:
    """The ascent of windows of shape (h, w, c); None where the configuration has none.

    Returns:
        `(params, images (b, h, w, c), q, y (b, k), temperature, share, together) -> Encoded`: the posterior that the
        encoder gave, with angle and content replaced; `y` the class, one-hot, `share` the factor of the content on its
        way into the decoder. With `together`, in training, images of a batch act on each other (`proposals.py`).
    """
    if config.ascent is None or config.target is not None or not isinstance(config.encoder, PolarEncoder):
        return None
    options, of_content = config.ascent, config.content_dim <= _MOST
    grid = rings.build(shape[0], config.encoder.orientations, decoder.fastest if likelihood.linear else np.inf)
    on_rings = decoder.at(grid.points, grid.series if likelihood.linear else lambda drawn: drawn)
    functions = grid.series(np.concatenate([np.ones((1, len(grid.points)), np.float32), grid.points.T]))
    light = RingLight(getattr(config.likelihood, "lighting", None), np.asarray(functions))
    propose = proposals.build(grid, light, options.candidates, likelihood.linear)
    exchange = bool(options.candidates and of_content)
    normal = isinstance(config.content_prior, StandardNormal) or _as_if_normal(families)
    least = max(config.content_weight, _LEAST)

    def ascend(
        params: PyTree, images: Float[Array, "b h w c"], q: Encoded, y, temperature=1.0, share=1.0, together=False
    ) -> Encoded:
        params, start = jax.lax.stop_gradient((params, q))
        prior = params.get("prior", {}).get("content", {})

        def draw_of(z: Float[Array, "b d"], y: Float[Array, "b k"]):
            value = jax.vmap(lambda v: families.content.value(v, prior))(z)
            drawn = on_rings(params["decoder"], jnp.concatenate([share * value, y], -1))
            natural, mean = likelihood.natural(params["likelihood"], drawn), likelihood.mean(drawn)
            return (natural, mean) if likelihood.linear else (grid.series(natural), grid.series(mean))

        def draw(z: Float[Array, "b d"]):
            return draw_of(z, y)

        def log_prior(z: Float[Array, " d"]):
            return config.content_weight * _log_prior(families, z, prior)

        x, (z, log_sd) = grid.series(grid.sample(images, *_pose(families, params, start))), start.content
        # In training only before the last round: the encoder's guess may lie halfway between twins, and would be
        # matched to either; a round moves it to one of them.
        when = (options.rounds - 1 if exchange else None) if together else (0 if "remembered" in params else None)
        for i in range(options.rounds):
            if i == when:
                others = None if together else params["remembered"]
                z = propose(draw_of, x, z, y, others, log_prior, temperature)
            drawn = _with_slopes(draw, z) if of_content else _flat(draw, z)
            fits = grid.correlate(x, drawn.natural) / temperature
            if of_content:
                left = grid.turned_back(x, jax.nn.softmax(fits)) - drawn.mean
                gradient, curvature = _uphill(left, drawn, light)
                pull = jax.vmap(jax.grad(log_prior))(z)
                precision = curvature / temperature + least * jnp.eye(z.shape[-1])[None]
                z = z + _bounded(solve(precision, gradient / temperature + pull), options.longest)
                # the curvature is none below 0; rounded, where light explains nearly all of a slope, it can be
                log_sd = -0.5 * jnp.log(jnp.maximum(jnp.diagonal(precision, axis1=1, axis2=2), least))
        if together and of_content and normal:
            z = proposals.spread(z, log_sd, options.spread)
        z, log_sd, fits = jax.lax.stop_gradient((z, log_sd, fits))
        if not of_content:
            return q._replace(angle=_of_bins(q.angle, fits))
        return q._replace(angle=_of_bins(q.angle, fits), content=Normal(z, log_sd), guess=q.content.mean)

    return ascend


def memory(config: RVAEConfig) -> dict[str, Float[Array, "m d"]]:
    """The parameters in which a training leaves contents that later images may start from; none yet."""
    remembers = config.ascent is not None and config.content_dim <= _MOST and config.classes is None
    many = config.ascent.remembered if config.ascent is not None and remembers else 0
    return {"remembered": jnp.zeros((many, config.content_dim))} if many else {}


def remember(params: PyTree, contents: Float[np.ndarray, "n d"]) -> PyTree:
    """Parameters that remember some contents of sub-images of the training, if they remember any; n at least 1."""
    if "remembered" not in params:
        return params
    many = len(params["remembered"])
    return {**params, "remembered": jnp.asarray(np.resize(contents, (many, contents.shape[1])))}


def lag(q: Encoded) -> Float[Array, " b"]:
    """Half the squared distance of the encoder's guess of the content from where the ascent ended; 0 without one.

    In units of the batch's spread in each latent, so that it is a matter of nats. The guess learns from this alone, and
    from a cost of its mean's distance from 0: all contents would drift together, and nothing stop them. The guess also
    settles what the ascent cannot: whether an atom that is missing on the left is one kind turned by 0 degrees, or
    its mirror-like twin turned by 180, is the same to the decoder, and each image by itself would choose at random; the
    guess, the mean of what has been chosen, draws all to the side of the majority.
    """
    if q.guess is None:
        return jnp.zeros(len(q.shift.mean))
    mean, log_sd = jax.lax.stop_gradient(q.content)
    width = jnp.exp(2 * log_sd).mean(0)
    behind = 0.5 * ((q.guess - mean) ** 2 / (mean.var(0) + width)[None]).sum(-1)
    return behind + _CENTRED * (q.guess.mean(0) ** 2).sum()


def _pose(families: Posteriors, params: PyTree, q: Encoded) -> tuple[Array, Array | float]:
    """Centres of the contents [half windows], and their scales."""
    prior = params.get("prior", {}).get("shift", {})
    centre = jax.vmap(lambda v: families.shift.value(v, prior))(q.shift.mean)
    if families.scale is None or q.scale is None:
        return centre, 1.0
    return centre, jax.vmap(families.scale.value)(q.scale.mean)[:, None, None]


def _flat(draw: Callable[..., tuple[Array, Array]], z: Float[Array, "b d"]) -> _Drawn:
    natural, mean = draw(z)
    return _Drawn(natural, mean, natural[None], mean[None])


def _with_slopes(draw: Callable[..., tuple[Array, Array]], z: Float[Array, "b d"]) -> _Drawn:
    def along(direction: Float[Array, " d"]):
        return jax.jvp(draw, (z,), (jnp.broadcast_to(direction, z.shape),))

    (natural, mean), slopes = jax.vmap(along, out_axes=((None, None), 0))(jnp.eye(z.shape[-1]))  # type: ignore[arg-type]
    return _Drawn(natural, mean, *slopes)


def _uphill(
    left: Float[Array, "b c q"], drawn: _Drawn, light: RingLight
) -> tuple[Float[Array, "b d"], Float[Array, "b d d"]]:
    """Slope of the log-likelihood along the content, in the likeliest light, and Gauss and Newton's curvature."""
    d, b = drawn.mean_slope.shape[:2]
    size = (drawn.mean_slope**2).sum((0, 2, 3))
    precision = (drawn.natural_slope * drawn.mean_slope).sum((0, 2, 3)) / jnp.maximum(size, 1e-20)
    free = light.free(drawn.mean, precision)
    slope = drawn.natural_slope.reshape(d, b, -1)
    gradient = jnp.einsum("dbq,bq->bd", slope, free(left).reshape(b, -1))
    curvature = jnp.einsum("dbq,ebq->bde", slope, jax.vmap(free)(drawn.mean_slope).reshape(d, b, -1))
    return gradient, 0.5 * (curvature + curvature.mT)


def _as_if_normal(families: Posteriors) -> bool:
    """Whether the prior rests on posteriors itself: a standard normal stands in for it in the ascent."""
    return families.content.prior.prepare is not as_they_are


def _log_prior(families: Posteriors, z: Float[Array, " d"], prior: PyTree) -> Float[Array, ""]:
    """The prior's log-density, or that of the standard normal that stands in for it."""
    if _as_if_normal(families):
        return -0.5 * (z**2).sum()
    return families.content.log_prior(z, prior)


def _bounded(step: Float[Array, "b d"], longest: float) -> Float[Array, "b d"]:
    length = jnp.sqrt((step**2).sum(-1, keepdims=True))
    return step * jnp.minimum(1.0, longest / jnp.maximum(length, 1e-9))


def _of_bins(q: Normal | Circular, fits: Float[Array, "b angles"]) -> Circular:
    """The posterior with the fits of the angles in each bin added.

    What the encoder gives stays in it: it learns what the rings miss, the window's corners and the ascent's own
    approximations.
    """
    assert isinstance(q, Circular)
    within = fits.reshape(*q.logits.shape, rings.FINE)
    means = jax.nn.logsumexp(within, -1) - math.log(rings.FINE)
    return q._replace(logits=jax.nn.log_softmax(q.logits + means))
