"""From atoms and latents to trajectories and what changes with time: the last stage of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from rvaejax.analysis.changes import Changes
from rvaejax.analysis.deviation import OFF_CRYSTAL, content_order
from rvaejax.analysis.dynamics import Clock, curve, curve_changes, order_parameters
from rvaejax.analysis.grains import Grains, angle_offset, movie_grains
from rvaejax.analysis.sites import MovieSites, movie_sites
from rvaejax.analysis.trajectories import hops, species_changes, steps, turnover
from rvaejax.atoms.config import TrackingConfig
from rvaejax.atoms.tracking import track_atoms
from rvaejax.io.tracks import write_trajectories
from rvaejax.types import Atoms, ContentOrder, Latents, Tracks

TRAJECTORIES = "trajectories.csv"
FEWEST_ATOMS = 3
DOPANT_HOP_NM = 0.07  # a step longer than half a bond is a hop


class Structure(NamedTuple):
    """The bond graph of a run's atoms, and what its latents say on it.

    Attributes:
        sites: bonds, rings and kinds.
        angle: (n,) latent angle of each atom without the decoder's offset [rad]; NaN where there is none.
        grains: from these angles.
    """

    sites: MovieSites
    angle: Float[np.ndarray, " n"]
    grains: Grains


def structure_of(atoms: Atoms, latents: Latents, rows: np.ndarray, size: tuple[int, int]) -> Structure:
    """Bonds and grains; `rows` is the row in `atoms` of each latent's atom, -1 where there is none."""
    sites = movie_sites(atoms, size)
    angle = np.full(len(atoms), np.nan)
    angle[rows[rows >= 0]] = latents.angle[rows >= 0]
    angle = angle - angle_offset(angle, sites.sites.orientation)
    bulk, bonds = sites.sites.kind == "bulk", sites.sites.orientation
    return Structure(sites, angle, movie_grains(atoms, angle, sites.pairs, bulk, bonds))


def structure_of_run(atoms: Atoms, latents: Latents, rows: np.ndarray, size: tuple[int, int]) -> Structure | None:
    """The same; None where there are too few atoms for bonds."""
    return structure_of(atoms, latents, rows, size) if len(atoms) >= FEWEST_ATOMS else None


def order_of_run(
    latents: Latents,
    rows: np.ndarray,
    found: Structure | None,
    away: Float[np.ndarray, " m"] | None = None,
    threshold: float | None = None,
) -> ContentOrder:
    """How crystalline each sub-image is by its content; by those of bonded atoms too, where bonds were `found`.

    Args:
        latents: of the run.
        rows: row of each one's atom in the table, -1 where there is none.
        found: bonds.
        away: deviations from a crystal that several runs have in common.
        threshold: scale of that crystal (`content_order`).
    """
    pairs = None if found is None else found.sites.pairs
    return content_order(latents, rows, pairs, away=away, threshold=threshold)


def run_curves(
    atoms: Atoms, latents: Latents, frame: np.ndarray, found: Structure | None, time: Clock, order: ContentOrder
) -> tuple[dict[str, np.ndarray], dict[str, Changes]]:
    """Order parameters of each frame, of the latents and of the bond graph, and where they change."""
    frames = len(time.values)
    curves = order_parameters(latents, frame, frames, deviation=order.deviation, threshold=OFF_CRYSTAL)
    curves["crystallinity of the content, mean"] = curve(order.crystallinity, frame, frames).mean
    if found is not None:
        inner = ~found.sites.border
        curves["crystallinity of the bond graph, mean"] = curve(
            found.sites.sites.crystallinity[inner], atoms.frame[inner], frames
        ).mean
        curves["atoms"] = np.bincount(atoms.frame, minlength=frames).astype(float)
    return curves, curve_changes(curves)


def track_run(
    folder: Path, atoms: Atoms, found: MovieSites | None = None, config: TrackingConfig | None = None
) -> dict[str, Any]:
    """Writes trajectories.csv, where there is more than one frame with atoms; the numbers for the summary.

    Args:
        folder: of the run.
        atoms: of all frames.
        found: their bonds, where they are at hand.
        config: of the tracking.
    """
    if len(np.unique(atoms.frame)) < 2:
        return {}
    tracks = track_atoms(atoms, config)
    write_trajectories(folder / TRAJECTORIES, atoms, tracks)
    return track_numbers(atoms, tracks, found)


def track_numbers(atoms: Atoms, tracks: Tracks, sites: MovieSites | None = None) -> dict[str, Any]:
    """What a table of trajectories comes to, as named numbers; `sites` spares finding the bonds again."""
    found, change = steps(atoms, tracks), turnover(atoms, tracks)
    nm = atoms.pixel_size_nm
    sightings = np.bincount(tracks.track, minlength=len(tracks))
    moved = np.hypot(*np.diff(tracks.drift, axis=0).T) * nm
    out: dict[str, Any] = {
        "trajectories": len(tracks),
        "median sightings of an atom": float(np.median(np.repeat(sightings, sightings))) if len(atoms) else 0.0,
        "births after the first frame": int(change.births.sum()),
        "deaths before the last frame": int(change.deaths.sum()),
        "species changes": len(species_changes(atoms, found).before),
        "drift between frames, largest [nm]": float(moved.max(initial=0.0)),
    }
    if tracks.sure is not None:
        doubtful = int((~tracks.sure[found.after]).sum())
        out["links, and doubtful ones among them"] = f"{len(found.before):,}, {doubtful:,}"
    if not np.isfinite(nm):
        return out
    psi = (movie_sites(atoms) if sites is None else sites).psi
    for species in sorted(set(atoms.species.tolist()) - {"C"}):
        made = hops(atoms, tracks, psi, species)
        far = made.steps.length > DOPANT_HOP_NM
        known = np.isfinite(made.flipped)
        if len(far):
            out[f"{species}: steps from frame to frame"] = len(far)
            out[f"{species}: hops of more than {DOPANT_HOP_NM} nm"] = int(far.sum())
            out[f"{species}: changes of sublattice"] = f"{int(np.nansum(made.flipped))} of {int(known.sum())}"
        if far.any():
            out[f"{species}: median hop [nm]"] = float(np.median(made.steps.length[far]))
    return out


def grain_numbers(atoms: Atoms, found: Structure) -> dict[str, Any]:
    """Grains of the first and of the last frame with atoms."""
    out = {}
    for t in sorted({int(atoms.frame.min()), int(atoms.frame.max())}):
        ids = np.unique(found.grains.grain[(atoms.frame == t) & (found.grains.grain >= 0)])
        degrees, error = np.degrees(found.grains.angle), np.degrees(found.grains.error)
        names = [f"{degrees[g]:.1f} ± {error[g]:.1f} ({found.grains.size[g]} atoms)" for g in ids]
        out[f"frame {t}: orientation modulo 60 deg [deg]"] = names
    return out
