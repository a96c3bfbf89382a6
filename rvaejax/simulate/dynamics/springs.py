"""Elastic energy of a bond graph and its relaxation, on neighbour tables of fixed size: linear in the atoms.

Source of form and constants: S. K. Jain, G. T. Barkema, N. Mousseau, C.-M. Fang, M. A. van Huis, J. Phys. Chem. C 119,
9646 (2015), a potential for continuous networks of sp2 carbon after P. N. Keating, Phys. Rev. 145, 637 (1966).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rvaejax.simulate.config import BOND_NM, COVALENT_RADIUS_NM
from rvaejax.simulate.relaxation import squared_distances

WIDTH = 4  # bonds per atom
STRETCH = 3 / 16 * 2606.0 / BOND_NM**2  # eV/nm⁴, of (r² - r0²)²
BEND = 3 / 8 * 551.1 * BOND_NM**2  # eV/rad², of the deviation squared
SOFT = (1.0, 0.3)  # factor on the angles at an atom of each species; bonds of Si are softer by the root of it
APART_NM, REPEL = 0.22, 4000.0  # atoms without a bond repel when nearer than this, as springs [eV/nm²]
REACH_NM, NEAR = 0.36, 16  # atoms that may come so near, kept per atom
RATE = 1 / 22000  # nm²/eV; below the inverse of the stiffest mode
MOMENTUM = 0.9
LONGEST_STEP_NM = 0.01


class Springs(NamedTuple):
    """A bond graph as tables; rows are atoms, unused slots hold -1."""

    bonded: Int[Array, "n 4"]  # neighbours, counter-clockwise as displayed, without gaps
    species: Int[Array, " n"]
    counted: Bool[Array, " n"]  # atoms whose energy counts; those whose neighbours are cut off do not
    movable: Bool[Array, " n"]
    near: Int[Array, "n k"]  # atoms that may come too near


class _Tables(NamedTuple):
    """What stays the same while atoms move."""

    use: Bool[Array, "n 4"]  # bonds
    rest2: Float[Array, "n 4"]  # their squared length at rest
    stiff: Float[Array, "n 4"]
    soft: Float[Array, " n"]
    ideal: Float[Array, "n 4"]  # angle from each bond to the next; nan-free where unused
    angle: Bool[Array, "n 4"]
    back: Int[Array, "n 4"]  # place of the reverse bond in the flattened table
    following: Int[Array, "n 4"]  # slot of the next bond
    repel: Bool[Array, "n k"]


def _tables(springs: Springs) -> _Tables:
    bonded, n = springs.bonded, len(springs.bonded)
    use = bonded >= 0
    count = use.sum(1)
    slot = jnp.arange(WIDTH)[None]
    radius = jnp.asarray(COVALENT_RADIUS_NM)[springs.species]
    soft = jnp.asarray(SOFT)[springs.species]
    following = jnp.where(slot + 1 < count[:, None], slot + 1, 0)
    angle = use & jnp.where(count[:, None] == 2, slot == 0, count[:, None] > 2)
    ideal = jnp.where(count == 4, math.pi / 2, 2 * math.pi / 3)
    back_slot = (bonded[bonded] == jnp.arange(n)[:, None, None]).argmax(-1)
    is_bond = (springs.near[:, :, None] == bonded[:, None, :]).any(-1)
    return _Tables(
        use,
        (radius[:, None] + radius[bonded]) ** 2,
        STRETCH * jnp.sqrt(soft[:, None] * soft[bonded]),
        soft,
        jnp.broadcast_to(ideal[:, None], bonded.shape),
        angle,
        jnp.where(use, bonded * WIDTH + back_slot, 0),
        following,
        (springs.near >= 0) & ~is_bond,
    )


def _site_energy(d: Float[Array, "n 4 2"], t: _Tables) -> Float[Array, " n"]:
    """Half of each bond's energy and all of each angle's, per atom; `d` are the vectors to the bonded neighbours."""
    bond = 0.5 * t.stiff * ((d**2).sum(-1) - t.rest2) ** 2
    other = jnp.take_along_axis(d, t.following[..., None], 1)
    dot = jnp.where(t.angle, (d * other).sum(-1), 1.0)
    cross = jnp.where(t.angle, d[..., 1] * other[..., 0] - d[..., 0] * other[..., 1], 0.0)  # y points down
    # two bonds alone may open to either side
    two = t.use.sum(1, keepdims=True) == 2
    cross = jnp.where(two, jnp.abs(cross), cross)
    c, s = jnp.cos(t.ideal), jnp.sin(t.ideal)
    deviation = jnp.arctan2(cross * c - dot * s, dot * c + cross * s)
    bend = BEND * t.soft[:, None] * deviation**2
    return jnp.where(t.use, bond, 0.0).sum(1) + jnp.where(t.angle, bend, 0.0).sum(1)


def _vectors(xy: Float[Array, "n 2"], springs: Springs, t: _Tables) -> Float[Array, "n 4 2"]:
    # an unused slot gets a vector that nothing divides by zero on
    return jnp.where(t.use[..., None], xy[springs.bonded] - xy[:, None], jnp.array([BOND_NM, 0.0])[None, None])


def _overlap(
    xy: Float[Array, "n 2"], springs: Springs, t: _Tables
) -> tuple[Float[Array, "n k"], Float[Array, "n k 2"]]:
    d = xy[:, None] - xy[springs.near]
    r = jnp.sqrt((d**2).sum(-1) + 1e-12)
    return jnp.where(t.repel, jnp.maximum(APART_NM - r, 0.0), 0.0), d / r[..., None]


def _energy(xy: Float[Array, "n 2"], springs: Springs, t: _Tables) -> Float[Array, ""]:
    site = _site_energy(_vectors(xy, springs, t), t)
    depth, _ = _overlap(xy, springs, t)
    return jnp.where(springs.counted, site + 0.25 * REPEL * (depth**2).sum(1), 0.0).sum()


def _forces(xy: Float[Array, "n 2"], springs: Springs, t: _Tables) -> Float[Array, "n 2"]:
    def total(d: Float[Array, "n 4 2"]) -> Float[Array, ""]:
        return jnp.where(springs.counted, _site_energy(d, t), 0.0).sum()

    slope = jnp.where(t.use[..., None], jax.grad(total)(_vectors(xy, springs, t)), 0.0)
    # what each atom's energy does to its neighbours is gathered from their side: nothing is scattered
    from_others = jnp.where(t.use[..., None], slope.reshape(-1, 2)[t.back], 0.0)
    depth, away = _overlap(xy, springs, t)
    return (slope - from_others).sum(1) + REPEL * (depth[..., None] * away).sum(1)


def energy(xy: Float[Array, "n 2"], springs: Springs) -> Float[Array, ""]:
    r"""Elastic energy [eV] of the atoms that count.

    .. math:: E = \tfrac{3}{16}\tfrac{\alpha}{d^2} \sum_{bonds} (r^2 - r_0^2)^2
        + \tfrac38 \beta d^2 \sum_{angles} (\theta - \theta_0)^2 + \tfrac{k}{2} \sum_{others} \max(0, r_c - r)^2

    Angles are those from each bond to the next, with their sign: an atom cannot turn inside out unnoticed.
    """
    return _energy(xy, springs, _tables(springs))


def relax_springs(xy: Float[Array, "n 2"], springs: Springs, *, steps: int) -> Float[Array, "n 2"]:
    """Positions after `steps` steps down the energy, with Nesterov's momentum; atoms not movable stay."""
    t = _tables(springs)

    def step(state: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
        here, velocity = state
        ahead = here + MOMENTUM * velocity
        push = RATE * _forces(ahead, springs, t)
        length = jnp.sqrt((push**2).sum(-1, keepdims=True) + 1e-20)
        push = push * jnp.minimum(1.0, LONGEST_STEP_NM / length)
        velocity = jnp.where(springs.movable[:, None], MOMENTUM * velocity + push, 0.0)
        # going uphill, momentum is of no use
        velocity = jnp.where((velocity * push).sum() < 0, 0.0, velocity)
        return (here + velocity, velocity), None

    return jax.lax.scan(step, (xy, jnp.zeros_like(xy)), None, length=steps)[0][0]


def near_table(xy: Float[Array, "n 2"], active: Bool[Array, " n"]) -> Int[Array, "n k"]:
    """The nearest atoms of each within reach, padded with -1, of a small set: all pairs are looked at."""
    d2 = squared_distances(xy)
    real = active[:, None] & active[None] & ~jnp.eye(len(xy), dtype=bool) & (d2 < REACH_NM**2)
    value, index = jax.lax.top_k(-jnp.where(real, d2, jnp.inf), min(NEAR, len(xy)))
    return jnp.where(jnp.isfinite(value), index, -1)
