"""What can happen at an atom, and how often: the event list of the kinetic Monte Carlo."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from rvaejax.simulate.dynamics.beam import BARN_NM2, displacement_cross_section
from rvaejax.simulate.dynamics.config import DynamicsConfig
from rvaejax.simulate.dynamics.network import (
    Network,
    add_bond,
    cut_bond,
    face_size,
    next_atom,
    remove_atom,
    rotate_bond,
    swap_atoms,
    walk,
    walk_back,
)
from rvaejax.structure.rings import LARGEST_RING

CARBON, SILICON = 0, 1
SMALLEST_RING = 5
LARGEST_OPENING = 18  # atoms around a gap that vacancies may still leave by moving bonds; beyond, it is a hole
WALK = 9  # atoms along the rim of a hole within which a new bond may close a ring
SECOND_NEIGHBOUR_NM = 0.30  # a dangling bond reaches this far
SLACK_EV = 1.5  # the relaxed energy of a bond rotation may lie this far below what its rings say
RAREST = 1e-5  # of a rotation's trials; below, it is no event


class Event(NamedTuple):
    """One thing that can happen.

    `rate` is its cross section [nm²]; `bound` the probability that it has already been thinned by, of which the
    Metropolis factor is a part; `atoms` what it happens to.
    """

    rate: float
    kind: str
    atoms: tuple[int, ...]
    bound: float = 1.0


class CrossSections(NamedTuple):
    """Cross sections of all events [nm²]."""

    bulk: float
    defect: float
    edge: float
    beside_silicon: float
    chain: float
    silicon: float
    rotation: float
    migration: float
    closing: float
    exchange: float
    ring_ev: float
    temperature_ev: float


def cross_sections(config: DynamicsConfig) -> CrossSections:
    """The cross sections that a config's thresholds amount to."""

    def displaced(threshold: float, species: str = "C") -> float:
        return displacement_cross_section(threshold, config.voltage_kv, species) * BARN_NM2

    return CrossSections(
        displaced(config.bulk_ev),
        displaced(config.defect_ev),
        displaced(config.edge_ev),
        displaced(config.beside_silicon_ev),
        displaced(config.chain_ev),
        displaced(config.silicon_ev, "Si"),
        config.rotation_barn * BARN_NM2,
        config.migration_barn * BARN_NM2,
        config.closing_barn * BARN_NM2,
        config.exchange_barn * BARN_NM2,
        config.ring_ev,
        config.temperature_ev,
    )


def events_of(net: Network, i: int, cross: CrossSections) -> list[Event]:
    """All events that atom i owns; those of two atoms belong to one of them."""
    if net.fixed[i] or not net.alive[i]:
        return []
    bonds, species = len(net.neighbours[i]), net.species[i]
    events = [Event(_displacement(net, i, cross), "displace", (i,))]
    if species == CARBON and bonds == 3:
        events += _rotations(net, i, cross)
    if species == SILICON:
        free = (j for j in net.neighbours[i] if net.species[j] == CARBON and not net.fixed[j])
        events += [Event(cross.exchange, "exchange", (i, j)) for j in free]
    if 0 < bonds < 3:
        events += _new_bonds(net, i, cross)
    return [event for event in events if event.rate > 0]


def touched(net: Network, event: Event) -> set[int]:
    """Atoms whose bonds or place an event changes."""
    if event.kind == "displace":
        return {event.atoms[0], *net.neighbours[event.atoms[0]]}
    if event.kind in ("exchange", "rotate"):
        i, j = event.atoms
        return {i, j, *net.neighbours[i], *net.neighbours[j]}
    return set(event.atoms)


def carry_out(net: Network, event: Event, rng: np.random.Generator) -> None:
    """Changes the bonds as the event says; a bond turns one way as often as the other, as mirror symmetry asks."""
    atoms = event.atoms
    if event.kind == "displace":
        remove_atom(net, *atoms)
    elif event.kind == "rotate":
        rotate_bond(net, *atoms, clockwise=bool(rng.random() < 0.5))
    elif event.kind == "exchange":
        swap_atoms(net, *atoms)
    else:
        add_bond(net, *atoms[:4])
        if event.kind == "switch":
            cut_bond(net, atoms[2], atoms[4])


