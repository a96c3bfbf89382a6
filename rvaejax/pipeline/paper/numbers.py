"""The numbers beside each figure, from what a run has left in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage, stats
from sklearn.metrics import roc_auc_score

from rvaejax.analysis.circular import circular_difference, circular_sd, fold_angle
from rvaejax.analysis.deviation import content_order
from rvaejax.analysis.grains import SITE_FOLD
from rvaejax.analysis.orientation import density, orientation_peaks
from rvaejax.analysis.sites import MovieSites, distance_to, movie_sites, ring_counts
from rvaejax.io.latents import LatentRows, read_latents_h5
from rvaejax.io.maps import read_maps
from rvaejax.io.tables import read_atoms
from rvaejax.types import Atoms, ContentOrder, Maps

EMPTY_NM = 0.25  # farther from every atom than this is a hole, or contamination
AT_EDGE_NM = 0.3
WIDTH = np.deg2rad(2.0)  # of the kernels of the angle's density
ALTERNATING = np.deg2rad(15.0)


class Run(NamedTuple):
    """What is read of a finished run's folder.

    Attributes:
        atoms, sites: of all frames.
        rows: latents and their sites.
        maps: probability maps.
        shown: frame numbers of the figures: figure 2, figure 3, figure 6.
    """

    atoms: Atoms
    sites: MovieSites
    rows: LatentRows
    maps: Maps
    shown: tuple[int, tuple[int, ...], tuple[int, ...]]

    @property
    def ordered(self) -> Bool[np.ndarray, " n"]:
        """Which rows are sites of the ordered lattice: bulk, with bulk neighbours, away from the border."""
        kind = self.sites.sites.kind == "bulk"
        i, j = self.sites.pairs.T
        around = np.bincount(np.concatenate([i, j]), np.concatenate([~kind[j], ~kind[i]]), len(kind)) == 0
        return (kind & around & ~self.sites.border)[self.rows.atom]

    @property
    def disturbed(self) -> Bool[np.ndarray, " n"]:
        """Which rows are sites of an edge or a defect."""
        sites = self.sites
        return (np.isin(sites.sites.kind, ("edge", "defect")) & ~sites.border)[self.rows.atom]

    @property
    def order(self) -> ContentOrder:
        """Crystallinity of the rows by their content; found anew where the folder does not hold it."""
        if self.rows.order is not None:
            return self.rows.order
        return content_order(self.rows.latents, self.rows.atom, self.sites.pairs)


def read_run(folder: Path) -> Run:
    """The folder of a finished run, and which of its frames stand for the paper's."""
    maps, atoms = read_maps(folder / "maps.h5"), read_atoms(folder / "atoms.csv")
    last = len(maps) - 1

    def at(frames: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(dict.fromkeys(round(t / 49 * last) for t in frames))

    shown = at((10,))[0], at((0, 5, 10, 20, 35, 49)), at((0, 25, 49))
    return Run(atoms, movie_sites(atoms, maps.input_size), read_latents_h5(folder / "latents.h5"), maps, shown)


def segmentation(run: Run) -> dict[str, Any]:
    """Figure 2: atoms of one frame, and how much of it has none."""
    t = run.shown[0]
    here = run.atoms.select(run.atoms.frame == t)
    free = np.ones(run.maps.input_size, bool)
    inside = [np.clip(np.round(v).astype(int), 0, n - 1) for v, n in zip((here.y, here.x), free.shape, strict=True)]
    free[inside[0], inside[1]] = False
    far = ndimage.distance_transform_edt(free) * run.atoms.pixel_size_nm > EMPTY_NM if len(here) else free
    return {
        "frame": t,
        **{species: int((here.species == species).sum()) for species in ("C", "Si")},
        "share of the frame without atoms": round(float(far.mean()), 3),
    }


def evolution(run: Run) -> dict[str, Any]:
    """Figure 3: carbon, rings and silicon in the first and the last frame."""
    atoms, sites = run.atoms, run.sites
    frames = np.unique(atoms.frame)
    ends = [int(frames[0]), int(frames[-1])]
    rings = ring_counts(sites.pairs, atoms)
    edge = (sites.sites.coordination < 3) & ~sites.border
    near = distance_to(atoms, edge) < AT_EDGE_NM
    silicon = atoms.species == "Si"
    return {
        "frames": ends,
        "C": [int(((atoms.frame == t) & ~silicon).sum()) for t in ends],
        "Si": [int(((atoms.frame == t) & silicon).sum()) for t in ends],
        "5 and 7 rings per 100 hexagons": [
            round(100 * float(row[[5, 7]].sum() / max(row[6], 1)), 1) for row in rings[[0, -1]]
        ],
        "share of Si at an edge": [_share(near[silicon & (atoms.frame == t)]) for t in ends],
    }


def real_space(run: Run) -> dict[str, Any]:
    """Figure 6: whether the angle alternates between sublattices, and what content and crystallinity follow."""
    latents, sites = run.rows.latents, run.sites
    angle, order = np.full(len(run.atoms), np.nan), run.ordered
    angle[run.rows.atom] = latents.angle
    good = np.zeros(len(run.atoms), bool)
    good[run.rows.atom] = order
    i, j = sites.pairs[good[sites.pairs].all(1)].T
    apart = np.abs(circular_difference(angle[i], angle[j], SITE_FOLD))
    out: dict[str, Any] = {
        "bonds between ordered sites": len(apart),
        "angle between bonded sites, median [deg]": _round(np.degrees(np.median(apart)) if len(apart) else np.nan),
        "share within 15 deg of 60": _share(np.abs(apart - np.pi / SITE_FOLD) < ALTERNATING),
    }
    for d, values in enumerate(np.asarray(latents.content, float).T, 1):
        out[f"content latent {d}"] = _against_order(values, run)
    by_content = run.order
    out["crystallinity of the content"] = _against_order(by_content.crystallinity, run)
    out["crystallinity of the content, site's own"] = _against_order(by_content.crystallinity_own, run)
    return out


def _against_order(values: Float[np.ndarray, " n"], run: Run) -> dict[str, Any]:
    order, broken = run.ordered, run.disturbed
    crystal = run.sites.sites.crystallinity[run.rows.atom]
    inner = ~run.sites.border[run.rows.atom]
    both = order | broken
    mixed = 0 < broken.sum() and 0 < order.sum()
    spread = values[order].std() if order.any() else np.nan
    return {
        "ordered sites, mean": _round(values[order].mean() if order.any() else np.nan),
        "edges and defects, mean": _round(values[broken].mean() if broken.any() else np.nan),
        "difference in sd of ordered sites": _round((values[order].mean() - values[broken].mean()) / spread)
        if mixed
        else None,
        "AUC, ordered above disturbed": _round(roc_auc_score(order[both], values[both])) if mixed else None,
        "rank correlation with crystallinity": _round(stats.spearmanr(values[inner], crystal[inner]).statistic),
    }


def dynamics(run: Run) -> dict[str, Any]:
    """Figure 7: the angle modulo 2 pi / 3 and the content in the first and the last frames."""
    frame, carbon = run.rows.frame, run.rows.species == "C"
    angle = fold_angle(np.asarray(run.rows.latents.angle, float), SITE_FOLD)
    ends = [int(frame.min()), int(frame.max())]
    found = [angle[carbon & (frame == t)] for t in ends]
    first = orientation_peaks(found[0], SITE_FOLD, width=WIDTH)
    two = len(first) > 1
    apart = float(abs(circular_difference(first[0].angle, first[1].angle, SITE_FOLD))) if two else np.nan
    heights = [float(density(a, SITE_FOLD, WIDTH).max() * len(a)) for a in found]
    content = np.asarray(run.rows.latents.content, float)
    out: dict[str, Any] = {
        "frames": ends,
        "C with a window": [len(a) for a in found],
        "peaks in the first frame": len(first),
        "their distance [deg]": _round(np.degrees(apart)),
        "their shares": [round(peak.share, 2) for peak in first],
        "height of the highest peak, last over first": _round(heights[1] / max(heights[0], 1e-12)),
        "width of the peaks, circular sd modulo 60 deg [deg]": [
            _round(np.degrees(circular_sd(a, 2 * SITE_FOLD))) for a in found
        ],
    }
    for d in range(content.shape[1]):
        each = [content[frame == t, d] for t in ends]
        out[f"content latent {d + 1}, mean"] = [_round(v.mean()) for v in each]
        out[f"content latent {d + 1}, sd"] = [_round(v.std()) for v in each]
    return out


def _share(values: np.ndarray) -> float | None:
    return round(float(values.mean()), 3) if len(values) else None


def _round(value: float) -> float | None:
    return float(f"{value:.4g}") if np.isfinite(value) else None
