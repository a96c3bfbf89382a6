"""What trajectories tell: steps from frame to frame, hops, changes of species and of sublattice, births and deaths."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Complex, Float, Int

from rvaejax.types import Atoms, Tracks

DIRECTED = 0.3  # least modulus of the bond order for a site to point anywhere; 1 with three bonds, 1/3 with one


class Steps(NamedTuple):
    """Successive sightings of the same atom.

    Attributes:
        before, after: (m,) rows of the `Atoms` table.
        frames: (m,) frames from one to the other; 1 where none was missed.
        move: (m, 2) how far (x, y) the atom moved, without the drift [nm; px where the pixel size is not known].
    """

    before: Int[np.ndarray, " m"]
    after: Int[np.ndarray, " m"]
    frames: Int[np.ndarray, " m"]
    move: Float[np.ndarray, "m 2"]

    @property
    def length(self) -> Float[np.ndarray, " m"]:
        """(m,) how far [nm]."""
        return np.hypot(*self.move.T)

    def select(self, rows: Bool[np.ndarray, " m"]) -> Steps:
        """The steps in a mask."""
        return Steps(*(field[rows] for field in self))


def steps(atoms: Atoms, tracks: Tracks) -> Steps:
    """All steps, ordered by trajectory and frame."""
    order = np.lexsort((atoms.frame, tracks.track))
    before, after = order[:-1], order[1:]
    same = tracks.track[before] == tracks.track[after]
    before, after = before[same], after[same]
    xy = tracks.at_rest(atoms) * (atoms.pixel_size_nm if np.isfinite(atoms.pixel_size_nm) else 1.0)
    return Steps(before, after, atoms.frame[after] - atoms.frame[before], xy[after] - xy[before])


def species_changes(atoms: Atoms, found: Steps) -> Steps:
    """The steps at which an atom's species is another one: exchanged, or misread in one of the two frames."""
    return found.select(atoms.species[found.before] != atoms.species[found.after])


class Turnover(NamedTuple):
    """Trajectories that begin and end in each frame.

    Attributes:
        frames: (t,) frame numbers.
        births: (t,) first seen in this frame; 0 in the first one.
        deaths: (t,) last seen in the frame before; 0 in the first one.
    """

    frames: Int[np.ndarray, " t"]
    births: Int[np.ndarray, " t"]
    deaths: Int[np.ndarray, " t"]


def turnover(atoms: Atoms, tracks: Tracks) -> Turnover:
    """Births and deaths of each frame; an atom that is missed for longer than the tracking's gap counts as both."""
    number = np.searchsorted(tracks.frames, atoms.frame)
    count, frames = len(tracks), len(tracks.frames)
    first, last = np.full(count, frames), np.full(count, -1)
    np.minimum.at(first, tracks.track, number)
    np.maximum.at(last, tracks.track, number)
    births = np.bincount(first, minlength=frames)
    deaths = np.bincount(last + 1, minlength=frames + 1)[:frames]
    births[:1] = 0
    return Turnover(tracks.frames, births, deaths)


class Hops(NamedTuple):
    """Steps of one species from each frame to the next.

    Attributes:
        steps: those of one frame.
        flipped: (m,) 1 where the site's three bonds point the other way afterwards: the other sublattice; 0 where
            they point the same way; NaN where one of the two sites has no direction.
    """

    steps: Steps
    flipped: Float[np.ndarray, " m"]


def hops(atoms: Atoms, tracks: Tracks, psi: Complex[np.ndarray, " n"], species: str = "Si") -> Hops:
    """The steps of a species between neighbouring frames, and whether they led to the other sublattice.

    The three bonds of a site of one sublattice point against those of the other, so that the bond order psi_3 changes
    its sign; the lattice itself turns by far less than 30 degrees between two frames.

    Args:
        atoms: of all frames; the pixel size must be known.
        tracks: their trajectories.
        psi: bond-orientational order parameter of each atom (`movie_sites`).
        species: of the atoms, before and after the step.
    """
    found = steps(atoms, tracks)
    kept = (atoms.species[found.before] == species) & (atoms.species[found.after] == species) & (found.frames == 1)
    found = found.select(kept)
    a, b = psi[found.before], psi[found.after]
    flipped = (np.real(a * np.conj(b)) < 0).astype(float)
    directed = (np.abs(a) >= DIRECTED) & (np.abs(b) >= DIRECTED)
    return Hops(found, np.where(directed, flipped, np.nan))
