"""Which events an atom has, and how often: classes of sites, and the counting statistics of the clock."""

import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.errors import ConfigError
from rvaejax.simulate.dynamics.beam import BARN_NM2
from rvaejax.simulate.dynamics.config import DynamicsConfig
from rvaejax.simulate.dynamics.events import carry_out, cross_sections, events_of, touched
from rvaejax.simulate.dynamics.kmc import evolve, relax_network, schedule
from rvaejax.simulate.dynamics.network import LARGEST_COUNTED, face_size, network, remove_atom, rotate_bond
from rvaejax.simulate.sheet import honeycomb

CONFIG = DynamicsConfig()
CROSS = cross_sections(CONFIG)


@pytest.fixture
def net():
    zero = jnp.zeros(2)
    xy = np.asarray(honeycomb(jnp.float32(0.2), zero, zero, 2.1), np.float64)
    xy = xy[np.hypot(*xy.T) < 1.7]
    xy = xy[np.argsort(np.hypot(*xy.T), kind="stable")]
    return network(xy, np.zeros(len(xy), int), np.hypot(*xy.T) > 1.4)


def _of_kind(net, i, kind):
    return [event for event in events_of(net, i, CROSS) if event.kind == kind]


def test_sites_have_their_cross_sections(net):
    three = list(net.neighbours[0])
    (bulk,) = _of_kind(net, 20, "displace")
    assert bulk.rate == CROSS.bulk
    remove_atom(net, 0)
    (edge,) = _of_kind(net, three[0], "displace")
    net.species[net.neighbours[three[1]][0]] = 1
    (passivated,) = _of_kind(net, three[1], "displace")
    assert edge.rate == CROSS.edge > passivated.rate == CROSS.beside_silicon > CROSS.defect > CROSS.bulk
    assert not events_of(net, 0, CROSS)  # it is gone
    assert not events_of(net, len(net.xy) - 1, CROSS)  # the rim is held


def test_a_vacancy_can_close_and_a_closed_one_can_wander(net):
    three = list(net.neighbours[0])
    remove_atom(net, 0)
    closings = [e for i in three for e in _of_kind(net, i, "close")]
    assert {tuple(sorted((e.atoms[0], e.atoms[2]))) for e in closings} == {
        tuple(sorted(pair)) for pair in (three[:2], three[1:], three[::2])
    }
    carry_out(net, closings[0], np.random.default_rng(0))
    free = next(i for i in three if len(net.neighbours[i]) == 2)
    moves = _of_kind(net, free, "switch")
    assert moves and all(e.atoms[0] == free for e in moves)
    before = sum(len(row) for row in net.neighbours)
    carry_out(net, moves[0], np.random.default_rng(0))
    assert sum(len(row) for row in net.neighbours) == before and len(net.neighbours[free]) == 3


def test_a_turned_bond_turns_back_much_more_often_than_it_turns(net):
    j = next(k for k in net.neighbours[0])
    i, k = min(0, j), max(0, j)
    there = [e for e in _of_kind(net, i, "rotate") if e.atoms == (i, k)]
    rotate_bond(net, 0, j)
    (back,) = [e for e in _of_kind(net, i, "rotate") if e.atoms == (i, k)]
    assert back.bound == 1 and (not there or there[0].bound < 1e-2)
    assert touched(net, back) == {i, k, *net.neighbours[i], *net.neighbours[k]}


def test_a_bond_turns_one_way_as_often_as_the_other(net):
    rng, j = np.random.default_rng(0), net.neighbours[0][0]
    i, k = min(0, j), max(0, j)
    event = next(e for e in _of_kind(net, i, "rotate") if e.atoms == (i, k))
    along = net.xy[i] - net.xy[k]
    senses = []
    for _ in range(200):
        turned = net.copy()
        carry_out(turned, event, rng)
        after = turned.xy[i] - turned.xy[k]
        senses.append(along[1] * after[0] - along[0] * after[1] > 0)  # y points down
    assert 70 < sum(senses) < 130


def test_silicon_swaps_with_its_carbon_neighbours(net):
    net.species[0] = 1
    assert {e.atoms for e in _of_kind(net, 0, "exchange")} == {(0, j) for j in net.neighbours[0]}
    assert CROSS.silicon < 0.1 * CROSS.bulk  # too heavy


def test_the_clock_counts_as_poisson_does(net):
    """With nothing but displacements of bulk atoms the losses are the cross section times dose times atoms."""
    relax_network(net)
    quiet = DynamicsConfig(
        bulk_ev=18.0, defect_ev=18.0, edge_ev=18.0, rotation_barn=0, migration_barn=0, closing_barn=0, exchange_barn=0
    )
    cross = cross_sections(quiet)
    free = (~net.fixed).sum()
    dose = 0.1 / cross.bulk
    lost = []
    for seed in range(4):
        copy = net.copy()
        evolve(copy, schedule(copy, cross), cross, quiet, dose, np.random.default_rng(seed))
        lost.append((~copy.alive).sum())
    # atoms with one bond are lost faster, which adds some
    assert 0.07 < np.mean(lost) / free < 0.14 and len(set(lost)) > 1


@pytest.mark.parametrize(
    "wrong", [{"edge_ev": 0.0}, {"dose": -1.0}, {"voltage_kv": 5.0}, {"rotation_barn": float("nan")}]
)
def test_values_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        DynamicsConfig(**wrong)


def test_thresholds_become_areas():
    assert CROSS.rotation == CONFIG.rotation_barn * BARN_NM2 and CROSS.chain > CROSS.edge


def test_faces_that_are_remembered_are_those_that_are_there(net):
    """However much has happened: nothing that is remembered of rings is out of date."""
    for i in (0, 30, 31, 80, 120):
        remove_atom(net, i)
    relax_network(net)
    done = evolve(net, schedule(net, CROSS), CROSS, CONFIG, 3e8, np.random.default_rng(0))
    assert done["displace"] > 0 and sum(done.values()) > 50 and len(net.sizes) > 300
    remembered = dict(net.sizes)
    net.sizes.clear()
    known = [(size, face_size(net, *half)) for half, size in remembered.items()]
    assert all(a == b for a, b in known if a < LARGEST_COUNTED)
    # of large faces only the one half-bond that was asked for is remembered, until something happens there
    assert np.mean([a == b for a, b in known]) > 0.97
