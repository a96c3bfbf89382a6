"""What is known of a frame while its atoms are fitted: what stays the same, what changes, what its atoms share."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from rvaejax.atoms.elastic import Windows
from rvaejax.atoms.fit import Fit, Known, Patches
from rvaejax.atoms.profile import Profile


class Telling(NamedTuple):
    """Who tells profile and noise.

    Attributes:
        sample: rows of these atoms.
        sheet: neighbourhoods of all atoms of the frame, in chunks.
        kinds: number of species.
    """

    sample: Int[np.ndarray, " m"]
    sheet: list[Windows]
    kinds: int


class Frame(NamedTuple):
    """What stays the same in all turns.

    Attributes:
        image: the frame without hot pixels.
        xy: (n, 2) where patches were cut [px].
        species: (n,) numbers.
        near: (rows, JOINT) each atom and its nearest neighbours; rows are filled up to whole chunks.
        real: (rows, JOINT) 1 where there is one.
        pixel_size_nm: [nm].
    """

    image: Float[np.ndarray, "h w"]
    xy: Float[np.ndarray, "n 2"]
    species: Int[np.ndarray, " n"]
    near: jax.Array
    real: jax.Array
    pixel_size_nm: float


class Learned(NamedTuple):
    """What atoms of a frame have in common.

    Attributes:
        profile: image of an atom of each species.
        law: the noise: see `pixel_weights`.
        scale: of what neighbours tell [px].
        height, precision: (species,) usual height, 0 where none was seen, and the precision of one atom's.
    """

    profile: Profile
    law: Float[np.ndarray, " 5"]
    scale: float
    height: Float[np.ndarray, " species"]
    precision: Float[np.ndarray, " species"]


class State(NamedTuple):
    """What turns change.

    Attributes:
        fit: where all atoms are.
        known: what was known of them before.
        sd: (n,) standard deviation per axis [px].
        chunks: patches of all atoms.
        weights: of their pixels, chunk by chunk.
    """

    fit: Fit
    known: Known
    sd: Float[np.ndarray, " n"]
    chunks: list[Patches]
    weights: list[jax.Array]
