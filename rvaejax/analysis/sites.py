"""The bond graph of every frame: what each found atom of a movie is, by its bonds and rings."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Complex, Float, Int
from scipy.spatial import cKDTree

from rvaejax.errors import PixelSizeError
from rvaejax.structure.bonds import BONDED_NM, bonds
from rvaejax.structure.order import bond_order
from rvaejax.structure.rings import faces
from rvaejax.structure.sites import Sites, describe_sites
from rvaejax.types import Atoms


class MovieSites(NamedTuple):
    """The sites of all frames, one row per atom.

    Attributes:
        sites: coordination, rings, orientation, crystallinity, kind of each atom.
        pairs: (b, 2) bonded atoms, rows of the `Atoms` table; never of different frames.
        psi: (n,) bond-orientational order parameter of each atom (`bond_order`).
        border: (n,) within a bond's length of the frame's border, where bonds to atoms outside are not seen.
    """

    sites: Sites
    pairs: Int[np.ndarray, "b 2"]
    psi: Complex[np.ndarray, " n"]
    border: Bool[np.ndarray, " n"]


def movie_sites(atoms: Atoms, size: tuple[int, int] | None = None) -> MovieSites:
    """Everything about the bonds of a table of atoms, frame by frame.

    Species without a known bond length count as carbon.

    Args:
        atoms: of all frames.
        size: (h, w) of the frames [px]; None for the extent of the atoms.

    Raises:
        PixelSizeError: the table has no pixel size, so that no bond can be told.
    """
    check_pixel_size(atoms)
    nm, n = atoms.pixel_size_nm, len(atoms)
    species = np.where(np.isin(atoms.species, list(BONDED_NM)), atoms.species, "C").astype("U2")
    empty = describe_sites(np.zeros((0, 2)), np.zeros(0, "U2"))
    fields = [np.zeros((n, *part.shape[1:]), part.dtype) for part in empty]
    psi, found = np.zeros(n, complex), [np.zeros((0, 2), int)]
    for rows in frame_rows(atoms):
        xy = np.column_stack([atoms.x[rows], atoms.y[rows]]) * nm
        pairs = bonds(xy, species[rows])
        for whole, part in zip(fields, describe_sites(xy, species[rows], pairs), strict=True):
            whole[rows] = part
        psi[rows] = bond_order(xy, pairs)
        found.append(rows[pairs])
    return MovieSites(Sites(*fields), np.concatenate(found), psi, at_border(atoms, size))


def frame_rows(atoms: Atoms) -> list[Int[np.ndarray, " m"]]:
    """The rows of each frame that has atoms, in the order of the frames."""
    order = np.argsort(atoms.frame, kind="stable")
    ends = np.flatnonzero(np.diff(atoms.frame[order])) + 1
    return [rows for rows in np.split(order, ends) if len(rows)]


def check_pixel_size(atoms: Atoms) -> None:
    """Raises `PixelSizeError` unless lengths in nm are known."""
    if not (np.isfinite(atoms.pixel_size_nm) and atoms.pixel_size_nm > 0):
        raise PixelSizeError("the table of atoms has no pixel size (no columns x_nm, y_nm): bonds cannot be told")


def at_border(atoms: Atoms, size: tuple[int, int] | None = None) -> Bool[np.ndarray, " n"]:
    """Which atoms have less than a bond's length between them and the border of their frame.

    Args:
        atoms: of all frames.
        size: (h, w) of the frames [px]; None for the extent of the atoms.
    """
    margin = max(BONDED_NM.values()) / atoms.pixel_size_nm
    xy = np.column_stack([atoms.x, atoms.y])
    if size is None:
        low, high = xy.min(0, initial=np.inf), xy.max(0, initial=-np.inf)
    else:
        low, high = np.zeros(2), np.array([size[1] - 1.0, size[0] - 1.0])
    return ((xy < low + margin) | (xy > high - margin)).any(1)


def distance_to(atoms: Atoms, targets: Bool[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Distance of each atom to the nearest of the `targets` in its frame [nm]; infinite where the frame has none."""
    out = np.full(len(atoms), np.inf)
    for rows in frame_rows(atoms):
        some = rows[targets[rows]]
        if len(some):
            xy = np.column_stack([atoms.x, atoms.y]) * atoms.pixel_size_nm
            out[rows] = cKDTree(xy[some]).query(xy[rows])[0]
    return out


def median_bond_nm(atoms: Atoms, pairs: Int[np.ndarray, "b 2"]) -> float:
    """The median length of the bonds [nm]; NaN where there is none."""
    i, j = pairs.T
    length = np.hypot(atoms.x[i] - atoms.x[j], atoms.y[i] - atoms.y[j]) * atoms.pixel_size_nm
    return float(np.median(length)) if len(length) else float("nan")


def bonded_mean(
    values: Float[np.ndarray, " n"], pairs: Int[np.ndarray, "b 2"], rounds: int = 1
) -> Float[np.ndarray, " n"]:
    """Each atom's value averaged half and half with the mean of its bonded neighbours, `rounds` times.

    What is NaN is left out of the means, and takes that of its neighbours.

    Args:
        values: of each atom.
        pairs: bonds.
        rounds: how often; two reach about 0.3 nm, as the local order of `crystallinity` does.
    """
    i, j = np.concatenate([pairs, pairs[:, ::-1]]).T
    out, n = np.array(values, float), len(values)
    for _ in range(rounds):
        known = np.isfinite(out)
        number = np.bincount(i[known[j]], minlength=n)
        total = np.bincount(i[known[j]], out[j[known[j]]], minlength=n)
        mean = np.where(number > 0, total / np.maximum(number, 1), out)
        out = np.where(known, (out + mean) / 2, mean)
    return out


def ring_counts(found_pairs: Int[np.ndarray, "b 2"], atoms: Atoms, largest: int = 12) -> Int[np.ndarray, "t sizes"]:
    """Rings of each size in each frame that has atoms: column k counts those of k atoms.

    Args:
        found_pairs: bonds of all frames (`movie_sites`).
        atoms: of all frames.
        largest: largest ring; larger faces are holes.
    """
    out = []
    of_frame = atoms.frame[found_pairs[:, 0]] if len(found_pairs) else np.zeros(0, int)
    place = np.zeros(len(atoms), int)
    for rows in frame_rows(atoms):
        place[rows] = np.arange(len(rows))
        xy = np.column_stack([atoms.x[rows], atoms.y[rows]]) * atoms.pixel_size_nm
        here = faces(xy, place[found_pairs[of_frame == atoms.frame[rows[0]]]])
        out.append(np.bincount(here.size[here.rings(largest)], minlength=largest + 1)[: largest + 1])
    return np.array(out).reshape(-1, largest + 1)
