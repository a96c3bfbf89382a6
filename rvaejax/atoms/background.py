"""What is smooth in a frame and not atoms: far tails of the probe, contamination; it falls steeply at a hole's rim."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rvaejax.atoms.fit import Fit
from rvaejax.atoms.profile import Profile, functions, mixed
from rvaejax.simulate.degrade import blur

SMOOTH_NM = 0.1  # a Gaussian of this width leaves 1 % of graphene's own lattice
COARSE_NM = 0.045  # pixels of this size are fine enough for what is that smooth


@functools.partial(jax.jit, static_argnames=("block", "pixel_size_nm"))
def background(
    image: Float[Array, "h w"],
    fit: Fit,
    species: Int[Array, " n"],
    real: Float[Array, " n"],
    profile: Profile,
    *,
    block: int,
    pixel_size_nm: float,
) -> Float[Array, "h w"]:
    """The frame less its atoms, smoothed.

    Args:
        image: the frame.
        fit: where the atoms are and how high.
        species: their species.
        real: 1 for an atom, 0 for a spare row.
        profile: image of an atom.
        block: side of the blocks of pixels on which this is computed.
        pixel_size_nm: the frame's pixel [nm].
    """
    h, w = image.shape
    padded = jnp.pad(image, ((0, -h % block), (0, -w % block)), mode="edge")
    rows, columns = (side // block for side in padded.shape)

    # Sampled at the blocks' middles: what a Gaussian of an atom's width aliases at this spacing is below 1 %.
    def sampled(count: int, at: Float[Array, " n"]) -> Float[Array, "functions n blocks"]:
        middles = block * jnp.arange(float(count)) + 0.5 * (block - 1)
        return functions(middles[None] - at[:, None], profile.core)[0]

    fx, fy = sampled(columns, fit.xy[:, 0]), sampled(rows, fit.xy[:, 1])
    lit = fy * (fit.height * real)[None, :, None]
    atoms = jnp.einsum("fnh,fnw->hw", lit, mixed(fx, profile.weights[species]))
    left = padded.reshape(rows, block, columns, block).mean((1, 3)) - atoms
    smooth = blur(left, SMOOTH_NM / (block * pixel_size_nm))
    return jax.image.resize(smooth, padded.shape, "linear")[:h, :w]
