"""Rings as faces of the bond graph, against counts that are known, and Euler's formula."""

import time

import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.simulate.sheet import honeycomb, rotate_bonds
from rvaejax.structure.bonds import BONDED_NM, bonds
from rvaejax.structure.rings import faces, ring_range, ring_sizes


def _flake(radius, angle=0.2):
    zero = jnp.zeros(2)
    sites = np.asarray(honeycomb(jnp.float32(angle), zero, zero, radius + 0.5), np.float64)
    sites = sites[np.hypot(*sites.T) < radius]
    return sites[np.argsort(np.hypot(*sites.T), kind="stable")]


def _faces(xy, longest_nm=BONDED_NM):
    return faces(xy, bonds(xy, np.full(len(xy), "C"), longest_nm=longest_nm))


def test_a_hexagon_is_one_ring_and_one_rim():
    phi = np.arange(6) * np.pi / 3
    xy = 0.142 * np.column_stack([np.cos(phi), np.sin(phi)])
    found = _faces(xy)
    assert sorted(found.size.tolist()) == [6, 6]
    area = 1.5 * 3**0.5 * 0.142**2
    assert np.allclose(np.sort(found.area), [-area, area])
    inside = found.atoms[found.face == np.flatnonzero(found.rings())[0]]
    turn = np.diff(np.unwrap(np.arctan2(-xy[inside, 1], xy[inside, 0])))
    assert np.allclose(turn, np.pi / 3)  # counter-clockwise as displayed


def test_graphene_has_hexagons_alone_and_a_chain_is_no_ring():
    xy = _flake(1.2)
    found = _faces(xy)
    assert set(found.size[found.rings()].tolist()) == {6} and (found.area < 0).sum() == 1
    # Euler: V - E + F = 2, of the part without chains
    v = len(np.unique(found.atoms))
    assert v - len(found.atoms) // 2 + len(found.size) == 2
    tail = np.array([[1.3, 0.0], [1.44, 0.0]]) + xy[np.argmax(xy[:, 0])] - [1.16, 0.0]
    assert _faces(np.concatenate([xy, tail])).size[1:].sum() == found.size[1:].sum()


def test_a_stone_wales_defect_has_two_pentagons_and_two_heptagons():
    xy = _flake(1.2)
    turned = rotate_bonds(jnp.asarray(xy), jnp.ones(len(xy), bool), jnp.array([0]), jnp.array([True]))
    found = _faces(np.asarray(turned, np.float64), {"C": 0.17})  # not relaxed yet
    sizes = np.bincount(found.size[found.rings()], minlength=9)
    assert sizes[5] == 2 and sizes[7] == 2 and sizes[6] > 20 and sizes[[3, 4, 8]].sum() == 0


def test_a_vacancy_is_a_ring_of_twelve_and_a_larger_gap_a_hole():
    xy = _flake(1.4)
    vacancy = _faces(xy[1:])
    assert np.bincount(vacancy.size[vacancy.rings()])[12] == 1 and not vacancy.holes().any()
    gap = _faces(xy[np.hypot(*xy.T) > 0.5])
    assert gap.holes().sum() == 1
    assert 0.5 < gap.area[gap.holes()].item() / (np.pi * 0.5**2) < 1.97  # up to the atoms around it


def test_two_pieces_have_two_rims():
    xy = _flake(0.5)
    found = _faces(np.concatenate([xy, xy + [3.0, 0.0]]))
    assert (found.area < 0).sum() == 2


def test_ring_sizes_of_atoms_add_up():
    xy = _flake(1.2)[1:]
    found = _faces(xy)
    counts = ring_sizes(len(xy), found)
    rings = np.bincount(found.size[found.rings()], minlength=13)
    assert (counts.sum(0) == rings * np.arange(13)).all()
    smallest, largest = ring_range(counts)
    assert (largest[:3] == 12).all() and (smallest[:3] == 6).all() and counts[:3, 6].tolist() == [1, 1, 1]
    assert (largest[counts.sum(1) == 0] == 0).all() and (smallest[counts.sum(1) == 0] == 0).all()


def test_no_bonds_have_no_rings():
    found = faces(np.zeros((3, 2)), np.zeros((0, 2), int))
    assert len(found.size) == 0 and ring_sizes(3, found).shape == (3, 13)


def test_ten_thousand_atoms_take_less_than_a_tenth_of_a_second():
    xy = _flake(9.2)
    pairs = bonds(xy, np.full(len(xy), "C"))
    assert len(xy) > 9500
    times = []
    for _ in range(5):
        start = time.perf_counter()
        ring_sizes(len(xy), faces(xy, pairs))
        times.append(time.perf_counter() - start)
    assert min(times) < 0.1


@pytest.mark.real
def test_polycrystalline_graphene_has_the_published_rings(real_data):
    """3,200 atoms with their bonds in a periodic box (federicodambrosio/graphene-samples)."""
    lines = (real_data / "structures" / "3200-625eV.data").read_text().splitlines()
    box = np.array([float(lines[0]), float(lines[1])]) / 10
    rows = [line.split() for line in lines[4:] if line.strip()]
    xy = np.mod(np.array([row[1:3] for row in rows if len(row) == 4], float) / 10, box)
    pairs = np.array([row[1:3] for row in rows if len(row) == 3], int)
    found = faces(xy, pairs, box)
    assert np.bincount(found.size[found.rings()])[5:].tolist() == [252, 1128, 192, 24, 4]
    assert found.rings().all() and found.area.sum() == pytest.approx(box.prod())
    assert len({tuple(p) for p in np.sort(pairs, 1).tolist()} - {tuple(p) for p in bonds_of(xy, box)}) == 0


def bonds_of(xy, box):
    return np.sort(bonds(xy, np.full(len(xy), "C"), box=box), 1).tolist()
