"""The posteriors and priors of all latents together, and the parameters that priors learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
from jaxtyping import Array, Key, PyTree

from rvaejax.nets.encoders import Dims, Encoded
from rvaejax.rvae import latents, vectors
from rvaejax.rvae.config import RVAEConfig


class Posteriors(NamedTuple):
    """The families of each latent, under the names that `Encoded` has for their posteriors."""

    angle: latents.AngleFamily
    shift: vectors.VectorFamily
    content: vectors.VectorFamily
    scale: vectors.VectorFamily | None = None


WITH_PRIORS = ("angle", "shift", "content")  # whose priors are the configuration's, and may learn


def dims(config: RVAEConfig, shape: tuple[int, int, int]) -> Dims:
    """Dimensions of the posteriors that the encoder gives, for windows of shape (h, w, c)."""
    drawn = config.target is None  # where a spectrum is drawn, its window has no pose to be found
    axes = 1 if shape[0] == 1 else 2
    return Dims(
        content=config.content_dim,
        angle=int(drawn and config.pose.rotation),
        shift=axes if drawn and config.pose.shift else 0,
        scale=int(drawn and config.pose.scale),
        classes=0 if config.classes is None else config.classes.count,
    )


def drawn_shape(config: RVAEConfig, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """(h, w, c) of what is drawn for windows of `shape`: the same, or one row for a spectrum."""
    return shape if config.target is None else (1, config.target.length or 0, 1)


def build(config: RVAEConfig, shape: tuple[int, int, int]) -> Posteriors:
    """The families that the configuration asks for, for windows of shape (h, w, c)."""
    rotation = bool(dims(config, shape).angle)
    return Posteriors(
        latents.build(config.encoder, config.angle_prior, config.draws, rotation),
        vectors.build_shift_family(config),
        vectors.build_content_family(config, shape),
        vectors.build_scale_family(config),
    )


def sampled(families: Posteriors) -> tuple[str, ...]:
    """The latents whose divergence is estimated from draws."""
    return tuple(name for name in WITH_PRIORS[1:] if getattr(families, name).sampled)


def init_priors(families: Posteriors, *, key: Key[Array, ""]) -> dict[str, PyTree]:
    """`{"prior": parameters of each latent's prior}`; empty where no prior learns anything."""
    keys = jax.random.split(key, len(WITH_PRIORS))
    params = {name: getattr(families, name).prior.init(key=k) for name, k in zip(WITH_PRIORS, keys, strict=True)}
    return {"prior": params} if jax.tree.leaves(params) else {}


def prior_params(families: Posteriors, params: PyTree, encode: Callable[..., Encoded]) -> dict[str, PyTree]:
    """The parameters of each prior as its functions take them, from those of the whole rVAE.

    `encode(images)` gives the posteriors of images, on which a prior may rest.
    """
    own = params.get("prior", {})

    def prepared(name: str) -> PyTree:
        prepare = getattr(families, name).prior.prepare
        return prepare(own.get(name, {}), lambda images: getattr(encode(images), name))

    return {name: prepared(name) for name in WITH_PRIORS}


def draw_scale(families: Posteriors, q: Encoded, *, key: Key[Array, ""]):
    """A scale drawn from its posterior, and its divergence; 1 and None where it is no latent."""
    if families.scale is None:
        return 1.0, None
    return families.scale.draw(q.scale, {}, key=key), families.scale.kl(q.scale, {}, key=None).kl
