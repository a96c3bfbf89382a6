"""Moves on the bond graph: planar whatever happens, and undone by their opposites."""

import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.simulate.dynamics.network import (
    LARGEST_COUNTED,
    add_bond,
    cut_bond,
    face_size,
    network,
    next_atom,
    remove_atom,
    rotate_bond,
    swap_atoms,
    walk,
    walk_back,
)
from rvaejax.simulate.sheet import honeycomb
from rvaejax.structure.rings import faces


@pytest.fixture
def net():
    zero = jnp.zeros(2)
    xy = np.asarray(honeycomb(jnp.float32(0.2), zero, zero, 1.5), np.float64)
    xy = xy[np.hypot(*xy.T) < 1.1]
    xy = xy[np.argsort(np.hypot(*xy.T), kind="stable")]
    made = network(xy, np.zeros(len(xy), int), np.zeros(len(xy), bool))
    for i in [i for i, row in enumerate(made.neighbours) if len(row) == 1]:
        remove_atom(made, i)
    return made


def _census(net):
    """Number of faces of each size, by walking every half-bond."""
    sizes = [face_size(net, i, j) for i, row in enumerate(net.neighbours) for j in row]
    return np.bincount(sizes, minlength=20) / np.arange(20).clip(1)


def _euler(net):
    """V - E + F of a connected planar graph is 2; F by walking."""
    halves = {(i, j) for i, row in enumerate(net.neighbours) for j in row}
    count, edges = 0, len(halves) // 2
    while halves:
        start = here = halves.pop()
        count += 1
        while (here := (here[1], next_atom(net, *here))) != start:
            halves.remove(here)
    return net.alive.sum() - edges + count


def test_walking_finds_the_faces_that_the_positions_have(net):
    found = faces(net.xy, np.array([(i, j) for i, row in enumerate(net.neighbours) for j in row if i < j]))
    assert _census(net)[6] == (found.size[found.rings()] == 6).sum() > 30
    assert _euler(net) == 2
    j = net.neighbours[0][0]
    way = walk(net, 0, j, 20)
    assert len(way) == 6 == len(set(way)) and way[:2] == [0, j]
    assert walk_back(net, 0, j, 20) == [way[0], *way[:0:-1]]
    assert walk(net, 0, j, 4) == way[:4]


def test_a_turned_bond_makes_a_stone_wales_defect_and_keeps_the_graph_planar(net):
    before = [set(row) for row in net.neighbours]
    j = net.neighbours[0][0]
    gap = net.xy[0] - net.xy[j]
    rotate_bond(net, 0, j)
    census = _census(net)
    assert census[5] == 2 and census[7] == 2 and _euler(net) == 2
    assert abs(gap @ (net.xy[0] - net.xy[j])) < 1e-12
    for _ in range(3):  # a whole turn; after half a turn the two atoms have changed places
        rotate_bond(net, 0, j)
    assert [set(row) for row in net.neighbours] == before


def test_a_turn_is_undone_by_the_other_sense_and_gives_the_same_picture_in_both(net):
    start, j = net.copy(), net.neighbours[0][0]
    rotate_bond(net, 0, j)
    other = start.copy()
    rotate_bond(other, 0, j, clockwise=True)
    np.testing.assert_allclose(other.xy[[j, 0]], net.xy[[0, j]], atol=1e-12)
    swap_atoms(other, 0, j)
    assert [set(row) for row in other.neighbours] == [set(row) for row in net.neighbours]
    rotate_bond(net, 0, j, clockwise=True)
    np.testing.assert_allclose(net.xy, start.xy, atol=1e-12)
    assert [set(row) for row in net.neighbours] == [set(row) for row in start.neighbours] and _euler(net) == 2


def test_the_graph_that_turns_is_the_one_that_is_seen(net):
    """After the turn the neighbours in the table are still in order around each atom, where they are drawn."""
    rotate_bond(net, 0, net.neighbours[0][0])
    for i in (0, net.neighbours[0][0]):
        d = net.xy[net.neighbours[i]] - net.xy[i]
        phi = np.unwrap(np.arctan2(-d[:, 1], d[:, 0]), period=2 * np.pi)
        assert ((np.diff(np.append(phi, phi[0])) % (2 * np.pi)).sum()) == pytest.approx(2 * np.pi)


def test_a_vacancy_closes_to_a_pentagon_and_opens_again(net):
    three = list(net.neighbours[0])
    remove_atom(net, 0)
    assert not net.alive[0] and _census(net)[12] == 1
    u, v = three[:2]
    ring = next(way for way in (walk(net, u, a, 20) for a in net.neighbours[u]) if len(way) == 12)
    place = ring.index(v)
    add_bond(net, u, ring[1], v, ring[(place + 1) % 12])
    assert _census(net)[[5, 9, 12]].tolist() == [1, 1, 0] and _euler(net) == 2
    cut_bond(net, u, v)
    assert _census(net)[12] == 1


def test_atoms_that_swap_take_each_others_place(net):
    j = net.neighbours[0][0]
    places, census, around = net.xy[[0, j]].copy(), _census(net), set(net.neighbours[0]) - {j}
    swap_atoms(net, 0, j)
    assert np.array_equal(net.xy[[j, 0]], places) and np.array_equal(_census(net), census)
    assert set(net.neighbours[j]) - {0} == around and _euler(net) == 2


def test_large_faces_are_all_the_same(net):
    rim = [i for i, row in enumerate(net.neighbours) if len(row) == 2]
    assert max(face_size(net, i, j) for i in rim for j in net.neighbours[i]) == LARGEST_COUNTED
