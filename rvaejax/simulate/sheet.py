"""Graphene sheets at any angle, with holes, vacancies, bond rotations, grain boundaries and Si atoms.

One sheet is one pure function of a key; `vmap` over keys makes a batch. Atoms sit in arrays of fixed length with a
mask, so that every sheet has the same shape.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from rvaejax.simulate.config import BOND_NM, COVALENT_RADIUS_NM, LATTICE_NM, SheetConfig
from rvaejax.simulate.relaxation import relax, squared_distances

MARGIN_NM = 0.3  # atoms outside the field that still shine into it, and hold the edge in place
TOO_CLOSE_NM = 0.1  # two atoms of two grains nearer than this: one goes


class Sheet(NamedTuple):
    """Atoms of one sheet; positions [nm] from the field's upper left corner, x to the right, y down."""

    xy: Float[Array, "n 2"]
    species: Int[Array, " n"]  # index into SPECIES
    mask: Bool[Array, " n"]


def capacity(field_nm: float) -> int:
    """Rows that a sheet over `field_nm` needs: the perfect lattice's atoms and a tenth more, in steps of 64."""
    atoms = (field_nm + 2 * MARGIN_NM) ** 2 * 4 / (math.sqrt(3) * LATTICE_NM**2)
    return 64 * math.ceil(1.1 * atoms / 64)


def honeycomb(
    angle: Float[Array, ""], offset: Float[Array, " 2"], centre: Float[Array, " 2"], radius_nm: float
) -> Float[Array, "m 2"]:
    """All sites of a honeycomb lattice that can lie within `radius_nm` of `centre`, turned by `angle` [rad]."""
    n = math.ceil(radius_nm / (LATTICE_NM * math.sqrt(3) / 2)) + 2
    i, j = jnp.meshgrid(jnp.arange(-n, n + 1), jnp.arange(-n, n + 1), indexing="ij")
    a = LATTICE_NM * jnp.stack([i + 0.5 * j, math.sqrt(3) / 2 * j], -1).reshape(-1, 2)
    sites = jnp.concatenate([a, a + jnp.array([[0.0, BOND_NM]])]) + offset[None]
    c, s = jnp.cos(angle), jnp.sin(angle)
    # counter-clockwise on the displayed image, where y points down
    return sites @ jnp.stack([jnp.stack([c, -s]), jnp.stack([s, c])]) + centre[None]


def _keep_first(order: Float[Array, " m"], n: int) -> Int[Array, " n"]:
    """The n rows of least `order`."""
    return jnp.argsort(order)[:n]


def hole_depth(xy: Float[Array, "n 2"], centre: Float[Array, " 2"], wobble: Float[Array, "k 2"]) -> Float[Array, " n"]:
    """Distance from a hole's centre over the hole's radius in that direction, for radius 1: less than 1 is inside.

    The rim wobbles by Fourier terms k = 2, 3, ... with amplitudes (cos, sin) in `wobble`.
    """
    d = xy - centre[None]
    phi = jnp.arctan2(d[:, 1], d[:, 0])
    turns = phi[:, None] * jnp.arange(2, 2 + wobble.shape[0])[None]
    rim = 1 + jnp.cos(turns) @ wobble[:, 0] + jnp.sin(turns) @ wobble[:, 1]
    return jnp.linalg.norm(d, axis=1) / rim


def two_grains(
    *, key: PRNGKeyArray, angles: Float[Array, " 2"], field_nm: float, boundary: Bool[Array, ""] | bool, rows: int
) -> tuple[Float[Array, "n 2"], Bool[Array, " n"]]:
    """Sites of two grains on either side of a line through the field (or of the first grain alone)."""
    k_off, k_point, k_dir, k_bow = jax.random.split(key, 4)
    centre = jnp.full(2, field_nm / 2)
    radius = (field_nm / 2 + MARGIN_NM) * math.sqrt(2)
    offsets = jax.random.uniform(k_off, (2, 2)) * LATTICE_NM
    a, b = (honeycomb(angles[i], offsets[i], centre, radius) for i in range(2))
    point = jax.random.uniform(k_point, (2,), minval=0.3 * field_nm, maxval=0.7 * field_nm)
    phi = jax.random.uniform(k_dir, maxval=2 * jnp.pi)
    normal, along = jnp.array([jnp.cos(phi), jnp.sin(phi)]), jnp.array([-jnp.sin(phi), jnp.cos(phi)])
    bow = 0.1 * jax.random.normal(k_bow)

    def side(xy: Float[Array, "m 2"]) -> Float[Array, " m"]:
        d = xy - point[None]
        return d @ normal + bow * jnp.sin(2 * (d @ along))

    use = jnp.concatenate([(side(a) < 0) | ~jnp.asarray(boundary), (side(b) >= 0) & jnp.asarray(boundary)])
    xy = jnp.concatenate([a, b])
    reach = jnp.abs(xy - centre[None]).max(1)
    use = use & (reach - field_nm / 2 <= MARGIN_NM)
    rank = jnp.where(use, reach, jnp.inf)
    chosen = _keep_first(rank, rows)
    return xy[chosen], use[chosen]


