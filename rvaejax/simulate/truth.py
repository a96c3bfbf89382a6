"""What is true of each simulated atom: where it is, which one it is, and what its surroundings are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from rvaejax.structure.rings import ring_range
from rvaejax.structure.sites import KINDS, describe_sites
from rvaejax.types import Atoms

__all__ = ["KINDS", "Truth", "frame_truth", "join_truth"]


@dataclass(frozen=True, eq=False)
class Truth:
    """The atoms of a simulated movie and what is true of each.

    Attributes:
        atoms: exact positions and species.
        identity: (n,) number of the atom, the same in every frame.
        coordination: (n,) bonded neighbours.
        orientation: (n,) direction of the three bonds [rad, modulo 2 pi / 3]; NaN where there are not three.
        kind: (n,) "bulk" (three C at about 120 degrees, no pentagon or heptagon), "edge" (fewer than three
            neighbours), "Si", or "defect".
        rings: (n, 13) column k counts the rings of k atoms around the atom.
        crystallinity: (n,) order of the surroundings from 0 to 1, 1 in perfect graphene.
    """

    atoms: Atoms
    identity: Int[np.ndarray, " n"]
    coordination: Int[np.ndarray, " n"]
    orientation: Float[np.ndarray, " n"]
    kind: Shaped[np.ndarray, " n"]
    rings: Int[np.ndarray, "n sizes"]
    crystallinity: Float[np.ndarray, " n"]

    @property
    def smallest_ring(self) -> Int[np.ndarray, " n"]:
        """(n,) atoms in the smallest ring around each atom; 0 where there is none."""
        return ring_range(self.rings)[0]

    @property
    def largest_ring(self) -> Int[np.ndarray, " n"]:
        """(n,) atoms in the largest ring around each atom; 0 where there is none."""
        return ring_range(self.rings)[1]


def frame_truth(
    frame: int,
    identity: Int[np.ndarray, " n"],
    xy: Float[np.ndarray, "n 2"],
    species: Shaped[np.ndarray, " n"],
    size_px: int,
    pixel_size_nm: float,
    hidden: Bool[np.ndarray, "h w"] | None = None,
    pairs: Int[np.ndarray, "b 2"] | None = None,
) -> Truth:
    """The truth of one frame: of the atoms inside it that are not `hidden`; those outside count as neighbours.

    Args:
        frame: its number.
        identity: number of each atom.
        xy: positions [nm].
        species: chemical symbols.
        size_px: side of the frame [px].
        pixel_size_nm: its pixel [nm].
        hidden: pixels under which no atom can be seen.
        pairs: bonds, where the simulation knows them.
    """
    sites = describe_sites(np.asarray(xy, np.float64), species, pairs)
    pixel = np.round(xy / pixel_size_nm).astype(int)
    shown = np.flatnonzero(((pixel >= 0) & (pixel < size_px)).all(1))
    if hidden is not None:
        shown = shown[~hidden[pixel[shown, 1], pixel[shown, 0]]]
    x, y = xy[shown].T.astype(np.float64) / pixel_size_nm
    ones = np.ones(len(x))
    atoms = Atoms(np.full(len(x), frame), x, y, species[shown], ones, 0 * ones, pixel_size_nm)
    return Truth(
        atoms,
        identity[shown],
        sites.coordination[shown],
        sites.orientation[shown],
        sites.kind[shown],
        sites.rings[shown],
        sites.crystallinity[shown],
    )


def join_truth(frames: Sequence[Truth]) -> Truth:
    """The truths of single frames as one."""

    def joined(of: Sequence[Any], name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in of])

    tables = [truth.atoms for truth in frames]
    frame, x, y, species, score, sd = (joined(tables, k) for k in ("frame", "x", "y", "species", "score", "sd"))
    atoms = Atoms(frame, x, y, species, score, sd, tables[0].pixel_size_nm)
    names = ("identity", "coordination", "orientation", "kind", "rings", "crystallinity")
    return Truth(atoms, *(joined(frames, name) for name in names))
