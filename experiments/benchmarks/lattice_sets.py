"""Labelled sets of sub-images with known angle, shift and kind: several crystals, windows, doses and numbers.

    python lattice_sets.py FOLDER [--names graphene-32 letters-24]

The sets of `TUNE` served to choose the preset `default`; those of `HELD` were looked at only to judge it.
Each file holds `images` (n, h, w); `angle` (n,) [rad], counter-clockwise on the displayed image; `shift` (n, 2) [px], x
to the right and y down, after the rotation; `kind` (n,); `kind_names` and `symmetry` (k,), the rotation's order of each
kind. A spot is a Gaussian; atoms stand off their places at random; each image has its own gain and background, of any
slope; counts are Poisson.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from lattice_motifs import CRYSTALS, REACH, Kind

BLOCK = 250  # images that are drawn at a time


@dataclass(frozen=True)
class LatticeSet:
    """What a set is made of."""

    crystal: str
    kinds: tuple[str, ...]
    size: int
    """Window [px]."""
    unit: float
    """Length of the crystal's unit [px]."""
    n: int
    counts: float
    """Electrons of a pixel in the middle of a spot of weight 1; the noise is theirs."""
    spot: float = 1.6
    """Standard deviation of a spot [px]."""
    shift: float = 1.0
    """Largest shift [px]; uniform in the disc."""
    jitter: float = 0.3
    """Standard deviation of an atom's displacement along an axis [px]."""
    gain: float = 0.1
    """Standard deviation of the images' gain."""
    background: float = 0.1
    """Mean background, of which an image has half to three halves [weight of a spot]; its slope is as much."""
    dtype: str = "float32"
    """Integers hold counts, floats hold counts over `counts`."""
    rare: float = 1.0
    """Share of the last kind, relative to the others."""


TUNE = {
    "graphene-32": LatticeSet("graphene", ("pristine", "neighbour missing", "silicon"), 32, 7.5, 3000, 40),
    "graphene-48": LatticeSet(
        "graphene",
        ("pristine", "neighbour missing", "silicon", "vacancy", "Stone-Wales", "armchair edge"),
        48,
        8.0,
        4000,
        25,
        dtype="float16",
    ),
    "square-24": LatticeSet(
        "square", ("perfect", "neighbour missing", "dumbbell", "interstitial"), 24, 6.5, 2000, 60, shift=1.5
    ),
    "triangular-32": LatticeSet(
        "triangular", ("Mo", "S2", "Mo, a neighbour missing", "S2 missing"), 32, 7.0, 3000, 8, dtype="uint8"
    ),
    "letters-32": LatticeSet("letters", ("L", "T", "F", "S"), 32, 5.0, 1000, 20, shift=3.0, background=0.2, gain=0.2),
    "dumbbells-48": LatticeSet(
        "dumbbells", ("pair", "one dim", "interstitial"), 48, 9.0, 6000, 15, spot=1.9, dtype="uint16", shift=2.0
    ),
    "perovskite-64": LatticeSet("perovskite", ("A", "B", "polar B", "edge"), 64, 11.0, 3000, 30, spot=2.2),
    "graphene-64": LatticeSet(
        "graphene", ("pristine", "neighbour missing", "silicon", "zigzag edge"), 64, 9.0, 6000, 6, shift=2.0
    ),
    "graphene-24": LatticeSet(
        "graphene", ("pristine", "neighbour missing", "silicon beside"), 24, 6.5, 4000, 6, dtype="uint8", spot=1.4
    ),
    "graphene-32-edges": LatticeSet(
        "graphene",
        ("pristine", "zigzag edge", "armchair edge", "Stone-Wales", "silicon"),
        32, 6.5, 3000, 30, jitter=0.4, shift=2.0, rare=0.3,
    ),
    "square-48": LatticeSet(
        "square", ("perfect", "vacancy", "neighbour missing", "dumbbell", "edge"), 48, 8.0, 2000, 10, dtype="int32"
    ),
    "triangular-64": LatticeSet(
        "triangular", ("Mo", "S2", "Mo, a neighbour missing", "Mo edge"), 64, 9.0, 4000, 20, spot=2.0
    ),
    "letters-24": LatticeSet(
        "letters", ("L", "T", "F", "S", "Y", "V"), 24, 4.2, 3000, 40, spot=1.3, shift=2.0
    ),
    "dumbbells-32": LatticeSet(
        "dumbbells", ("pair", "one dim", "pair missing", "both bright"), 32, 7.5, 1000, 40, gain=0.05
    ),
    "perovskite-32": LatticeSet(
        "perovskite", ("A", "B", "A vacancy", "edge"), 32, 8.0, 3000, 10, dtype="uint16"
    ),
    "triangular-48": LatticeSet(
        "triangular", ("Mo", "S2", "Mo on S2"), 48, 8.0, 6000, 100, background=0.3, gain=0.25, shift=3.0
    ),
    "nitride-32": LatticeSet(
        "nitride", ("B", "N", "N beside a B vacancy", "N at an edge"), 32, 7.0, 3000, 40, shift=1.5, dtype="uint16"
    ),
    "triangular-24": LatticeSet(
        "triangular", ("Mo", "S2", "S2 missing", "Mo edge"), 24, 6.5, 4000, 30, spot=1.4, dtype="uint8"
    ),
}  # fmt: skip
HELD = {
    "nitride-40": LatticeSet(
        "nitride", ("B", "N", "N beside a B vacancy", "C for B"), 40, 8.0, 3000, 30, spot=1.7, background=0.2
    ),
    "graphene-28": LatticeSet(
        "graphene", ("pristine", "neighbour missing", "Stone-Wales", "zigzag edge"), 28, 6.5, 5000, 25, spot=1.5,
        rare=0.3, dtype="uint8",
    ),
    "graphene-40": LatticeSet(
        "graphene", ("pristine", "vacancy", "zigzag edge", "silicon beside", "ring"), 40, 7.5, 3000, 15, jitter=0.4
    ),
    "square-32": LatticeSet(
        "square", ("perfect", "divacancy", "corner", "edge", "interstitial"), 32, 7.0, 2500, 20, background=0.3,
        gain=0.2,
    ),
    "oblique-48": LatticeSet(
        "oblique", ("perfect", "short neighbour missing", "heavy neighbour", "vacancy"), 48, 8.0, 4000, 12, shift=2.0
    ),
    "letters-48": LatticeSet("letters", ("L", "F", "V", "T", "S"), 48, 8.0, 2000, 25, spot=2.5, shift=3.0, rare=0.5),
    "dumbbells-64": LatticeSet(
        "dumbbells", ("pair", "both bright", "edge", "interstitial"), 64, 10.0, 3000, 15, spot=2.0, shift=2.0
    ),
    "perovskite-24": LatticeSet(
        "perovskite", ("A", "B", "edge"), 24, 7.0, 2000, 50, spot=1.5, gain=0.2, dtype="float16"
    ),
}  # fmt: skip
SETS = TUNE | HELD


