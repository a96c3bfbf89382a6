"""Sites of several crystals and clusters as lists of spots, the kinds of the labelled sets of `lattice_sets.py`.

A kind is a site with its neighbourhood: positions (x, y) with y down and weights of spots around the window's centre,
in units of the crystal's own length (nearest neighbours of graphene and of the square lattice are 1 apart), and the
order of the rotation that maps it onto itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

REACH = 14.0  # half the side of the crystals that are made


class Kind(NamedTuple):
    """One kind of site."""

    name: str
    spots: np.ndarray  # (m, 3) x, y, weight
    symmetry: int


def lattice(a: tuple[float, float], b: tuple[float, float], basis: list[tuple[float, float, float]]) -> np.ndarray:
    """(m, 3) spots of a plane lattice with vectors a and b and a basis of (x, y, weight)."""
    n = np.arange(-30, 31)
    cells = np.stack(np.meshgrid(n, n), -1).reshape(-1, 2) @ np.array([a, b])
    spots = np.concatenate([np.column_stack([cells + [x, y], np.full(len(cells), w)]) for x, y, w in basis])
    return spots[np.abs(spots[:, :2]).max(1) < REACH]


def at(spots: np.ndarray, x: float, y: float) -> np.ndarray:
    """Which spots lie at (x, y)."""
    found = np.hypot(spots[:, 0] - x, spots[:, 1] - y) < 1e-6
    assert found.any(), f"no spot at ({x}, {y})"
    return found


def without(spots: np.ndarray, *places: tuple[float, float]) -> np.ndarray:
    """The crystal without the spots at these places."""
    for place in places:
        spots = spots[~at(spots, *place)]
    return spots


def weighted(spots: np.ndarray, weight: float, *places: tuple[float, float]) -> np.ndarray:
    """The crystal with another weight at these places."""
    spots = spots.copy()
    for place in places:
        spots[at(spots, *place), 2] = weight
    return spots


def with_spots(spots: np.ndarray, *more: tuple[float, float, float]) -> np.ndarray:
    """The crystal with more spots."""
    return np.concatenate([spots, np.array(more, float)])


def cut(spots: np.ndarray, angle: float, depth: float) -> np.ndarray:
    """The half of the crystal within `depth` of the centre in the direction `angle` [deg]."""
    direction = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    return spots[spots[:, :2] @ direction < depth]


def moved(spots: np.ndarray, x: float, y: float) -> np.ndarray:
    """The crystal seen from (x, y)."""
    return spots - [x, y, 0]


def graphene() -> list[Kind]:
    """Graphene: neighbours of a site at 90, 210 and 330 degrees."""
    r3 = 3**0.5
    sheet = lattice((r3, 0), (r3 / 2, 1.5), [(0, 0, 1), (0, 1, 1)])
    bond = moved(sheet, 0, 0.5)
    turned = np.array([[-0.5, 0, 1], [0.5, 0, 1]])  # a bond turned by 90 degrees
    wales = np.concatenate([without(bond, (0, 0.5), (0, -0.5)), turned])
    near, far = np.hypot(wales[:, 0], np.abs(wales[:, 1]) - 1.0), np.abs(wales[:, 0]) < 1.2
    wales[(near < 1.2) & far & (np.abs(wales[:, 1]) > 0.5), 1] *= 1.12
    return [
        Kind("pristine", sheet, 3),
        Kind("neighbour missing", without(sheet, (0, 1)), 1),
        Kind("silicon", weighted(sheet, 2.5, (0, 0)), 3),
        Kind("vacancy", without(sheet, (0, 0)), 3),
        Kind("Stone-Wales", wales, 2),
        Kind("zigzag edge", cut(sheet, -90, 0.3), 1),
        Kind("armchair edge", cut(sheet, 0, 0.3), 1),
        Kind("silicon beside", weighted(sheet, 2.5, (0, 1)), 1),
        Kind("ring", moved(sheet, r3 / 2, 0.5), 6),
    ]


def square() -> list[Kind]:
    """A square lattice."""
    crystal = lattice((1, 0), (0, 1), [(0, 0, 1)])
    rest = without(crystal, (0, 0))
    return [
        Kind("perfect", crystal, 4),
        Kind("neighbour missing", without(crystal, (1, 0)), 1),
        Kind("dumbbell", with_spots(rest, (0.3, 0, 1), (-0.3, 0, 1)), 2),
        Kind("interstitial", with_spots(crystal, (0.5, 0.5, 0.8)), 1),
        Kind("vacancy", rest, 4),
        Kind("edge", cut(crystal, 0, 0.5), 1),
        Kind("divacancy", without(rest, (1, 0)), 1),
        Kind("corner", cut(cut(crystal, 0, 0.5), 90, 0.5), 1),
    ]


def triangular() -> list[Kind]:
    """MoS2 from above: bright Mo, dim pairs of S, at the sites of a honeycomb."""
    r3, mo, s = 3**0.5, 1.0, 0.45
    sheet = lattice((r3, 0), (r3 / 2, 1.5), [(0, 0, mo), (0, 1, s)])
    sulphur = moved(sheet, 0, 1)
    return [
        Kind("Mo", sheet, 3),
        Kind("S2", sulphur, 3),
        Kind("S vacancy", weighted(sulphur, 0.5 * s, (0, 0)), 3),
        Kind("Mo, a neighbour missing", without(sheet, (0, 1)), 1),
        Kind("S2 missing", without(sulphur, (0, 0)), 3),
        Kind("Mo edge", cut(sheet, 90, 0.2), 1),
        Kind("Mo on S2", weighted(sulphur, mo, (0, 0)), 3),
    ]


def letters() -> list[Kind]:
    """Clusters of some atoms without a lattice."""
    shapes: dict[str, tuple[list[tuple[float, float]], int]] = {
        "L": ([(-0.7, -1.4), (-0.7, -0.5), (-0.7, 0.4), (-0.7, 1.3), (0.2, 1.3), (1.1, 1.3)], 1),
        "T": ([(-1.2, -1.2), (-0.4, -1.2), (0.4, -1.2), (1.2, -1.2), (0, -0.3), (0, 0.6), (0, 1.5)], 1),
        "F": ([(-0.7, -1.4), (0.2, -1.4), (1.1, -1.4), (-0.7, -0.4), (0.2, -0.4), (-0.7, 0.5), (-0.7, 1.4)], 1),
        "S": ([(0.9, -1.3), (0, -1.5), (-0.9, -1.1), (0, 0), (0.9, 1.1), (0, 1.5), (-0.9, 1.3)], 2),
        "Y": ([(0, 0), (0, 1), (0, 1.9), (-0.9, -0.5), (-1.65, -0.95), (0.9, -0.5), (1.65, -0.95)], 3),
        "V": ([(0, 1.3), (-0.45, 0.4), (-0.9, -0.5), (-1.35, -1.4), (0.45, 0.4), (0.9, -0.5), (1.35, -1.4)], 1),
    }
    return [Kind(name, np.array([(x, y, 1.0) for x, y in xy]), m) for name, (xy, m) in shapes.items()]


def dumbbells() -> list[Kind]:
    """Silicon along [110]: a centred lattice of pairs."""
    basis = [(sx + dx, sy, 1.0) for sx, sy in ((0, 0), (1.2, 0.85)) for dx in (-0.3, 0.3)]
    crystal = lattice((2.4, 0), (0, 1.7), basis)
    return [
        Kind("pair", crystal, 2),
        Kind("one dim", weighted(crystal, 0.5, (0.3, 0)), 1),
        Kind("interstitial", with_spots(crystal, (0.0, 0.85, 0.9)), 1),
        Kind("pair missing", without(crystal, (0.3, 0), (-0.3, 0)), 2),
        Kind("both bright", weighted(crystal, 1.8, (0.3, 0), (-0.3, 0)), 2),
        Kind("edge", cut(crystal, 90, 0.4), 1),
    ]


def perovskite() -> list[Kind]:
    """A perovskite along [001]: bright A columns, dimmer B columns, dim O columns."""
    a, b, o = 1.0, 0.6, 0.2
    crystal = lattice((1.6, 0), (0, 1.6), [(0, 0, a), (0.8, 0.8, b), (0.8, 0, o), (0, 0.8, o)])
    b_site = moved(crystal, 0.8, 0.8)
    polar = np.concatenate([b_site[b_site[:, 2] != b], b_site[b_site[:, 2] == b] + [0.0, 0.16, 0]])
    return [
        Kind("A", crystal, 4),
        Kind("B", b_site, 4),
        Kind("polar B", polar, 1),
        Kind("A vacancy", weighted(crystal, 0.35, (0, 0)), 4),
        Kind("B on A", weighted(b_site, 0.1, (0.8, 0.8)), 1),
        Kind("edge", cut(crystal, 90, 0.1), 1),
    ]


def nitride() -> list[Kind]:
    """Hexagonal boron nitride: N a little brighter than B."""
    r3, b, n = 3**0.5, 0.6, 1.0
    sheet = lattice((r3, 0), (r3 / 2, 1.5), [(0, 0, b), (0, 1, n)])
    nitrogen = moved(sheet, 0, 1)
    return [
        Kind("B", sheet, 3),
        Kind("N", nitrogen, 3),
        Kind("N beside a B vacancy", without(nitrogen, (0, -1)), 1),
        Kind("N at an edge", cut(nitrogen, -90, 0.3), 1),
        Kind("C for B", weighted(sheet, 0.8, (0, 0)), 3),
    ]


def oblique() -> list[Kind]:
    """A lattice without any symmetry but half turns."""
    crystal = lattice((1.25, 0), (0.4, 1.0), [(0, 0, 1)])
    return [
        Kind("perfect", crystal, 2),
        Kind("short neighbour missing", without(crystal, (0.4, 1.0)), 1),
        Kind("heavy neighbour", weighted(crystal, 1.8, (1.25, 0)), 1),
        Kind("vacancy", without(crystal, (0, 0)), 2),
    ]


CRYSTALS: dict[str, Callable[[], list[Kind]]] = {
    f.__name__: f for f in (graphene, square, triangular, letters, dumbbells, perovskite, nitride, oblique)
}
