"""A bank of sheets: windows full of atoms at graphene's density, bonded as graphene, the same from the same key."""

import jax
import numpy as np
import pytest

from rvaejax.errors import ConfigError
from rvaejax.simulate.config import BOND_NM
from rvaejax.simulate.dynamics.bank import sheet_bank
from rvaejax.simulate.dynamics.config import DynamicsConfig
from rvaejax.simulate.sheet import MARGIN_NM, capacity
from rvaejax.structure.sites import describe_sites

FIELD = 1.2


@pytest.fixture(scope="module")
def bank():
    return sheet_bank(14, FIELD, key=jax.random.key(3), config=DynamicsConfig(dose=2e8))


def _sheet(bank, k):
    there = np.asarray(bank.mask[k])
    return np.asarray(bank.xy[k], np.float64)[there], np.where(np.asarray(bank.species[k])[there] == 1, "Si", "C")


def test_windows_are_full_and_within_their_margin(bank):
    assert bank.xy.shape == (14, capacity(FIELD), 2)
    counts = np.asarray(bank.mask).sum(1)
    assert counts.max() > 0.75 * (FIELD + 2 * MARGIN_NM) ** 2 * 38.2 and counts.max() < capacity(FIELD)
    for k in range(14):
        xy, _ = _sheet(bank, k)
        assert (np.abs(xy - FIELD / 2) < FIELD / 2 + MARGIN_NM + 1e-5).all()


def test_bonds_and_damage_are_those_of_irradiated_graphene(bank):
    odd, lengths = [], []
    for k in range(14):
        xy, species = _sheet(bank, k)
        sites = describe_sites(xy, species)
        inside = (np.abs(xy - FIELD / 2) < FIELD / 2).all(1)
        odd.append((sites.rings[inside][:, [5, 7]].sum(1) > 0).mean() if inside.any() else 0)
        d = np.hypot(*(xy[:, None] - xy[None]).transpose(2, 0, 1))[species == "C"][:, species == "C"]
        np.fill_diagonal(d, 9)
        lengths.append(d[d < 0.19])
        assert d.min() > 0.11
    assert np.median(np.concatenate(lengths)) == pytest.approx(BOND_NM, rel=0.03)
    assert 0.02 < np.mean(odd) < 0.7 and np.std(odd) > 0.02  # disorder, and not the same everywhere


def test_a_key_is_a_bank(bank):
    again = sheet_bank(11, FIELD, key=jax.random.key(3), config=DynamicsConfig(dose=2e8))
    assert np.array_equal(again.xy[:10], bank.xy[:10])  # how many are asked for changes only the last windows' stage
    assert not np.array_equal(bank.xy[0], bank.xy[1])


@pytest.mark.parametrize(("n", "field"), [(0, 2.0), (3, 0.1), (3, 50.0)])
def test_sizes_that_make_no_sense_are_refused(n, field):
    with pytest.raises(ConfigError, match=f"got {n} of {field}"):
        sheet_bank(n, field, key=jax.random.key(0))
