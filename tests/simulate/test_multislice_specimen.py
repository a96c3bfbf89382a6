"""Specimens: bond lengths and neighbours of the crystals, through the cell's borders, and sheets of the simulator."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.errors import ConfigError
from rvaejax.simulate.multislice.specimen import (
    boron_nitride,
    from_sheet,
    graphene,
    molybdenum_disulfide,
    specimen,
    tungsten_disulfide,
)
from rvaejax.simulate.sheet import Sheet


def _distances(s):
    """Distance of every pair through the cell's borders [nm]."""
    xyz, cell = np.asarray(s.positions, float), np.asarray(s.cell, float)
    d = xyz[:, None] - xyz[None]
    d[..., :2] -= cell[:2] * np.round(d[..., :2] / cell[:2])
    r = np.linalg.norm(d, axis=-1)
    np.fill_diagonal(r, np.inf)
    return r


@pytest.mark.parametrize(
    ("build", "bond", "pair", "neighbours"),
    [
        (graphene, 0.1420, (6, 6), 3),
        (boron_nitride, 0.1446, (5, 7), 3),
        (molybdenum_disulfide, 0.2418, (42, 16), 6),
        (tungsten_disulfide, 0.2408, (74, 16), 6),
    ],
)
def test_crystals_have_their_bonds_everywhere(build, bond, pair, neighbours):
    s = build((2.2, 1.7))
    r, numbers = _distances(s), np.asarray(s.numbers)
    first = numbers == pair[0]
    bonded = r < 1.05 * bond
    assert np.allclose(r[bonded], bond, atol=1e-3) and r.min() > 0.14
    assert (bonded[first].sum(1) == neighbours).all()
    assert set(numbers[np.nonzero(bonded[first])[1]]) == {pair[1]}
    assert np.allclose(np.asarray(s.cell)[:2], (2.2, 1.7), atol=0.3)


def test_silicon_takes_the_place_of_carbon_far_from_other_silicon():
    plain, doped = graphene(3.0), graphene(3.0, silicon=4)
    assert np.array_equal(plain.positions, doped.positions)
    si = np.asarray(doped.numbers) == 14
    assert si.sum() == 4 and _distances(doped)[si][:, si].min() > 1.0


def test_any_atoms_make_a_specimen():
    s = specimen(["Au", 6], [[1.0, 2.0], [1.5, 2.2]], pad_nm=0.5)
    assert np.asarray(s.numbers).tolist() == [79, 6]
    assert np.allclose(s.positions[:, :2], [[0.5, 0.5], [1.0, 0.7]]) and np.allclose(s.cell[:2], [1.5, 1.2])


@pytest.mark.parametrize(
    ("elements", "positions", "cell", "message"),
    [
        (["Xy"], [[0, 0]], (1.0, 1.0), "no scattering parameters for element 'Xy'"),
        (["C"], [[0, 0], [1, 1]], (1.0, 1.0), "1 elements need as many rows"),
        (["C"], [[0, np.nan]], (1.0, 1.0), "finite"),
        (["C"], [[0, 0]], None, "no extent"),
    ],
)
def test_what_is_no_specimen_is_refused(elements, positions, cell, message):
    with pytest.raises(ConfigError, match=message):
        specimen(elements, np.array(positions, float), cell)


def test_sheets_of_the_simulator_become_padded_specimens_under_vmap():
    xy = jnp.asarray(np.random.default_rng(0).uniform(-0.3, 2.3, (2, 9, 2)), jnp.float32)
    mask = jnp.asarray(np.random.default_rng(1).random((2, 9)) < 0.7)
    species = jnp.asarray(np.random.default_rng(2).integers(0, 2, (2, 9)))
    made = jax.jit(jax.vmap(lambda s: from_sheet(s, 2.0, pad_nm=0.6)))(Sheet(xy, species, mask))
    assert np.allclose(made.positions[..., :2], xy + 0.6) and np.allclose(made.cell[:, :2], 3.2)
    assert np.array_equal(made.numbers, np.where(mask, np.where(species == 1, 14, 6), 0))
