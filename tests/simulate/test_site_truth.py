"""What is true of a site, on specimens where the answer is known beforehand."""

import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.simulate.sheet import honeycomb
from rvaejax.simulate.truth import frame_truth, join_truth, local_truth

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
    n, orientation, kind = local_truth(xy, np.full(len(xy), "C"))
    bulk = kind == "bulk"
    assert (n[bulk] == 3).all() and bulk[np.hypot(*xy.T) < 0.8].all()
    down, up = (_modulo(orientation[bulk], angle + start) < 1e-4 for start in (-np.pi / 2, np.pi / 2))
    assert (down ^ up).all() and 0.4 < down.mean() < 0.6
    assert down[0]  # the middle atom is a lattice point
    assert _modulo(orientation[0], orientation[1]) == pytest.approx(np.pi / 3, abs=1e-4)  # neighbours: 60 degrees


def test_a_vacancy_leaves_three_atoms_with_two_bonds(turned):
    _, xy = turned
    n, orientation, kind = local_truth(xy[1:], np.full(len(xy) - 1, "C"))
    inner = np.hypot(*xy[1:].T) < 0.7
    assert (kind[inner] == "edge").sum() == 3 and (kind[:3] == "edge").all() and (n[:3] == 2).all()
    assert np.isnan(orientation[:3]).all()
    assert (kind[inner][3:] == "bulk").all()


def test_silicon_is_silicon_and_its_neighbours_are_defects(turned):
    _, xy = turned
    species = np.full(len(xy), "C")
    species = species.astype("U2")
    species[0] = "Si"
    n, _, kind = local_truth(xy, species)
    assert kind[0] == "Si" and n[0] == 3
    assert (kind[1:4] == "defect").all() and (kind[4:10] == "bulk").all()


def test_the_longer_bond_of_silicon_counts():
    xy = np.array([[0.0, 0.0], [0.2, 0.0], [-0.1, 0.17], [-0.1, -0.17]])
    assert local_truth(xy, np.array(["Si", "C", "C", "C"]))[0].tolist() == [3, 1, 1, 1]
    assert local_truth(xy, np.array(["C", "C", "C", "C"]))[0].tolist() == [0, 0, 0, 0]


def test_a_bent_site_is_a_defect(turned):
    _, xy = turned
    xy = xy.copy()
    xy[0] += 0.03 * (xy[1] - xy[0]) / np.hypot(*(xy[1] - xy[0])) + 0.02
    assert local_truth(xy, np.full(len(xy), "C"))[2][0] == "defect"


def test_no_atoms_have_no_truth():
    n, orientation, kind = local_truth(np.zeros((0, 2)), np.zeros(0, "U2"))
    assert len(n) == len(orientation) == len(kind) == 0


def test_a_frames_truth_is_of_the_atoms_in_it():
    """Atoms outside the frame are left out but count as neighbours; so are hidden ones."""
    xy = np.array([[0.02, 0.5], [-0.1, 0.5], [0.5, 0.5], [0.62, 0.5], [0.979, 0.3]])
    hidden = np.zeros((50, 50), bool)
    hidden[20:30, 28:35] = True
    truth = frame_truth(3, np.arange(10, 15), xy, np.full(5, "C"), 50, 0.02, hidden)
    assert truth.identity.tolist() == [10, 12, 14] and truth.atoms.frame.tolist() == [3, 3, 3]
    assert truth.coordination.tolist() == [1, 1, 0]
    assert np.allclose(truth.atoms.x, [1, 25, 48.95]) and np.allclose(truth.atoms.y, [25, 25, 15])
    both = join_truth([truth, truth])
    assert len(both.atoms) == 6 and both.identity.tolist() == [10, 12, 14] * 2
