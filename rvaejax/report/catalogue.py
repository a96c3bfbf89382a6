"""The figures that a report knows: in which part they belong, what they are called, what to look for in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Entry(NamedTuple):
    """A kind of figure: its part of the report, its title, and one sentence on what to look for."""

    part: str
    title: str
    caption: str


CONDITIONS, MOVIE, TRAINING, SPACE, BONDS, TIME, TRACKS, TRUTH, OTHER = (
    "The movies compared",
    "From the movie to atoms",
    "What the network has learned",
    "The latents in real space",
    "Rings, grains, and what the latents have to do with them",
    "Distributions, and how they change",
    "Trajectories",
    "Against the truth",
    "Further figures",
)
PARTS = (CONDITIONS, MOVIE, TRAINING, SPACE, BONDS, TIME, TRACKS, TRUTH, OTHER)

CATALOGUE: dict[str, Entry] = {
    "condition_distributions": Entry(
        CONDITIONS,
        "Distributions of the latents",
        "Weight that one condition has where another has none are surroundings that only it makes. The content is "
        "drawn in logarithms: most sites are the crystal's and make the high peak.",
    ),
    "condition_curves": Entry(
        CONDITIONS,
        "Order parameters of each movie",
        "Curves that part show where a condition changes the course; what the first frames differ by already is the "
        "specimens' own. One model has seen all movies.",
    ),
    "frame_overview": Entry(
        MOVIE,
        "Frame and atoms",
        "Every atom of the lattice should carry one dot; holes and contamination should carry none.",
    ),
    "probability_maps": Entry(
        MOVIE,
        "Probability maps",
        "Carbon and silicon should stand as separate round blobs; smears mark places where the network is unsure.",
    ),
    "atom_counts": Entry(
        MOVIE,
        "Atoms per frame",
        "A slow loss of carbon is the beam at work; a sudden dip in one frame is a frame that went wrong.",
    ),
    "losses": Entry(
        TRAINING,
        "Training",
        "The held-out bound (dashed) should level off with the training one; where it falls, the network memorises.",
    ),
    "latent_manifold": Entry(
        TRAINING,
        "Latent manifold",
        "Neighbouring images should change smoothly, in what they show and not in how it is turned.",
    ),
    "real_space_maps": Entry(
        SPACE,
        "Angle and content of each atom",
        "The two sublattices should alternate in the angle, grains and boundaries stand out as areas of another "
        "colour, and the content should mark edges and defects. Crystallinity is 1 where all content latents together "
        "are those of most sites, and falls with the distance from them. It is averaged over a site and its bonded "
        "neighbours, in whose windows lie the rings that a small window cuts; the site's own is noisier, and as sharp "
        "as the window.",
    ),
    "ring_map": Entry(
        BONDS,
        "Rings",
        "Pairs of pentagons and heptagons should line grain boundaries and mark dislocations; open faces are holes.",
    ),
    "grain_map": Entry(
        BONDS,
        "Grains",
        "One colour is one orientation of the lattice, both sublattices together; black rings run along boundaries.",
    ),
    "physics": Entry(
        BONDS,
        "Latents and what is known of the sites",
        "A latent that follows crystallinity, rings or the distance to an edge is an order parameter of it; sites at "
        "the frame's border are left out.",
    ),
    "angle_histogram": Entry(
        TIME,
        "Angles",
        "One crystal gives two narrow peaks half a period apart, one per sublattice; more peaks are further grains.",
    ),
    "angle_over_time": Entry(
        TIME,
        "Angles over time",
        "Bands that drift show a rotating fragment; bands that blur show disorder growing.",
    ),
    "content_over_time": Entry(
        TIME,
        "Content over time",
        "Weight that moves away from the main band is lattice that turns into edges and defects.",
    ),
    "order_over_time": Entry(
        TIME,
        "Order parameters",
        "Lines are straight pieces; a red dashed line marks a change of rate or a jump that noise alone does not "
        "explain. Steady loss is one piece.",
    ),
    "traversal": Entry(
        TIME,
        "Traversal through time, content latent",
        "Down a column: low to high values in those frames. Along a row: how the same share of sites changes.",
    ),
    "trajectories": Entry(
        TRACKS,
        "Paths of the atoms",
        "Dopants in the colours of time; blue steps are carbon that moved by more than 0.05 nm and more than positions "
        "scatter. The drift is removed.",
    ),
    "transitions": Entry(
        TRACKS,
        "Transitions from frame to frame",
        "How likely an atom with so many neighbours has so many in the next frame, with 95 % credible intervals.",
    ),
    "truth": Entry(
        TRUTH, "Found and true", "What was found, beside what the simulation put there; the two should agree."
    ),
}
"""Figures by the beginning of their file's name, in the order in which the data flows."""


@dataclass(frozen=True)
class FigureGroup:
    """One figure, or the same figure for several frames.

    Attributes:
        entry: what it is.
        files: the pictures.
        labels: what tells each of several apart ("frame 10"); "" for a single one.
    """

    entry: Entry
    files: tuple[Path, ...]
    labels: tuple[str, ...]


_SERIES = re.compile(r"^(.+?)_(?:frame_?(\d+)|(\d{3,}))$")


def group_figures(files: Sequence[Path]) -> list[FigureGroup]:
    """Groups pictures of one kind (frame_overview_frame10.png, frame_overview_0025.png), in the report's order."""
    found: dict[str, list[tuple[int, Path]]] = {}
    for file in sorted(files):
        match = _SERIES.match(file.stem)
        stem, number = (match[1], int(match[2] or match[3])) if match else (file.stem, -1)
        found.setdefault(stem, []).append((number, file))
    groups = []
    for stem in sorted(found, key=_order):
        members = sorted(found[stem])
        labels = tuple("" if number < 0 else f"frame {number}" for number, _ in members)
        groups.append(FigureGroup(entry_of(stem), tuple(file for _, file in members), labels))
    return groups


def entry_of(stem: str) -> Entry:
    """The catalogue's entry for a file's name; an unknown one goes under its own name to the end of the report."""
    kind = _kind(stem)
    if kind is None:
        return Entry(OTHER, stem.replace("_", " ").capitalize(), "")
    entry, rest = CATALOGUE[kind], stem[len(kind) :].replace("_", " ").strip()
    return entry._replace(title=f"{entry.title}: {rest}") if rest else entry


def _kind(stem: str) -> str | None:
    kinds = [kind for kind in CATALOGUE if stem == kind or stem.startswith(kind + "_")]
    return max(kinds, key=len) if kinds else None


def _order(stem: str) -> tuple[int, int, str]:
    kind = _kind(stem)
    part = PARTS.index(entry_of(stem).part)
    return part, list(CATALOGUE).index(kind) if kind else 0, stem
