"""Normalising flows of vectors: affine couplings, inverted in closed form (Dinh et al. 2017, arXiv:1605.08803)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

LIMIT = 2.0  # of the logarithm of a coupling's scale: no coupling can blow up or flatten a latent by more than e^2


class FlowFns(NamedTuple):
    """A flow as functions, for one vector (or many along leading axes).

    Attributes:
        init: `(*, key) -> params`; the identity at the start.
        to_latent: `(params, z (..., d)) -> (latent (..., d), log |det|)`.
        from_latent: `(params, latent (..., d)) -> z (..., d)`, its inverse.
    """

    init: Callable[..., PyTree]
    to_latent: Callable[..., tuple[Float[Array, "... d"], Float[Array, "..."]]]
    from_latent: Callable[..., Float[Array, "... d"]]


class _Coupling(nn.Module):
    """Scale's logarithm and shift of each latent, from those that the coupling leaves as they are."""

    hidden: int

    @nn.compact
    def __call__(self, kept: Float[Array, "... d"]) -> tuple[Float[Array, "... d"], Float[Array, "... d"]]:
        h = nn.tanh(nn.Dense(self.hidden)(kept))
        out = nn.Dense(2 * kept.shape[-1], kernel_init=nn.initializers.zeros)(h)
        raw, shift = jnp.split(out, 2, axis=-1)
        return LIMIT * jnp.tanh(raw / LIMIT), shift


class _Flow(nn.Module):
    layers: int
    hidden: int

    @nn.compact
    def __call__(self, z: Float[Array, "... d"], inverse: bool) -> tuple[Float[Array, "... d"], Float[Array, "..."]]:
        couplings = [_Coupling(self.hidden) for _ in range(self.layers)]
        log_det = jnp.zeros(z.shape[:-1])
        order = list(enumerate(couplings))
        for i, coupling in reversed(order) if inverse else order:
            kept = jnp.asarray((np.arange(z.shape[-1]) + i) % 2, z.dtype).reshape((1,) * (z.ndim - 1) + (-1,))
            log_scale, shift = coupling(z * kept)
            log_scale, shift = log_scale * (1 - kept), shift * (1 - kept)
            z = (z - shift) * jnp.exp(-log_scale) if inverse else z * jnp.exp(log_scale) + shift
            log_det = log_det + log_scale.sum(-1)
        return z, log_det


def build(layers: int, hidden: int, dim: int) -> FlowFns:
    """The flow of vectors of `dim` latents."""
    module = _Flow(layers, hidden)

    def apply(params: PyTree, z: Float[Array, "... d"], inverse: bool) -> Any:
        return module.apply(params, z, inverse)

    return FlowFns(
        lambda *, key: module.init(key, jnp.zeros(dim), False),
        lambda params, z: apply(params, z, False),
        lambda params, latent: apply(params, latent, True)[0],
    )
