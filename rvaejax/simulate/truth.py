"""What is true of each simulated atom: coordination, local orientation, kind of site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy.spatial import cKDTree

from rvaejax.types import Atoms

BONDED_NM = {"C": 0.19, "Si": 0.22}  # longest bond of an atom of that species
BENT_RAD = np.deg2rad(14.0)  # bond angles farther from 120 degrees than this make a site a defect
KINDS = ("bulk", "defect", "edge", "Si")


@dataclass(frozen=True, eq=False)
class Truth:
    """The atoms of a simulated movie and what is true of each.

    Attributes:
        atoms: exact positions and species.
        identity: (n,) number of the atom, the same in every frame.
        coordination: (n,) bonded neighbours.
        orientation: (n,) direction of the three bonds [rad, modulo 2 pi / 3]; NaN where there are not three.
        kind: (n,) "bulk" (three C at about 120 degrees), "edge" (fewer than three neighbours), "Si", or "defect".
    """

    atoms: Atoms
    identity: Int[np.ndarray, " n"]
    coordination: Int[np.ndarray, " n"]
    orientation: Float[np.ndarray, " n"]
    kind: Shaped[np.ndarray, " n"]


def local_truth(
    xy: Float[np.ndarray, "n 2"], species: Shaped[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"], Shaped[np.ndarray, " n"]]:
    """Coordination, orientation and kind of each atom of one frame (see `Truth`).

    Args:
        xy: positions [nm], x to the right, y down.
        species: chemical symbols.
    """
    coordination = np.zeros(len(xy), int)
    orientation = np.full(len(xy), np.nan)
    kind = np.full(len(xy), "defect", dtype="U6")
    reach = np.array([BONDED_NM[s] for s in species])
    near = cKDTree(xy).query_ball_point(xy, max(BONDED_NM.values())) if len(xy) else []
    for i, candidates in enumerate(near):
        others = np.array([j for j in candidates if j != i], int)
        d = xy[others] - xy[i]
        bonded = np.hypot(*d.T) < np.maximum(reach[i], reach[others])
        coordination[i] = bonded.sum()
        phi = np.sort(np.arctan2(-d[bonded, 1], d[bonded, 0]))  # y points down: counter-clockwise as displayed
        if coordination[i] == 3:
            orientation[i] = np.angle(np.exp(3j * phi).sum()) / 3
        if species[i] == "Si":
            kind[i] = "Si"
        elif coordination[i] < 3:
            kind[i] = "edge"
        elif coordination[i] == 3 and (species[others[bonded]] == "C").all():
            gaps = np.diff(np.append(phi, phi[0] + 2 * np.pi))
            if np.abs(gaps - 2 * np.pi / 3).max() < BENT_RAD:
                kind[i] = "bulk"
    return coordination, orientation, kind


def frame_truth(
    frame: int,
    identity: Int[np.ndarray, " n"],
    xy: Float[np.ndarray, "n 2"],
    species: Shaped[np.ndarray, " n"],
    size_px: int,
    pixel_size_nm: float,
    hidden: Bool[np.ndarray, "h w"] | None = None,
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
    """
    n, orientation, kind = local_truth(xy, species)
    pixel = np.round(xy / pixel_size_nm).astype(int)
    shown = np.flatnonzero(((pixel >= 0) & (pixel < size_px)).all(1))
    if hidden is not None:
        shown = shown[~hidden[pixel[shown, 1], pixel[shown, 0]]]
    x, y = xy[shown].T.astype(np.float64) / pixel_size_nm
    ones = np.ones(len(x))
    atoms = Atoms(np.full(len(x), frame), x, y, species[shown], ones, 0 * ones, pixel_size_nm)
    return Truth(atoms, identity[shown], n[shown], orientation[shown], kind[shown])


def join_truth(frames: Sequence[Truth]) -> Truth:
    """The truths of single frames as one."""

    def joined(of: Sequence[Any], name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in of])

    tables = [truth.atoms for truth in frames]
    frame, x, y, species, score, sd = (joined(tables, k) for k in ("frame", "x", "y", "species", "score", "sd"))
    atoms = Atoms(frame, x, y, species, score, sd, tables[0].pixel_size_nm)
    return Truth(atoms, *(joined(frames, name) for name in ("identity", "coordination", "orientation", "kind")))
