"""What the latents have to do with what is known of each site: coordination, rings, bonds, distances."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer
from scipy import stats

from rvaejax.analysis.sites import MovieSites, distance_to
from rvaejax.structure.geometry import bond_angles, mean_bond_length
from rvaejax.types import Atoms

LEAST = 20  # sites for a correlation to be told


def site_quantities(atoms: Atoms, found: MovieSites) -> dict[str, Float[np.ndarray, " n"]]:
    """Physical quantities of every atom, by name; NaN where there is none, or where the border hides neighbours.

    Args:
        atoms: of all frames.
        found: their bonds (`movie_sites`).
    """
    xy = np.column_stack([atoms.x, atoms.y]) * atoms.pixel_size_nm
    n, sites = len(atoms), found.sites
    length = np.hypot(*(xy[found.pairs[:, 1]] - xy[found.pairs[:, 0]]).T)
    bent = np.abs(bond_angles(xy, found.pairs) - 2 * np.pi / 3)
    number = sites.coordination
    edge, silicon = (number < 3) & ~found.border, atoms.species == "Si"
    rings = sites.rings[:, 3:10]
    quantities = {
        "crystallinity": sites.crystallinity,
        "coordination": number.astype(float),
        "hexagons around": sites.rings[:, 6].astype(float),
        "other rings around": (rings.sum(1) - sites.rings[:, 6]).astype(float),
        "bond length [nm]": mean_bond_length(n, found.pairs, length),
        "largest bend [rad]": np.where(number == 3, np.nanmax(bent, axis=1, initial=0.0), np.nan),
        "distance to edge [nm]": _finite(distance_to(atoms, edge)),
        "distance to Si [nm]": _finite(distance_to(atoms, silicon)),
    }
    return {name: np.where(found.border, np.nan, values) for name, values in quantities.items()}


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan)


class Correlations(NamedTuple):
    """Rank correlations of latents with quantities.

    Attributes:
        names: of the quantities, (q,).
        latents: names, (d,).
        rank: (d, q) Spearman's correlation; NaN where fewer than `LEAST` sites have both, or one does not vary.
        linear: (d, q) Pearson's.
        sites: (q,) how many sites have the quantity.
    """

    names: tuple[str, ...]
    latents: tuple[str, ...]
    rank: Float[np.ndarray, "d q"]
    linear: Float[np.ndarray, "d q"]
    sites: Integer[np.ndarray, " q"]


def correlations(
    latents: dict[str, Float[np.ndarray, " n"]], quantities: dict[str, Float[np.ndarray, " n"]]
) -> Correlations:
    """Correlations of each latent with each quantity over the sites that have both.

    Args:
        latents: by name, one value a site.
        quantities: by name, of the same sites; NaN where there is none.
    """
    shape = len(latents), len(quantities)
    rank, linear, number = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape[1], int)
    for q, values in enumerate(quantities.values()):
        for d, latent in enumerate(latents.values()):
            both = np.isfinite(values) & np.isfinite(latent)
            number[q] = both.sum()
            a, b = latent[both], values[both]
            if len(a) < LEAST or np.ptp(a) == 0 or np.ptp(b) == 0:
                continue
            rank[d, q], linear[d, q] = stats.spearmanr(a, b).statistic, stats.pearsonr(a, b).statistic
    return Correlations(tuple(quantities), tuple(latents), rank, linear, number)
