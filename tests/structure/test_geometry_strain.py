"""Bond lengths, bond angles and strain of sheets that are stretched, sheared and turned by known amounts."""

import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.simulate.sheet import honeycomb
from rvaejax.structure.bonds import bonds, coordination
from rvaejax.structure.communities import communities
from rvaejax.structure.geometry import bond_angles, bond_lengths, mean_bond_length
from rvaejax.structure.order import bond_order
from rvaejax.structure.strain import strain


def flake(radius, angle=0.2):
    zero = jnp.zeros(2)
    sites = np.asarray(honeycomb(jnp.float32(angle), zero, zero, radius + 0.5), np.float64)
    return sites[np.hypot(*sites.T) < radius]


def bonded(xy):
    return bonds(xy, np.full(len(xy), "C"))


def test_lengths_and_angles_of_a_perfect_sheet():
    xy = flake(1.2)
    pairs = bonded(xy)
    number, angles = coordination(len(xy), pairs), bond_angles(xy, pairs)
    np.testing.assert_allclose(bond_lengths(xy, pairs), 0.142, atol=5e-5)
    np.testing.assert_allclose(angles[number == 3][:, :3], 2 * np.pi / 3, atol=1e-3)
    np.testing.assert_allclose(
        np.sort(angles[number == 2][:, :2], axis=1), [[2 * np.pi / 3, 4 * np.pi / 3]] * sum(number == 2), atol=1e-3
    )
    assert np.isnan(angles[number < 2]).all()
    np.testing.assert_allclose(np.nansum(angles, axis=1)[number > 1], 2 * np.pi)
    mean = mean_bond_length(len(xy) + 1, pairs, bond_lengths(xy, pairs))
    assert np.isnan(mean[-1]) and mean[:-1][number == 3] == pytest.approx(0.142, abs=1e-4)


@pytest.mark.parametrize("turn", [0.0, 0.3, 1.0])
def test_a_known_strain_is_found_in_the_axes_of_the_image(turn):
    xy = flake(1.5, turn)
    known = np.array([[0.03, 0.01], [0.01, -0.02]])
    stretched = xy @ (np.eye(2) + known).T
    found = strain(stretched, bonded(stretched), lattice_nm=0.246)
    inner = np.isfinite(found.angle)
    assert inner.sum() > 150
    np.testing.assert_allclose(found.tensor[inner], np.broadcast_to(known, (inner.sum(), 2, 2)), atol=1e-4)
    np.testing.assert_allclose(found.dilatation[inner], 0.01, atol=1e-4)
    np.testing.assert_allclose(found.shear[inner], np.hypot(0.025, 0.01), atol=1e-4)
    assert found.misfit[inner].max() < 1e-4
    # a symmetric stretch turns nothing: the rows of the lattice stay where they were
    unstrained = strain(xy, bonded(xy)).angle[inner]
    apart = np.abs((found.angle[inner] - unstrained + np.pi / 6) % (np.pi / 3) - np.pi / 6)
    assert apart.max() < 1e-3
    rows = np.mod(turn, np.pi / 3)
    assert np.abs((unstrained - rows + np.pi / 6) % (np.pi / 3) - np.pi / 6).max() < 1e-4


def test_a_sublattice_that_moves_is_no_strain_and_disorder_is_misfit():
    xy = flake(1.5)
    pairs = bonded(xy)
    psi = bond_order(xy, pairs)
    side = np.real(psi * np.conj(psi[0])) > 0  # the bonds of the two sublattices point against each other
    assert (side[pairs[:, 0]] != side[pairs[:, 1]]).all()
    shifted = xy + np.where(side[:, None], [0.01, 0.005], 0.0)
    found = strain(shifted, pairs)
    assert np.nanmax(np.abs(found.tensor)) < 1e-4
    noisy = strain(xy + np.random.default_rng(0).normal(0, 0.01, xy.shape), pairs)
    assert np.nanmedian(noisy.misfit) > 0.02


def test_two_flakes_joined_by_a_neck_are_two_communities():
    one = flake(0.6)
    pairs = bonded(one)
    n = len(one)
    both = np.concatenate([pairs, pairs + n, [[0, n]]])
    label = communities(2 * n, both, resolution=0.2)
    assert len(np.unique(label[:n])) == 1 and len(np.unique(label[n:])) == 1 and label[0] != label[n]
    assert communities(0, np.zeros((0, 2), int)).shape == (0,)
    np.testing.assert_array_equal(label, communities(2 * n, both, resolution=0.2))