def _displacement(net: Network, i: int, cross: CrossSections) -> float:
    row = net.neighbours[i]
    if net.species[i] == SILICON:
        return cross.silicon
    if len(row) < 2:
        return cross.chain
    if len(row) == 2:
        return cross.beside_silicon if any(net.species[j] == SILICON for j in row) else cross.edge
    regular = all(face_size(net, i, j) == 6 for j in row)
    return cross.bulk if regular else cross.defect


def _ring(size: int) -> int:
    """Ring energy over its unit; a hole has none."""
    return (size - 6) ** 2 if size <= LARGEST_RING else 0


def _rotations(net: Network, i: int, cross: CrossSections) -> list[Event]:
    events = []
    for j in net.neighbours[i]:
        if j < i or len(net.neighbours[j]) != 3 or net.species[j] != CARBON:
            continue
        around = [k for k in (*net.neighbours[i], *net.neighbours[j]) if k not in (i, j)]
        if net.fixed[j] or net.fixed[around].any():
            continue
        a2, b2 = net.neighbours[i][net.neighbours[i].index(j) - 1], net.neighbours[j][net.neighbours[j].index(i) - 1]
        shrink = (face_size(net, i, j), face_size(net, j, i))
        grow = (face_size(net, a2, i), face_size(net, b2, j))
        if min(shrink) <= SMALLEST_RING:
            continue
        rise = sum(_ring(n - 1) - _ring(n) for n in shrink if n <= LARGEST_RING)
        rise += sum(_ring(n + 1) - _ring(n) for n in grow if n <= LARGEST_RING)
        bound = math.exp(-max(0.0, rise * cross.ring_ev - SLACK_EV) / cross.temperature_ev)
        if bound > RAREST:
            events.append(Event(cross.rotation * bound, "rotate", (i, j), bound))
    return events


def _new_bonds(net: Network, u: int, cross: CrossSections) -> list[Event]:
    """Bonds from an atom with a dangling one across its faces: to another such atom, or to one that gives one up."""
    events: list[Event] = []
    for after in net.neighbours[u]:
        before = net.neighbours[u][(net.neighbours[u].index(after) + 1) % len(net.neighbours[u])]
        size = face_size(net, before, u)
        for forward in (True, False) if size > LARGEST_OPENING else (True,):
            steps = WALK if size > LARGEST_OPENING else LARGEST_OPENING
            way = walk(net, u, after, steps) if forward else walk_back(net, u, after, steps)
            for step in range(SMALLEST_RING - 1, len(way)):
                if size <= LARGEST_OPENING and size - step < SMALLEST_RING - 1:
                    break
                j, previous = way[step], way[step - 1]
                after_j = next_atom(net, previous, j) if forward else previous
                events += _bond_to(net, (u, after, j, after_j), size, cross)
    return events


def _bond_to(net: Network, ends: tuple[int, int, int, int], size: int, cross: CrossSections) -> list[Event]:
    u, _, j, _ = ends
    gap = net.xy[j] - net.xy[u]
    if net.fixed[j] or j in net.neighbours[u] or j == u or gap @ gap > SECOND_NEIGHBOUR_NM**2:
        return []
    if len(net.neighbours[j]) < 3:
        return [Event(cross.closing, "close", ends)] if u < j else []
    if size > LARGEST_OPENING or net.species[j] != CARBON:
        return []  # the rims of holes keep their bonds
    given_up = (k for k in net.neighbours[j] if len(net.neighbours[k]) == 3 and not net.fixed[k])
    return [Event(cross.migration, "switch", (*ends, k)) for k in given_up]


def dangling_energy(net: Network, atoms: set[int], config: DynamicsConfig) -> float:
    """Energy of the dangling bonds of some atoms [eV]."""
    cost = (config.dangling_ev, config.silicon_dangling_ev)
    missing = ((net.species[i], max(0, 3 - len(net.neighbours[i]))) for i in atoms if net.alive[i])
    return float(np.sum([cost[s] * n for s, n in missing]))