def chosen_kinds(recipe: LatticeSet) -> list[Kind]:
    """The kinds of a set, in its order."""
    known = {kind.name: kind for kind in CRYSTALS[recipe.crystal]()}
    return [known[name] for name in recipe.kinds]


def draw(recipe: LatticeSet, kind: Kind, angle: np.ndarray, shift: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(m, h, w) expected images of one kind, in units of a spot's height, with atoms off their places."""
    reach = recipe.size * 0.71 + 4 * recipe.spot + np.abs(shift).max()
    assert recipe.crystal == "letters" or reach < REACH * recipe.unit, "the crystal does not fill the window"
    spots = kind.spots[np.hypot(*kind.spots[:, :2].T) * recipe.unit < reach]
    xy = spots[:, :2] * recipe.unit + rng.normal(0, recipe.jitter, (len(angle), len(spots), 2))
    c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x = xy[..., 0] * c + xy[..., 1] * s + shift[:, :1]  # counter-clockwise, as y points down
    y = -xy[..., 0] * s + xy[..., 1] * c + shift[:, 1:]
    line = np.arange(recipe.size) - (recipe.size - 1) / 2
    gx, gy = (np.exp(-0.5 * ((line - v[..., None]) / recipe.spot) ** 2) for v in (x, y))
    return np.einsum("mah,maw->mhw", gy * spots[None, :, 2:], gx, optimize=True)


def surroundings(recipe: LatticeSet, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(m, 1, 1) gains and (m, h, w) sloping backgrounds."""
    gain = np.clip(rng.normal(1, recipe.gain, (count, 1, 1)), 0.3, None)
    level = recipe.background * rng.uniform(0.5, 1.5, (count, 1, 1))
    line = np.linspace(-0.5, 0.5, recipe.size)
    direction = rng.uniform(0, 2 * np.pi, (count, 1, 1))
    ramp = np.cos(direction) * line[None, None] + np.sin(direction) * line[None, :, None]
    return gain, level + recipe.background * rng.uniform(0, 1, (count, 1, 1)) * ramp / 1.42


def make(recipe: LatticeSet, seed: int = 0) -> dict[str, np.ndarray]:
    """The arrays of a set."""
    rng, kinds = np.random.default_rng([seed, recipe.size, recipe.n]), chosen_kinds(recipe)
    share = np.ones(len(kinds))
    share[-1] = recipe.rare
    kind = rng.choice(len(kinds), recipe.n, p=share / share.sum())
    angle = rng.uniform(-np.pi, np.pi, recipe.n)
    radius, around = recipe.shift * np.sqrt(rng.random(recipe.n)), rng.uniform(0, 2 * np.pi, recipe.n)
    shift = radius[:, None] * np.column_stack([np.cos(around), np.sin(around)])
    images = np.empty((recipe.n, recipe.size, recipe.size), np.float32)
    for k, one in enumerate(kinds):
        rows = np.flatnonzero(kind == k)
        for block in np.array_split(rows, max(1, len(rows) // BLOCK)):
            gain, background = surroundings(recipe, len(block), rng)
            expected = gain * draw(recipe, one, angle[block], shift[block], rng) + background
            images[block] = rng.poisson(recipe.counts * np.clip(expected, 0, None))
    whole = np.issubdtype(np.dtype(recipe.dtype), np.integer)
    return {
        "images": (images if whole else images / recipe.counts).astype(recipe.dtype),
        "angle": angle.astype(np.float32),
        "shift": shift.astype(np.float32),
        "kind": kind.astype(np.int8),
        "kind_names": np.array([k.name for k in kinds]),
        "symmetry": np.array([k.symmetry for k in kinds], np.int8),
    }


def main(folder: tyro.conf.Positional[Path], names: tuple[str, ...] = tuple(SETS), seed: int = 0) -> None:
    """Writes sets into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        np.savez_compressed(folder / f"{name}.npz", **make(SETS[name], seed))


if __name__ == "__main__":
    tyro.cli(main)
