"""Bonds from positions: cut-offs by species, no crossings, periodic boxes."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from rvaejax.errors import ConfigError
from rvaejax.structure.bonds import BONDED_NM, bonds, coordination, displacement, neighbour_table


def _set(pairs):
    return {tuple(sorted(pair)) for pair in pairs.tolist()}


def test_bonds_are_the_pairs_nearer_than_the_longer_cut_off():
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 3, (60, 2))
    species = np.where(rng.random(60) < 0.3, "Si", "C")
    reach = np.array([BONDED_NM[s] for s in species])
    near = squareform(pdist(xy)) < np.maximum(reach[:, None], reach[None])
    expected = {(i, j) for i, j in zip(*np.nonzero(np.triu(near, 1)), strict=True)}
    assert _set(bonds(xy, species)) == expected  # so thin that none cross


def test_the_longer_bond_of_silicon_counts():
    xy = np.array([[0.0, 0.0], [0.2, 0.0], [-0.1, 0.17], [-0.1, -0.17]])
    count = [coordination(4, bonds(xy, np.array([s, "C", "C", "C"]))).tolist() for s in ("Si", "C")]
    assert count == [[3, 1, 1, 1], [0, 0, 0, 0]]


def test_of_two_bonds_that_cross_the_longer_goes():
    xy = np.array([[0.0, 0.0], [0.13, 0.11], [0.0, 0.12], [0.11, 0.0]])
    expected = {(0, 2), (0, 3), (1, 2), (1, 3), (2, 3)}  # without the longer diagonal
    assert _set(bonds(xy, np.full(4, "C"))) == expected


def test_a_periodic_box_has_no_edge_and_wrapping_changes_nothing():
    a = 0.246
    cell = np.array([[0, 0], [a / 2, a / 12**0.5], [a / 2, a * 3**0.5 / 2], [a, a * 3**0.5 / 2 + a / 12**0.5]])
    box = np.array([4 * a, 3 * a * 3**0.5])
    shift = np.stack(np.meshgrid(np.arange(4) * a, np.arange(3) * a * 3**0.5), -1).reshape(-1, 1, 2)
    xy = (cell[None] + shift).reshape(-1, 2)
    species = np.full(len(xy), "C")
    pairs = bonds(xy, species, box=box)
    assert (coordination(len(xy), pairs) == 3).all()
    assert _set(bonds(xy + 1.7, species, box=box)) == _set(pairs)
    assert np.allclose(np.hypot(*displacement(xy, pairs, box).T), a / 3**0.5)


def test_the_table_holds_every_bond_twice():
    pairs = np.array([[0, 1], [1, 2], [1, 3], [3, 4]])
    table = neighbour_table(6, pairs, 3)
    assert [sorted(row[row >= 0].tolist()) for row in table] == [[1], [0, 2, 3], [1], [1, 4], [3], []]


def test_what_cannot_be_is_refused_in_one_line():
    xy = np.array([[0.0, 0.0], [0.1, 0.0]])
    with pytest.raises(ConfigError, match="'Xx'"):
        bonds(xy, np.array(["C", "Xx"]))
    with pytest.raises(ConfigError, match="too small"):
        bonds(xy, np.array(["C", "C"]), box=np.array([0.3, 5.0]))
    assert bonds(xy[:0], np.zeros(0, "U2")).shape == (0, 2)