def remove_overlaps(xy: Float[Array, "n 2"], mask: Bool[Array, " n"]) -> Bool[Array, " n"]:
    """The mask without each atom that has an earlier one nearer than `TOO_CLOSE_NM`."""
    d2 = squared_distances(xy)
    earlier = jnp.arange(len(xy))[:, None] > jnp.arange(len(xy))[None, :]
    return mask & ~((d2 < TOO_CLOSE_NM**2) & earlier & mask[None, :]).any(1)


def rotate_bonds(
    xy: Float[Array, "n 2"], mask: Bool[Array, " n"], centres: Int[Array, " k"], use: Bool[Array, " k"]
) -> Float[Array, "n 2"]:
    """Turns the bond between each atom of `centres` and its nearest neighbour by a quarter turn (Stone-Wales)."""

    def turn(xy: Float[Array, "n 2"], args: tuple[Int[Array, ""], Bool[Array, ""]]) -> tuple[Float[Array, "n 2"], None]:
        i, do = args
        d2 = ((xy - xy[i][None]) ** 2).sum(-1)
        d2 = jnp.where(mask & (jnp.arange(len(xy)) != i), d2, jnp.inf)
        j = jnp.argmin(d2)
        do = do & mask[i] & (d2[j] < (1.2 * BOND_NM) ** 2)
        middle, half = (xy[i] + xy[j]) / 2, (xy[i] - xy[j]) / 2
        half = jnp.where(do, jnp.array([-half[1], half[0]]), half)
        return xy.at[i].set(middle + half).at[j].set(middle - half), None

    return jax.lax.scan(turn, xy, (centres, use))[0]


def coordination(xy: Float[Array, "n 2"], mask: Bool[Array, " n"], cutoff_nm: float = 0.2) -> Int[Array, " n"]:
    """Number of neighbours within `cutoff_nm`."""
    near = (squared_distances(xy) < cutoff_nm**2) & mask[None, :] & ~jnp.eye(len(xy), dtype=bool)
    return near.sum(1)


def graphene_sheet(config: SheetConfig, *, key: PRNGKeyArray) -> Sheet:
    """One random sheet; its field is the square from 0 to `config.field_nm`, its atoms reach a margin beyond."""
    keys = jax.random.split(key, 16)
    rows, field = capacity(config.field_nm), config.field_nm
    angles = jax.random.uniform(keys[0], (2,), maxval=2 * jnp.pi)
    boundary = jax.random.bernoulli(keys[1], config.boundary_probability)
    xy, mask = two_grains(key=keys[2], angles=angles, field_nm=field, boundary=boundary, rows=rows)
    mask = remove_overlaps(xy, mask)

    holes = config.max_holes
    n_holes = jax.random.randint(keys[3], (), 0, holes + 1)
    centres = jax.random.uniform(keys[4], (holes, 2), minval=-0.2 * field, maxval=1.2 * field)
    low, high = config.hole_radius_nm
    radii = jax.random.uniform(keys[5], (holes,), minval=low, maxval=high) * (jnp.arange(holes) < n_holes)
    wobble = 0.12 * jax.random.normal(keys[6], (holes, 3, 2))
    for h in range(holes):
        mask = mask & (hole_depth(xy, centres[h], wobble[h]) > radii[h])

    fraction = jax.random.uniform(
        keys[7], minval=config.vacancy_fraction[0], maxval=config.vacancy_fraction[1]
    ) * jax.random.bernoulli(keys[8])
    mask = mask & ~jax.random.bernoulli(keys[9], fraction, (rows,))
    mask = mask & (coordination(xy, mask) > 0)
    n_turn = jax.random.randint(keys[10], (), 0, config.max_bond_rotations + 1)
    turned = jax.random.randint(keys[11], (config.max_bond_rotations,), 0, rows)
    xy = rotate_bonds(xy, mask, turned, jnp.arange(config.max_bond_rotations) < n_turn)

    edge = coordination(xy, mask) < 3
    fraction = jax.random.uniform(keys[12], minval=config.si_fraction[0], maxval=config.si_fraction[1])
    si = jax.random.bernoulli(keys[13], jnp.clip(fraction * jnp.where(edge, 8.0, 1.0), 0, 0.6), (rows,))
    species = si.astype(jnp.int32)
    xy = relax(xy, jnp.asarray(COVALENT_RADIUS_NM)[species], mask, steps=config.relaxation_steps)
    k_strain, k_scale, k_move = jax.random.split(keys[14], 3)
    scale = 1 + config.scale_jitter * jax.random.uniform(k_scale, minval=-1.0)
    affine = scale * jnp.eye(2) + config.strain * jax.random.normal(k_strain, (2, 2))
    xy = (xy - field / 2) @ affine + field / 2 + config.displacement_nm * jax.random.normal(k_move, xy.shape)
    mask = mask & ~jax.random.bernoulli(keys[15], config.empty_probability)
    return Sheet(xy, species, mask)
