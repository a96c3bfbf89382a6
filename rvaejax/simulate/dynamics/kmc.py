"""Rejection-free kinetic Monte Carlo of a sheet under the beam; its clock is the electron dose.

Source of the method: D. T. Gillespie, J. Comput. Phys. 22, 403 (1976); A. B. Bortz, M. H. Kalos, J. L. Lebowitz,
J. Comput. Phys. 17, 10 (1975). Events that only rearrange bonds are listed at an upper bound of their rate and then
thinned by the Metropolis factor of their relaxed energy, which is exact and spares the relaxation of those that do
not come up.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from rvaejax.simulate.dynamics.config import DynamicsConfig
from rvaejax.simulate.dynamics.events import (
    CARBON,
    CrossSections,
    Event,
    carry_out,
    cross_sections,
    dangling_energy,
    events_of,
    touched,
)
from rvaejax.simulate.dynamics.network import WIDTH, Network, half_bonds_around, remove_atom, restore
from rvaejax.simulate.dynamics.springs import NEAR, REACH_NM, Springs, energy, near_table, relax_springs
from rvaejax.structure.bonds import neighbour_table

PATCH = 112  # atoms of a patch that is relaxed after an event
DEPTH = 4  # bonds from the event to the last atom that may move; two more shells hold it
PATCH_STEPS = 24
SHEET_STEPS = 60
ROWS = 256  # tables are padded to a multiple of this
NEVER = 1e-30  # least chance of an event, so that its rate stays a number


class Schedule(NamedTuple):
    """The event list: of every atom, the events that it owns and their summed cross section [nm²]."""

    events: list[list[Event]]
    total: Float[np.ndarray, " n"]


def schedule(net: Network, cross: CrossSections) -> Schedule:
    """The event list of a whole sheet."""
    events = [events_of(net, i, cross) for i in range(len(net.xy))]
    return Schedule(events, np.array([sum(e.rate for e in row) for row in events]))


def evolve(
    net: Network,
    plan: Schedule,
    cross: CrossSections,
    config: DynamicsConfig,
    dose: float,
    rng: np.random.Generator,
    record: list[Event] | None = None,
) -> Counter[str]:
    """Lets `dose` [electrons/nm²] fall on the sheet; changes `net` and `plan` in place, returns what happened.

    Args:
        net: the sheet, relaxed.
        plan: its event list.
        cross: cross sections of the events.
        config: energies of the dangling bonds.
        dose: how long.
        rng: source of randomness.
        record: list to which each event that happened is appended.
    """
    happened: Counter[str] = Counter()
    clock = 0.0
    while True:
        sums = np.cumsum(plan.total)
        if sums[-1] <= 0:
            return happened
        clock += rng.exponential(1 / sums[-1])
        if clock > dose:
            return happened
        owner = int(np.searchsorted(sums, rng.random() * sums[-1], side="right"))
        place = _pick(plan.events[owner], rng)
        event = plan.events[owner][place]
        changed: set[int] = {owner}
        if any(event.kind == e.kind and event.atoms == e.atoms for e in events_of(net, owner, cross)):
            changed, chance = _happen(net, event, config, rng)
            happened[event.kind if changed else event.kind + " undone"] += 1
            if changed and record is not None:
                record.append(event)
            if not changed:  # its energy is known now: from here on it comes up as often as it is kept
                plan.events[owner][place] = event._replace(rate=event.rate / event.bound * chance, bound=chance)
                plan.total[owner] = sum(e.rate for e in plan.events[owner])
        for i in changed:
            plan.events[i] = events_of(net, i, cross)
            plan.total[i] = sum(e.rate for e in plan.events[i])


def under_beam(
    net: Network,
    config: DynamicsConfig,
    doses: Iterable[float],
    rng: np.random.Generator,
    record: list[Event] | None = None,
) -> Iterator[Network]:
    """The sheet at the start and after each further dose [electrons/nm²], relaxed.

    It is one object that changes: take from each what is needed before the next. What happened is appended to `record`.
    """
    cross = cross_sections(config)
    relax_network(net)
    plan = schedule(net, cross)
    yield net
    for dose in doses:
        evolve(net, plan, cross, config, dose, rng, record)
        drop_fragments(net)
        relax_network(net)
        yield net


def _pick(events: list[Event], rng: np.random.Generator) -> int:
    sums = np.cumsum([e.rate for e in events])
    return min(int(np.searchsorted(sums, rng.random() * sums[-1], side="right")), len(events) - 1)


def _happen(net: Network, event: Event, config: DynamicsConfig, rng: np.random.Generator) -> tuple[set[int], float]:
    """Carries an event out and relaxes its surroundings, or undoes it.

    Returns:
        The atoms that may own other events now, none if undone; and the event's Metropolis probability.
    """
    atoms = touched(net, event)
    ids, depth = _patch(net, atoms)
    old = {i: list(net.neighbours[i]) for i in atoms}
    places = {i: net.xy[i].copy() for i in atoms}
    before = _tables(net, ids)
    dangling = -dangling_energy(net, atoms, config)
    # what is known of faces elsewhere is still true afterwards
    changed, known, net.sizes = half_bonds_around(net, atoms), net.sizes, {}
    carry_out(net, event, rng)
    dangling += dangling_energy(net, atoms, config)
    xy, rise = _relaxed_patch(net, ids, depth, *before)
    rises = config.elastic_share * float(rise) + dangling
    chance = 1.0 if event.kind == "displace" else math.exp(min(0.0, -rises / config.temperature_ev))
    if rng.random() * event.bound >= chance:
        restore(net, old, places)
        net.sizes = known
        return set(), max(chance, NEVER)
    for half in changed:
        known.pop(half, None)
    net.sizes = known
    net.xy[ids] = np.asarray(xy)[: len(ids)]
    near = {i for i, d in zip(ids, depth, strict=True) if d < DEPTH}
    for i in [i for i in near if not net.neighbours[i] and net.alive[i] and net.species[i] == CARBON]:
        remove_atom(net, i)
    return near, chance


def _patch(net: Network, atoms: set[int]) -> tuple[list[int], list[int]]:
    """Atoms around an event, nearest first, and their distance in bonds."""
    depth = dict.fromkeys(sorted(atoms), 0)
    ring = list(depth)
    for d in range(1, DEPTH + 3):
        ring = [j for i in ring for j in net.neighbours[i]]
        ring = [j for j in dict.fromkeys(ring) if j not in depth]
        depth.update(dict.fromkeys(ring, d))
    return list(depth)[:PATCH], list(depth.values())[:PATCH]


def _tables(net: Network, ids: list[int]) -> tuple[np.ndarray, np.ndarray]:
    place = {i: row for row, i in enumerate(ids)}
    table = np.full((PATCH, WIDTH), -1, np.int32)
    for row, i in enumerate(ids):
        for slot, j in enumerate([place[j] for j in net.neighbours[i] if j in place]):
            table[row, slot] = j
    xy = np.zeros((PATCH, 2), np.float32)
    xy[: len(ids)] = net.xy[ids]
    return xy, table


def _relaxed_patch(
    net: Network, ids: list[int], depth: list[int], xy_before: np.ndarray, before: np.ndarray
) -> tuple[Array, Array]:
    xy, after = _tables(net, ids)
    n = len(ids)
    marks = np.zeros((PATCH, 4), np.int32)  # species, counted, movable, alive
    marks[:n, 0], marks[:n, 3] = net.species[ids], net.alive[ids]
    level = np.array(depth)
    whole = np.array([len(net.neighbours[i]) for i in ids]) == (after[:n] >= 0).sum(1)
    marks[:n, 1] = (level <= DEPTH + 1) & whole
    marks[:n, 2] = (level <= DEPTH) & ~net.fixed[ids] & whole
    # positions relative to the patch keep single precision good
    origin = xy[0].copy()
    both = np.concatenate([xy_before - origin, xy - origin], 1)
    moved, rise = _trial(both, np.concatenate([before, after, marks], 1))
    return np.asarray(moved, np.float64) + origin, rise


@jax.jit
def _trial(xy: Float[Array, "n 4"], tables: Int[Array, "n 12"]) -> tuple[Float[Array, "n 2"], Float[Array, ""]]:
    before, after, (species, counted, movable, alive) = tables[:, :4], tables[:, 4:8], tables[:, 8:].T
    here = xy[:, 2:]
    near = near_table(here, alive > 0)
    old = Springs(before, species, counted > 0, movable > 0, near)
    new = old._replace(bonded=after)
    moved = relax_springs(here, new, steps=PATCH_STEPS)
    return moved, energy(moved, new) - energy(xy[:, :2], old)


_relax_sheet = jax.jit(relax_springs, static_argnames="steps")


def relax_network(net: Network, *, steps: int = SHEET_STEPS) -> None:
    """Relaxes all positions of a sheet, in place."""
    n = len(net.xy)
    pairs = cKDTree(net.xy).query_pairs(REACH_NM, output_type="ndarray")
    near = neighbour_table(n, pairs[net.alive[pairs].all(1)], NEAR)
    more = -n % ROWS  # sheets of almost the same size share one compiled program

    def padded(rows: np.ndarray, value: int = 0) -> Array:
        return jnp.asarray(np.pad(rows, ((0, more), *((0, 0) for _ in rows.shape[1:])), constant_values=value))

    springs = Springs(
        padded(net.table(), -1),
        padded(net.species),
        padded(net.alive),
        padded(net.alive),  # the rim too: a sheet that loses atoms contracts
        padded(near, -1),
    )
    centre = net.xy.mean(0)
    moved = _relax_sheet(padded((net.xy - centre).astype(np.float32)), springs, steps=steps)
    net.xy = np.asarray(moved, np.float64)[:n] + centre


def drop_fragments(net: Network) -> list[int]:
    """Removes what hangs on nothing: pieces without an atom of the rim. Returns the atoms that are gone."""
    table = net.table()
    i, slot = np.nonzero(table >= 0)
    n = len(table)
    _, piece = connected_components(csr_array((np.ones(len(i)), (i, table[i, slot])), shape=(n, n)), directed=False)
    loose = np.flatnonzero(net.alive & ~np.isin(piece, piece[net.fixed & net.alive])).tolist()
    for atom in loose:
        remove_atom(net, atom)
    return loose
