"""How atoms are read off probability maps, and how sub-images are cut. Lengths in nm. Imports no JAX."""

from __future__ import annotations

from dataclasses import dataclass

from rvaejax.errors import ConfigError


@dataclass(frozen=True)
class LocalisationConfig:
    """From probability maps to atoms.

    Attributes:
        blob_nm: standard deviation of the Gaussian with which the segmenter labels an atom.
        smoothing_nm: standard deviation of the smoothing before peaks are sought.
        separation_nm: two peaks nearer than this, rounded to whole pixels of the maps, are one atom.
        merged_mass: a blob of more than this many labels' mass is two atoms.
        threshold: an atom's least probability.
        dopant_share: share of a blob's probability from which it is called by a species other than the first; more
            than half, because dopants are rarer in specimens than in training images.
        score_gain, score_offset: a blob's overlap with the label becomes the probability of an atom by logit(score) =
            score_offset + score_gain * logit(overlap); fitted to the candidates of the shipped weights on simulated
            images, where the expected calibration error falls from 0.009 to 0.003.
        credible: a frame whose atoms have a lower median score than this shows no lattice but noise: at every dose
            at which a lattice can be seen at all, most of its atoms are certain.
        refine: whether positions are refined on the frames that the maps come from, where these are at hand.
        prior_gain: factor on the maps' standard deviations where they serve as the prior of that refinement. Map and
            frame share their noise, and so do the map's neighbours: what the map told as if it were news would be told
            twice, then averaged as if it were independent. At 3 it keeps atoms apart and hardly tells anything else.
        floor_nm: least standard deviation of a position in the maps: what remains at any dose.
        blur_nm: by how much the shipped network widens a blob even where it is sure.
        spread_gain: standard deviation of a position per blob's width in excess of label and blur. These three are
            fitted by maximum likelihood to the errors of the shipped weights on simulated images at three doses.
    """

    blob_nm: float = 0.034
    smoothing_nm: float = 0.016
    separation_nm: float = 0.06
    merged_mass: float = 1.5
    threshold: float = 0.5
    dopant_share: float = 0.6
    score_gain: float = 1.281
    score_offset: float = -0.123
    credible: float = 0.775
    refine: bool = True
    prior_gain: float = 3.0
    floor_nm: float = 0.0035
    blur_nm: float = 0.012
    spread_gain: float = 0.45

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ConfigError(f"threshold is a probability between 0 and 1, got {self.threshold}")
        lengths = (self.blob_nm, self.smoothing_nm, self.separation_nm, self.floor_nm, self.blur_nm)
        if min(*lengths, self.spread_gain, self.score_gain) <= 0:
            raise ConfigError(
                f"lengths and gains must be positive, got {lengths}, {self.spread_gain}, {self.score_gain}"
            )


@dataclass(frozen=True)
class WindowConfig:
    """Sub-images.

    Attributes:
        window_nm: side of a window; 0.4 nm shows an atom's three neighbours, 1 nm the six rings around it.
        source: "maps" cuts the probability maps (the paper's way), "frames" the raw images.
        centres: species on which windows are centred; empty for all points, whatever they are.
    """

    window_nm: float = 0.4
    source: str = "maps"
    centres: tuple[str, ...] = ("C", "Si")

    def __post_init__(self) -> None:
        if not 0.05 <= self.window_nm <= 20:
            raise ConfigError(f"window_nm must lie between 0.05 and 20 nm, got {self.window_nm:g}")
        if self.source not in ("maps", "frames"):
            raise ConfigError(f"source is 'maps' or 'frames', got {self.source!r}")


@dataclass(frozen=True)
class TrackingConfig:
    """How atoms are linked from frame to frame. Lengths in nm.

    An atom of the lattice that is not linked costs reach_nm² / 2 in either frame, another one 0.75 dopant_reach_nm²;
    a trajectory that was missing from the frame before as well costs `still_missing` of that. A link costs its length
    squared, and reach_nm² / 2 + 0.65 dopant_reach_nm² more where the species changes. So the farthest hop of a dopant,
    with the lattice atom that gives way to it, is cheaper than two changes of species, and one change of species is
    cheaper than a death and a birth at the same place. Where atoms did not just stay, each bond that a link of a
    lattice atom breaks costs `broken` reach_nm² more, about as much as to move by 0.8 bonds; and an atom that goes or
    comes breaks some as well, or broken bonds alone would make deaths and births of atoms that moved.

    Attributes:
        lattice: species of the lattice; its atoms rarely leave their places.
        reach_nm: longest move of a lattice atom; about a bond, so that rows of atoms never shift to close a gap.
        dopant_reach_nm: longest move of any other atom; 0.5 nm is three bonds and a half.
        change_nm: longest move of an atom whose species changes: its place stays.
        gap: frames that an atom may be missing from before its trajectory ends.
        still_missing: cost of being left alone once more, as a share of the first time's: an atom that was missing from
            the frame before has more likely gone than one that was there.
        bonded_nm: longest bond along which neighbours are followed; midway between a stretched C-Si bond and the second
            neighbours.
        bond_change_nm: a bond whose length changes by this is broken; by less, as much as the square of its share.
        broken: cost of a broken bond, as a share of reach_nm².
        alone: broken bonds that count for an atom of the lattice that is left alone, in either frame; with half a
            bond there are about as many births and deaths as there truly are.
        margin: a link is sure where every other way to link costs more by this share of reach_nm². The default marks a
            bond that turned by a quarter, after which no picture tells its two atoms apart.
        drift: whether the drift of the specimen is removed first.
        drift_nm: largest drift between two frames.
    """

    lattice: str = "C"
    reach_nm: float = 0.15
    dopant_reach_nm: float = 0.5
    change_nm: float = 0.1
    gap: int = 2
    still_missing: float = 0.2
    bonded_nm: float = 0.215
    bond_change_nm: float = 0.07
    broken: float = 0.6
    alone: float = 0.5
    margin: float = 0.8
    drift: bool = True
    drift_nm: float = 0.4

    def __post_init__(self) -> None:
        for name in ("reach_nm", "dopant_reach_nm", "change_nm", "bonded_nm", "bond_change_nm", "drift_nm"):
            if not 0 < getattr(self, name) <= 5:
                raise ConfigError(f"{name} must lie between 0 and 5 nm, got {getattr(self, name):g}")
        if self.dopant_reach_nm < self.reach_nm:
            raise ConfigError(f"dopant_reach_nm must be at least reach_nm, {self.reach_nm:g}; make it larger")
        if self.gap < 0:
            raise ConfigError(f"gap must be 0 or more frames, got {self.gap}")
        if not 0 <= self.still_missing <= 1:
            raise ConfigError(f"still_missing is a share between 0 and 1, got {self.still_missing:g}")
        for name in ("broken", "alone", "margin"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must be 0 or more, got {getattr(self, name):g}")
