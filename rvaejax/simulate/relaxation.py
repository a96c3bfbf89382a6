"""Relaxation of a sheet by springs: bonds at their length, second neighbours kept apart."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rvaejax.simulate.config import BOND_NM

BOND_CUTOFF = 1.25  # pairs nearer than this times the sum of their radii are bonded; turning a bond by 90 degrees
# brings its atoms to 1.07 bonds from their new neighbours and to 1.33 from the next
LONGEST_NM = 0.225  # no bond is longer, so that Si second neighbours are none
APART_NM = 0.235  # second neighbours of an open honeycomb are 0.246 nm apart; nearer than this they repel
NEIGHBOURS = 14  # kept per atom: 3 bonded, 6 second, and room for defects


def squared_distances(xy: Float[Array, "n 2"]) -> Float[Array, "n n"]:
    """Squared distance of every pair."""
    return ((xy[:, None] - xy[None, :]) ** 2).sum(-1)


def _forces(
    xy: Float[Array, "n 2"],
    near: Int[Array, "n k"],
    rest: Float[Array, "n k"],
    bonded: Bool[Array, "n k"],
    other: Bool[Array, "n k"],
) -> Float[Array, "n 2"]:
    d = xy[:, None] - xy[near]
    r = jnp.sqrt((d**2).sum(-1) + 1e-12)
    stretch = jnp.where(bonded, rest - r, 0.0) + 0.5 * jnp.where(other, jnp.maximum(APART_NM - r, 0.0), 0.0)
    return ((stretch / r)[..., None] * d).sum(1)


def relax(
    xy: Float[Array, "n 2"],
    radius: Float[Array, " n"],
    mask: Bool[Array, " n"],
    *,
    steps: int = 24,
    rate: float = 0.22,
) -> Float[Array, "n 2"]:
    r"""Positions relaxed by steepest descent on a spring energy.

    .. math:: E = \tfrac12 \sum_{bonded} (r - r_i - r_j)^2 + \tfrac14 \sum_{other} \max(0, 0.235 - r)^2 .

    Bonds are the pairs near enough at the start; they stay the same throughout, so a turned bond (Stone-Wales) and
    a substituted Si keep their neighbours. A stand-in for interatomic potentials: bond lengths come out within a few
    per cent, energies do not.

    Args:
        xy: positions [nm].
        radius: covalent radius of each atom [nm]; a bond's length is the sum of two.
        mask: which rows are atoms.
        steps: number of steps.
        rate: step length; below about 1/4 the descent is stable for four-fold atoms.
    """
    d2 = squared_distances(xy)
    real = mask[:, None] & mask[None, :] & ~jnp.eye(len(xy), dtype=bool)
    negative, near = jax.lax.top_k(-jnp.where(real, d2, jnp.inf), min(NEIGHBOURS, len(xy)))
    r = jnp.sqrt(-negative)
    rest = radius[:, None] + radius[near]
    bonded = r < jnp.minimum(BOND_CUTOFF * rest, LONGEST_NM)
    other = ~bonded & (r < 2.2 * BOND_NM)

    def step(xy: Float[Array, "n 2"], _: None) -> tuple[Float[Array, "n 2"], None]:
        return xy + rate * _forces(xy, near, rest, bonded, other), None

    return jax.lax.scan(step, xy, None, length=steps)[0]
