"""The records that flow through the package, in the order in which they flow.

    Movie -> Maps -> Atoms -> SubImages -> Latents

Each is a small frozen dataclass of NumPy arrays (or of lazily read frames). Conventions, everywhere:

* positions: pixel centres at whole numbers, x to the right, y down; px of the *input* frames unless said otherwise;
* angles: radians, counter-clockwise on the displayed image;
* species: chemical symbols ("C", "Si").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Integer, Shaped

EMPTY: Mapping[str, Any] = MappingProxyType({})


@runtime_checkable
class Frames(Protocol):
    """Frames that are read when asked for: an array, a memory map, or a reader of pages."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(t, h, w) or (t, h, w, c)."""
        ...

    def __getitem__(self, index: int) -> np.ndarray:
        """One frame."""
        ...


@dataclass(frozen=True, eq=False)
class Atoms:
    """Atoms of all frames, one row each.

    Attributes:
        frame: (n,) frame number.
        x, y: (n,) position [px of the input frame].
        species: (n,) chemical symbol.
        score: (n,) probability in [0, 1] that an atom is there.
        sd: (n,) standard deviation of the position, per axis [px of the input frame].
        pixel_size_nm: size of an input pixel [nm].
    """

    frame: Integer[np.ndarray, " n"]
    x: Float[np.ndarray, " n"]
    y: Float[np.ndarray, " n"]
    species: Shaped[np.ndarray, " n"]
    score: Float[np.ndarray, " n"]
    sd: Float[np.ndarray, " n"]
    pixel_size_nm: float

    def __len__(self) -> int:
        return len(self.frame)

    def select(self, rows: Bool[np.ndarray, " n"] | Integer[np.ndarray, " m"]) -> Atoms:
        """The atoms in `rows` (a mask or row numbers)."""
        return Atoms(
            self.frame[rows],
            self.x[rows],
            self.y[rows],
            self.species[rows],
            self.score[rows],
            self.sd[rows],
            self.pixel_size_nm,
        )


