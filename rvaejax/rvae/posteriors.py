"""The posteriors and priors of all latents together, and the parameters that priors learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
from jaxtyping import Array, Key, PyTree

from rvaejax.nets.encoders import Encoded
from rvaejax.rvae import latents, vectors
from rvaejax.rvae.config import RVAEConfig


class Posteriors(NamedTuple):
    """The families of each latent, under the names that `Encoded` has for their posteriors."""

    angle: latents.AngleFamily
    shift: vectors.VectorFamily
    content: vectors.VectorFamily


def build(config: RVAEConfig, shape: tuple[int, int, int]) -> Posteriors:
    """The families that the configuration asks for, for windows of shape (h, w, c)."""
    return Posteriors(
        latents.build(config.encoder, config.angle_prior, config.draws),
        vectors.build_shift_family(config),
        vectors.build_content_family(config, shape),
    )


def sampled(families: Posteriors) -> tuple[str, ...]:
    """The latents whose divergence is estimated from draws."""
    return tuple(name for name in ("shift", "content") if getattr(families, name).sampled)


def init_priors(families: Posteriors, *, key: Key[Array, ""]) -> dict[str, PyTree]:
    """`{"prior": parameters of each latent's prior}`; empty where no prior learns anything."""
    keys = jax.random.split(key, len(families))
    params = {name: getattr(families, name).prior.init(key=k) for name, k in zip(Posteriors._fields, keys, strict=True)}
    return {"prior": params} if jax.tree.leaves(params) else {}


def prior_params(families: Posteriors, params: PyTree, encode: Callable[..., Encoded]) -> dict[str, PyTree]:
    """The parameters of each prior as its functions take them, from those of the whole rVAE.

    `encode(images)` gives the posteriors of images, on which a prior may rest.
    """
    own = params.get("prior", {})

    def prepared(name: str) -> PyTree:
        prepare = getattr(families, name).prior.prepare
        return prepare(own.get(name, {}), lambda images: getattr(encode(images), name))

    return {name: prepared(name) for name in Posteriors._fields}
