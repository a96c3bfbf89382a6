"""What is true of a site, on specimens where the answer is known beforehand."""

import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.simulate.sheet import honeycomb, rotate_bonds
from rvaejax.structure.bonds import bonds
from rvaejax.structure.sites import describe_sites

PERIOD = 2 * np.pi / 3


@pytest.fixture(params=[0.0, 0.3, -0.8])
def turned(request):
    """A flake about an atom, turned; the middle atom first."""
    zero = jnp.zeros(2)
    xy = np.asarray(honeycomb(jnp.float32(request.param), zero, zero, 1.2), np.float64)
    return request.param, xy[np.argsort(np.hypot(*xy.T), kind="stable")]


def _modulo(a, b):
    return abs(np.angle(np.exp(3j * (a - b)))) / 3


def test_the_orientation_is_the_lattices_turn(turned):
    """At angle 0 the sites at the lattice's points have a bond straight down, the others straight up."""
    angle, xy = turned
    n, _, orientation, _, kind = describe_sites(xy, np.full(len(xy), "C"))
    bulk = kind == "bulk"
    assert (n[bulk] == 3).all() and bulk[np.hypot(*xy.T) < 0.8].all()
    down, up = (_modulo(orientation[bulk], angle + start) < 1e-4 for start in (-np.pi / 2, np.pi / 2))
    assert (down ^ up).all() and 0.4 < down.mean() < 0.6
    assert down[0]  # the middle atom is a lattice point
    assert _modulo(orientation[0], orientation[1]) == pytest.approx(np.pi / 3, abs=1e-4)  # neighbours: 60 degrees


def test_a_vacancy_leaves_three_atoms_with_two_bonds(turned):
    _, xy = turned
    n, rings, orientation, _, kind = describe_sites(xy[1:], np.full(len(xy) - 1, "C"))
    inner = np.hypot(*xy[1:].T) < 0.7
    assert (kind[inner] == "edge").sum() == 3 and (kind[:3] == "edge").all() and (n[:3] == 2).all()
    assert np.isnan(orientation[:3]).all() and (rings[:3, 12] == 1).all()
    assert (kind[inner][3:] == "bulk").all()


def test_silicon_is_silicon_and_its_neighbours_are_defects(turned):
    _, xy = turned
    species = np.full(len(xy), "C")
    species = species.astype("U2")
    species[0] = "Si"
    n, _, _, _, kind = describe_sites(xy, species)
    assert kind[0] == "Si" and n[0] == 3
    assert (kind[1:4] == "defect").all() and (kind[4:10] == "bulk").all()


def test_a_bent_site_is_a_defect(turned):
    _, xy = turned
    xy = xy.copy()
    xy[0] += 0.03 * (xy[1] - xy[0]) / np.hypot(*(xy[1] - xy[0])) + 0.02
    assert describe_sites(xy, np.full(len(xy), "C")).kind[0] == "defect"


def test_atoms_of_pentagons_and_heptagons_are_defects(turned):
    """Even those whose bonds happen to lie within 14 degrees of the lattice's."""
    _, xy = turned
    xy = np.asarray(rotate_bonds(jnp.asarray(xy), jnp.ones(len(xy), bool), jnp.array([0]), jnp.array([True])))
    species = np.full(len(xy), "C")
    sites = describe_sites(xy, species, bonds(xy, species, longest_nm={"C": 0.17}))  # not relaxed yet
    odd = sites.rings[:, [5, 7]].sum(1) > 0
    assert odd.sum() == 16 and (sites.kind[odd] == "defect").all()


def test_no_atoms_have_no_truth():
    assert [len(part) for part in describe_sites(np.zeros((0, 2)), np.zeros(0, "U2"))] == 5 * [0]
