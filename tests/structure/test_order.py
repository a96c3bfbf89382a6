"""Orientation and crystallinity: exact on perfect graphene at any angle, lower at whatever disturbs it."""

import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.simulate.sheet import honeycomb, rotate_bonds
from rvaejax.structure.bonds import bonds
from rvaejax.structure.order import bond_order, crystallinity, orientation
from rvaejax.structure.rings import faces, ring_sizes


def _flake(angle, radius=1.5):
    zero = jnp.zeros(2)
    sites = np.asarray(honeycomb(jnp.float32(angle), zero, zero, radius + 0.5), np.float64)
    sites = sites[np.hypot(*sites.T) < radius]
    return sites[np.argsort(np.hypot(*sites.T), kind="stable")]


def _crystallinity(xy):
    pairs = bonds(xy, np.full(len(xy), "C"))
    return crystallinity(xy, pairs, ring_sizes(len(xy), faces(xy, pairs)))


@pytest.mark.parametrize("angle", [0.0, 0.3, -0.8, 2.0])
def test_perfect_graphene_is_wholly_crystalline_at_any_angle(angle):
    xy = _flake(angle)
    pairs = bonds(xy, np.full(len(xy), "C"))
    inner = np.hypot(*xy.T) < 0.9
    assert np.allclose(np.abs(bond_order(xy, pairs))[inner], 1, atol=1e-6)
    assert np.allclose(_crystallinity(xy)[inner], 1, atol=1e-6)
    # the sites at the lattice's points have a bond straight down at angle 0, the others straight up
    off = np.exp(3j * (orientation(xy, pairs)[inner] - angle))
    assert np.allclose(off.real, 0, atol=1e-5) and np.allclose(np.abs(off.imag), 1)


def test_it_is_bounded_and_falls_at_vacancies_pentagons_and_edges():
    xy = _flake(0.2)
    far = (np.hypot(*xy.T) > 0.75) & (np.hypot(*xy.T) < 0.95)
    turned = np.asarray(
        rotate_bonds(jnp.asarray(xy), jnp.ones(len(xy), bool), jnp.array([0]), jnp.array([True])), np.float64
    )
    for damaged, near in ((xy[1:], 3), (turned, 2)):
        value = _crystallinity(damaged)
        assert (value >= 0).all() and (value <= 1).all()
        assert value[:near].max() < 0.6
        assert value[far[-len(damaged) :]].min() > 0.95  # and only there
    rim = np.hypot(*xy.T) > 1.45
    assert _crystallinity(xy)[rim].max() < 0.6


def test_two_grains_differ_by_their_angle_and_are_crystalline_inside():
    left, right = _flake(0.1), _flake(0.25) + [4.0, 0.0]
    xy = np.concatenate([left, right])
    pairs = bonds(xy, np.full(len(xy), "C"))
    angle = orientation(xy, pairs)
    a, b = angle[0], angle[len(left)]
    assert np.angle(np.exp(3j * (b - a))) / 3 == pytest.approx(0.15, abs=1e-5)
    assert np.isnan(angle[np.hypot(*xy.T) > 1.49]).any()


def test_noise_lowers_it_gradually():
    rng = np.random.default_rng(0)
    xy, inner = _flake(0.4), np.hypot(*_flake(0.4).T) < 0.9
    means = [_crystallinity(xy + sd * rng.normal(size=xy.shape))[inner].mean() for sd in (0.002, 0.006, 0.012)]
    assert 1 > means[0] > 0.98 and means[0] > means[1] + 0.01 > means[2] + 0.03
