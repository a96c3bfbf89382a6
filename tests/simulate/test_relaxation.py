"""The springs: what they do to perfect graphene, to defects, and that they descend the energy that they promise."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import cKDTree

from rvaejax.simulate.config import BOND_NM, COVALENT_RADIUS_NM
from rvaejax.simulate.relaxation import APART_NM, BOND_CUTOFF, LONGEST_NM, relax
from rvaejax.simulate.sheet import honeycomb, rotate_bonds

QUICK = {"xla_backend_optimization_level": 0}  # compiled in half the time
RELAXED = jax.jit(partial(relax, steps=150))


@pytest.fixture(scope="module")
def patch():
    """A round flake about an atom, the atom first."""
    zero = jnp.zeros(2)
    sites = np.asarray(honeycomb(jnp.float32(0.2), zero, zero, 1.5))
    sites = sites[np.hypot(*sites.T) < 1.1]
    return jnp.asarray(sites[np.argsort(np.hypot(*sites.T))])


def _carbon(patch):
    return jnp.full(len(patch), COVALENT_RADIUS_NM[0])


def _inner(xy):
    return np.hypot(*np.asarray(xy).T) < 0.75


def test_perfect_graphene_stays_where_it_is(patch):
    moved = RELAXED(patch, _carbon(patch), jnp.ones(len(patch), bool))
    assert np.abs(np.asarray(moved - patch))[_inner(patch)].max() < 5e-4


def test_bonds_of_a_stone_wales_defect_come_out_within_a_few_per_cent(patch):
    mask = jnp.ones(len(patch), bool)
    xy = np.asarray(RELAXED(rotate_bonds(patch, mask, jnp.array([0]), jnp.array([True])), _carbon(patch), mask))
    distance = cKDTree(xy).query(xy[_inner(xy)], 5)[0]
    assert abs(distance[:, 1:4] / BOND_NM - 1).max() < 0.06
    assert distance[:, 4].min() > 0.2  # no fourth bond anywhere
    assert distance[0, 1] < BOND_NM * 1.001  # the turned bond is under pressure, as in the real defect


def test_a_silicon_pushes_its_neighbours_to_its_own_bond_length(patch):
    radius = _carbon(patch).at[0].set(COVALENT_RADIUS_NM[1])
    xy = np.asarray(RELAXED(patch, radius, jnp.ones(len(patch), bool)))
    bonds = np.sort(np.hypot(*(xy - xy[0]).T))[1:4]
    assert np.allclose(bonds, sum(COVALENT_RADIUS_NM), rtol=0.06) and (bonds > 1.15 * BOND_NM).all()
    assert np.ptp(bonds) < 1e-4


def _energy(xy, radius, start, mask):
    """The documented energy, pair by pair; which pairs are bonded is decided at the start."""
    r0 = jnp.hypot(*(start[:, None] - start[None]).transpose(2, 0, 1))
    d = xy[:, None] - xy[None]
    r = jnp.sqrt((d**2).sum(-1) + 1e-12)
    pairs = mask[:, None] & mask[None] & (jnp.arange(len(xy))[:, None] < jnp.arange(len(xy))[None])
    rest = radius[:, None] + radius[None]
    bonded = r0 < jnp.minimum(BOND_CUTOFF * rest, LONGEST_NM)
    stretch = 0.5 * (r - rest) ** 2
    apart = 0.25 * jnp.maximum(0, APART_NM - r) ** 2 * (r0 < 2.2 * BOND_NM)
    return jnp.where(pairs, jnp.where(bonded, stretch, apart), 0).sum()


def test_one_step_follows_the_gradient_of_the_energy(patch):
    xy = patch + 0.01 * jax.random.normal(jax.random.key(0), patch.shape)
    radius = _carbon(patch).at[jnp.array([3, 20])].set(COVALENT_RADIUS_NM[1])
    mask = jax.random.bernoulli(jax.random.key(1), 0.9, (len(patch),))
    step = jax.jit(partial(relax, steps=1, rate=0.2), compiler_options=QUICK)(xy, radius, mask) - xy
    slope = jax.jit(jax.grad(_energy), compiler_options=QUICK)(xy, radius, xy, mask)
    assert np.allclose(step[mask], -0.2 * slope[mask], atol=2e-6)
    assert float(jnp.abs(slope).max()) > 0.01
    assert (np.asarray(step)[~np.asarray(mask)] == 0).all()


def test_the_energy_falls_step_by_step(patch):
    xy = patch + 0.01 * jax.random.normal(jax.random.key(2), patch.shape)
    mask = jnp.ones(len(patch), bool)
    energies = [float(_energy(relax(xy, _carbon(patch), mask, steps=n), _carbon(patch), xy, mask)) for n in (0, 4, 16)]
    assert energies[0] > 2 * energies[1] > 4 * energies[2]


def test_turning_and_shifting_the_sheet_turns_and_shifts_the_result(patch):
    mask = jnp.ones(len(patch), bool)
    xy = rotate_bonds(patch, mask, jnp.array([0]), jnp.array([True]))
    c, s = np.cos(0.7), np.sin(0.7)
    turn, shift = jnp.array([[c, -s], [s, c]]), jnp.array([[0.4, -0.2]])
    there = RELAXED(xy @ turn + shift, _carbon(patch), mask)
    assert np.allclose(there, RELAXED(xy, _carbon(patch), mask) @ turn + shift, atol=2e-5)