@dataclass(frozen=True, eq=False)
class Movie:
    """Frames of one specimen in the order in which they were taken; a single image is a movie of one frame.

    Attributes:
        frames: (t, h, w) intensities, read lazily: `frames[i]` is frame i.
        pixel_size_nm: size of a pixel [nm]; None where nothing has said it yet.
        pixel_size_source: who said so: "file", "option", "lattice", or "" where nobody has.
        frame_time_s: seconds from one frame to the next, or None.
        dose: (t,) electrons per nm² and frame, or None.
        name: short name for titles and logs.
        metadata: what else the file says.
        atoms: positions already known, for a movie that was rendered from a table of coordinates; else None.
    """

    frames: Frames
    pixel_size_nm: float | None = None
    pixel_size_source: str = ""
    frame_time_s: float | None = None
    dose: Float[np.ndarray, " t"] | None = None
    name: str = ""
    metadata: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    atoms: Atoms | None = None

    def __len__(self) -> int:
        return int(self.frames.shape[0])

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of a frame [px]."""
        return int(self.frames.shape[1]), int(self.frames.shape[2])


@dataclass(frozen=True, eq=False)
class Maps:
    """Per-pixel class probabilities of every frame, at the network's canonical pixel size.

    Attributes:
        probabilities: (t, h, w, c) in [0, 1], one channel per species, without the background; read lazily.
        species: (c,) chemical symbol of each channel.
        pixel_size_nm: size of a map's pixel [nm].
        input_size: (h, w) of the input frames [px].
        input_pixel_size_nm: size of an input pixel [nm].
        name: short name for titles and logs.
        atoms: positions that the maps were rendered from, where these came as a table; else None.
        movie: the frames that the maps were predicted from, where they are at hand: positions are refined on them.
        uncertainty: (t, h, w) disagreement of an ensemble's members, in [0, 1], read lazily; None for one network.
    """

    probabilities: Frames
    species: tuple[str, ...]
    pixel_size_nm: float
    input_size: tuple[int, int]
    input_pixel_size_nm: float
    name: str = ""
    atoms: Atoms | None = None
    movie: Movie | None = None
    uncertainty: Frames | None = None

    def __len__(self) -> int:
        return int(self.probabilities.shape[0])

    @property
    def scale(self) -> tuple[float, float]:
        """(y, x) input pixels per map pixel."""
        h, w = self.probabilities.shape[1:3]
        return self.input_size[0] / h, self.input_size[1] / w


@dataclass(frozen=True, eq=False)
class SubImages:
    """A stack of square windows, each centred on an atom (or on another point of interest).

    Attributes:
        images: (n, h, w, c).
        frame: (n,) frame number.
        x, y: (n,) centre [px of the input frame].
        species: (n,) chemical symbol of the central atom.
        atom: (n,) row of the central atom in its `Atoms` table; -1 where there is none.
        pixel_size_nm: size of a window's pixel [nm]; None where nobody knows.
        channels: (c,) name of each channel.
        dropped: number of centres left out because their window would leave the image.
        label: (n,) labels that came with the file, or None; training looks at them only where it is told to.
        spectra: (n, length) a spectrum taken at each centre, or None.
    """

    images: Shaped[np.ndarray, "n h w c"]
    frame: Integer[np.ndarray, " n"]
    x: Float[np.ndarray, " n"]
    y: Float[np.ndarray, " n"]
    species: Shaped[np.ndarray, " n"]
    atom: Integer[np.ndarray, " n"]
    pixel_size_nm: float | None = None
    channels: tuple[str, ...] = ("intensity",)
    dropped: int = 0
    label: Shaped[np.ndarray, " n"] | None = None
    spectra: Shaped[np.ndarray, "n length"] | None = None

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, eq=False)
class Latents:
    """What a trained rVAE says of each sub-image.

    Attributes:
        angle: (n,) the content's rotation [rad, in (-pi, pi]].
        angle_sd: (n,) its standard deviation [rad].
        shift: (n, 2) the content's shift (x, y) [px of the sub-image], applied after the rotation.
        content: (n, d) content latents, ordered by their Kullback-Leibler divergence, sign fixed.
        content_sd: (n, d) their standard deviations.
        scale: (n,) factor by which the content is enlarged, where scale is a latent; else None.
        class_probability: (n, k) of each class, where there are classes; else None. The other latents are those given
            the likeliest class.
    """

    angle: Float[np.ndarray, " n"]
    angle_sd: Float[np.ndarray, " n"]
    shift: Float[np.ndarray, "n 2"]
    content: Float[np.ndarray, "n d"]
    content_sd: Float[np.ndarray, "n d"]
    scale: Float[np.ndarray, " n"] | None = None
    class_probability: Float[np.ndarray, "n k"] | None = None

    def __len__(self) -> int:
        return len(self.angle)


@dataclass(frozen=True, eq=False)
class ContentOrder:
    """How far the surroundings of n sites are from the crystal's, by their content alone.

    Attributes:
        deviation: (n,) distance of each site's content from the crystal's, in standard deviations of the crystal.
        crystallinity_own: (n,) from 0 to 1, 1 on the crystal: what the site's own window tells.
        crystallinity: (n,) the same averaged over the site and its bonded neighbours.
    """

    deviation: Float[np.ndarray, " n"]
    crystallinity_own: Float[np.ndarray, " n"]
    crystallinity: Float[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.deviation)


@dataclass(frozen=True, eq=False)
class Tracks:
    """Which atoms of different frames are the same one, and how the specimen drifted.

    Attributes:
        track: (n,) number of the trajectory of each row of the `Atoms` table, from 0, in the order of their births.
        frames: (t,) numbers of the frames that have atoms, ascending.
        drift: (t, 2) how far (x, y) the specimen has moved since the first of them [px of the input frame].
        sure: (n,) whether each row is the same atom as the one before in its trajectory as far as the frames tell;
            false where another way to link the atoms there is about as good. None where it was not asked.
    """

    track: Integer[np.ndarray, " n"]
    frames: Integer[np.ndarray, " t"]
    drift: Float[np.ndarray, "t 2"]
    sure: Bool[np.ndarray, " n"] | None = None

    def __len__(self) -> int:
        return int(self.track.max(initial=-1)) + 1

    def at_rest(self, atoms: Atoms) -> Float[np.ndarray, "n 2"]:
        """Positions (x, y) of the atoms with the drift taken off [px of the first frame]."""
        return np.column_stack([atoms.x, atoms.y]) - self.drift[np.searchsorted(self.frames, atoms.frame)]
