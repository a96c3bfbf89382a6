"""The bond graph of a sheet on the host, with what can happen to it: bonds turn, move, close; atoms go or swap.

The neighbours of each atom are kept in their order around it, so every move keeps the graph planar whatever the
positions are, and a ring is found by walking. Thousands of small changes are made one after another, so this state,
unlike the rest of the package, is changed in place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from rvaejax.simulate.config import SPECIES
from rvaejax.structure.bonds import bonds

WIDTH = 4
LARGEST_COUNTED = 19  # atoms around a face; larger ones are all the same
MOST_BONDS = (3, 4)  # of each species


@dataclass(eq=False)
class Network:
    """Atoms and bonds; the row of an atom is its identity, and never another's.

    Attributes:
        xy: positions [nm], y down.
        species: index into SPECIES.
        neighbours: of each atom, counter-clockwise as displayed; empty for an atom that is gone.
        alive: which atoms are still there.
        fixed: atoms at the rim of the simulated region: their bonds never change.
        sizes: sizes of faces that have been asked for, by their half-bonds; forgotten when a bond changes.
    """

    xy: Float[np.ndarray, "n 2"]
    species: Int[np.ndarray, " n"]
    neighbours: list[list[int]]
    alive: Bool[np.ndarray, " n"]
    fixed: Bool[np.ndarray, " n"]
    sizes: dict[tuple[int, int], int] = field(default_factory=dict)

    def copy(self) -> Network:
        """One that can be changed without changing this one."""
        rows = [list(row) for row in self.neighbours]
        return Network(self.xy.copy(), self.species.copy(), rows, self.alive.copy(), self.fixed.copy())

    def pairs(self) -> Int[np.ndarray, "b 2"]:
        """The bonds between atoms that are still there, as rows among those atoms."""
        place = np.cumsum(self.alive) - 1
        found = [(i, j) for i, row in enumerate(self.neighbours) for j in row if i < j]
        return place[np.array(found, int).reshape(-1, 2)]

    def table(self) -> Int[np.ndarray, "n 4"]:
        """The neighbours as an array, padded with -1."""
        return np.array([row + [-1] * (WIDTH - len(row)) for row in self.neighbours])


def network(xy: Float[np.ndarray, "n 2"], species: Int[np.ndarray, " n"], fixed: Bool[np.ndarray, " n"]) -> Network:
    """The bond graph of atoms at their positions; an atom with too many neighbours loses its longest bonds."""
    pairs = bonds(xy, np.asarray(SPECIES)[species])
    length = np.hypot(*(xy[pairs[:, 0]] - xy[pairs[:, 1]]).T)
    rows: list[list[int]] = [[] for _ in range(len(xy))]
    for i, j in pairs[np.argsort(length, kind="stable")].tolist():
        if len(rows[i]) < MOST_BONDS[species[i]] and len(rows[j]) < MOST_BONDS[species[j]]:
            rows[i].append(j)
            rows[j].append(i)
    for i, row in enumerate(rows):
        angle = {j: np.arctan2(-(xy[j, 1] - xy[i, 1]), xy[j, 0] - xy[i, 0]) for j in row}
        row.sort(key=angle.__getitem__)
    return Network(xy.copy(), species.copy(), rows, np.ones(len(xy), bool), fixed.copy())


def next_atom(net: Network, i: int, j: int) -> int:
    """The atom after j on the way round the face to the left of the bond from i to j."""
    row = net.neighbours[j]
    return row[row.index(i) - 1]


def walk(net: Network, i: int, j: int, steps: int) -> list[int]:
    """Atoms of the face to the left of i -> j, beginning with i; at most `steps`, without coming round again."""
    atoms = [i]
    a, b = i, j
    while len(atoms) < steps:
        atoms.append(b)
        a, b = b, next_atom(net, a, b)
        if (a, b) == (i, j):
            atoms.pop()
            break
    return atoms


def walk_back(net: Network, i: int, j: int, steps: int) -> list[int]:
    """As `walk`, the other way round the same face: i, then the atom before it, and so on."""
    atoms, here, after = [i], i, j
    while len(atoms) < steps:
        row = net.neighbours[here]
        here, after = row[(row.index(after) + 1) % len(row)], here
        if (here, after) == (i, j):
            break
        atoms.append(here)
    return atoms


def face_size(net: Network, i: int, j: int) -> int:
    """Atoms around the face to the left of i -> j; `LARGEST_COUNTED` where there are as many or more."""
    known = net.sizes.get((i, j))
    if known is not None:
        return known
    steps = [(i, j)]
    while len(steps) < LARGEST_COUNTED:
        a, b = steps[-1]
        step = (b, next_atom(net, a, b))
        if step == (i, j):
            net.sizes.update(dict.fromkeys(steps, len(steps)))
            return len(steps)
        steps.append(step)
    net.sizes[i, j] = LARGEST_COUNTED
    return LARGEST_COUNTED


def half_bonds_around(net: Network, atoms: Iterable[int]) -> set[tuple[int, int]]:
    """The half-bonds of all faces that some atoms lie on, as far as faces are counted."""
    found: set[tuple[int, int]] = set()
    for start in ((i, j) for i in atoms for j in net.neighbours[i]):
        if start in found:
            continue
        step = start
        for _ in range(LARGEST_COUNTED):
            found.add(step)
            step = (step[1], next_atom(net, *step))
            if step == start:
                break
    return found


def remove_atom(net: Network, i: int) -> None:
    """Atom i goes, with its bonds."""
    net.sizes.clear()
    for j in net.neighbours[i]:
        net.neighbours[j].remove(i)
    net.neighbours[i] = []
    net.alive[i] = False


def rotate_bond(net: Network, i: int, j: int, *, clockwise: bool = False) -> None:
    """Turns the bond between two three-coordinated atoms by a quarter: the Stone-Wales transformation.

    Either sense gives the same graph and the same places; they differ in which of the two atoms is where.
    """
    net.sizes.clear()
    if clockwise:  # the other way round is the same turn of a bond whose ends have changed names
        swap_atoms(net, i, j)
    row_i, row_j = net.neighbours[i], net.neighbours[j]
    at_i, at_j = row_i.index(j), row_j.index(i)
    a1, a2 = row_i[(at_i + 1) % 3], row_i[(at_i + 2) % 3]
    b1, b2 = row_j[(at_j + 1) % 3], row_j[(at_j + 2) % 3]
    net.neighbours[i] = [j, a2, b1]
    net.neighbours[j] = [i, b2, a1]
    _rename(net.neighbours[a1], i, j)
    _rename(net.neighbours[b1], j, i)
    middle, half = (net.xy[i] + net.xy[j]) / 2, (net.xy[i] - net.xy[j]) / 2
    turned = np.array([half[1], -half[0]])  # counter-clockwise where y points down
    net.xy[i], net.xy[j] = middle + turned, middle - turned


def add_bond(net: Network, i: int, after_i: int, j: int, after_j: int) -> None:
    """A bond across a face: `after_i` is the atom after i on the way round that face, `after_j` that after j."""
    net.sizes.clear()
    net.neighbours[i].insert(net.neighbours[i].index(after_i) + 1, j)
    net.neighbours[j].insert(net.neighbours[j].index(after_j) + 1, i)


def cut_bond(net: Network, i: int, j: int) -> None:
    """The bond between two atoms goes."""
    net.sizes.clear()
    net.neighbours[i].remove(j)
    net.neighbours[j].remove(i)


def swap_atoms(net: Network, i: int, j: int) -> None:
    """Two bonded atoms change places, with their neighbours."""
    net.sizes.clear()
    around = set(net.neighbours[i]) | set(net.neighbours[j])
    net.neighbours[i], net.neighbours[j] = net.neighbours[j], net.neighbours[i]
    for k in around:
        net.neighbours[k] = [{i: j, j: i}.get(m, m) for m in net.neighbours[k]]
    net.xy[[i, j]] = net.xy[[j, i]]


def restore(net: Network, rows: dict[int, list[int]], places: dict[int, np.ndarray]) -> None:
    """Puts bonds and positions of some atoms back as they were."""
    net.sizes.clear()
    for i, row in rows.items():
        net.neighbours[i], net.xy[i] = row, places[i]


def _rename(row: list[int], old: int, new: int) -> None:
    row[row.index(old)] = new
