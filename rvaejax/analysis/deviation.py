"""How far each site is from the crystal that most sites are of, by the content alone: no label, no lattice."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from sklearn.covariance import MinCovDet

from rvaejax.analysis.sites import bonded_mean
from rvaejax.types import ContentOrder, Latents

FEWEST_PER_LATENT = 5
COMPACT = 1 / 3  # share of the sites that are looked at as the crystal first
FEWEST_COMPACT = 20  # of these for each latent; of few sites more than a third are taken, up to a half
OFF_CRYSTAL = 3.5  # deviation that one crystalline site in 450 exceeds, with two Gaussian latents; with three, in 150
CORE = 0.25  # share of the sites that the densest crystal is looked for from
GAMMA = 2.0  # a site at one standard deviation has exp(-GAMMA / 2) of the weight of one at the crystal's middle
ROUNDS, SETTLED = 500, 1e-4
HARDLY_ANY = 0.02  # of the sites; a crystal alone has 0.002 beyond OFF_CRYSTAL, with two Gaussian latents
TYPICAL = 2.0  # times the median deviation: where crystallinity has fallen to 0.7, at the least


def deviation(latents: Latents, *, seed: int = 0) -> Float[np.ndarray, " n"]:
    r"""Distance of each site's content from that of the majority, in standard deviations of the majority.

    .. math:: d_i = \sqrt{(z_i - \mu)^T \Sigma^{-1} (z_i - \mu)}

    mu and Sigma are the mean and the covariance of the most compact third of the sites (minimum covariance
    determinant), reweighted: edges and defects, which may gather in dense clusters of their own, do not move them. What
    is rare in latent space is not the same: sites of an edge have many neighbours there. A third and not the usual
    half, because in large windows most sites of a movie have something beside the crystal in theirs.

    Where the crystal's sites are fewer still, or what is beside them lies as close, the most compact ones may take in
    so much that hardly anything is far away. Then mu and Sigma are those of the densest quarter, moved to where they
    agree with themselves when each site counts by its density to the power of gamma (gamma-divergence): sites elsewhere
    do not move them, however many they are. If these, too, leave hardly anything outside, all is one crystal.

    Args:
        latents: of all sites.
        seed: of the random subsets from which the most compact third is found.

    Returns:
        d; all 0 where there are too few sites, or no spread, to tell.

    Source: P. J. Rousseeuw and K. van Driessen, Technometrics 41, 212 (1999); H. Fujisawa and S. Eguchi, J. Multivar.
    Anal. 99, 2053 (2008).
    """
    content = np.asarray(latents.content, np.float64)
    n, dims = content.shape
    spread = content.std(0) > 0 if n else np.zeros(dims, bool)
    if n < FEWEST_PER_LATENT * (dims + 1) or not spread.any():
        return np.zeros(n)
    used = content[:, spread]
    if (np.ptp(used, axis=0) == 0).any() or len(np.unique(used, axis=0)) <= n // 2:
        return np.zeros(n)  # half of the sites are the same to the last digit: there is no spread to measure by
    share = max(COMPACT, min(0.5, FEWEST_COMPACT * (used.shape[1] + 1) / n))
    away = np.sqrt(MinCovDet(random_state=seed, support_fraction=share).fit(used).mahalanobis(used))
    if _alone(away):
        densest = _from_densest(used, away, seed)
        return away if _alone(densest) else densest
    return away


def _alone(away: Float[np.ndarray, " n"]) -> bool:
    """Whether hardly anything is off the crystal."""
    return float(np.mean(away > OFF_CRYSTAL)) < HARDLY_ANY


def _from_densest(
    content: Float[np.ndarray, "n d"], away: Float[np.ndarray, " n"], seed: int
) -> Float[np.ndarray, " n"]:
    """Distance of each site from the densest crystal; `away` where there is no spread in it."""
    core = content[MinCovDet(random_state=seed, support_fraction=CORE).fit(content).raw_support_]
    middle, spread = core.mean(0), np.atleast_2d(np.cov(core.T))
    for _ in range(ROUNDS):
        if np.linalg.cond(spread) > 1 / np.finfo(float).eps:
            return away
        squared = _squared(content, middle, spread)
        weight = np.exp(-0.5 * GAMMA * squared)
        weight /= weight.sum()
        middle = weight @ content
        moved = content - middle
        before, spread = spread, (1 + GAMMA) * (weight[:, None] * moved).T @ moved
        if np.abs(spread - before).max() < SETTLED * np.abs(before).max():
            break
    return np.sqrt(_squared(content, middle, spread))


def _squared(
    content: Float[np.ndarray, "n d"], middle: Float[np.ndarray, " d"], spread: Float[np.ndarray, "d d"]
) -> Float[np.ndarray, " n"]:
    moved = content - middle
    return (moved * np.linalg.solve(spread, moved.T).T).sum(1)


def crystallinity(away: Float[np.ndarray, " n"], *, threshold: float | None = None) -> Float[np.ndarray, " n"]:
    r"""How crystalline each site is, from 0 to 1, by its deviation from the crystal alone: no label, no bond graph.

    .. math:: c_i = \bigl(1 + (d_i / d_0)^2\bigr)^{-1/2}

    1 within the crystal's own spread, where distances are noise; far from it the ratio d_0 / d. Which of the content
    latents tells edges, and which pentagons or dopants, differs from training to training; how far a site is from the
    crystal does not depend on it, nor on their signs and scales.

    Args:
        away: `deviation` of each site; of all sites that are to be compared.
        threshold: d_0; by default `crystal_scale` of these sites.
    """
    away = np.asarray(away, float)
    return 1 / np.sqrt(1 + (away / (crystal_scale(away) if threshold is None else threshold)) ** 2)


def crystal_scale(away: Float[np.ndarray, " n"]) -> float:
    """Deviation at which `crystallinity` has fallen to 0.7.

    The one beyond which a site is none of the crystal (`OFF_CRYSTAL`), or, where that is more, twice the median of all
    sites: where the crystal is told so finely that most sites are beyond it, as in large windows, these still differ
    from each other.
    """
    return max(OFF_CRYSTAL, TYPICAL * float(np.median(away))) if away.size else OFF_CRYSTAL


def content_order(
    latents: Latents,
    atom: Int[np.ndarray, " n"] | None = None,
    pairs: Int[np.ndarray, "b 2"] | None = None,
    *,
    away: Float[np.ndarray, " n"] | None = None,
    threshold: float | None = None,
) -> ContentOrder:
    r"""Deviation and crystallinity of each site, the latter also averaged over the site and its bonded neighbours.

    .. math:: \bar c_i = \tfrac12 \bigl(c_i + \langle c \rangle_{j \sim i}\bigr)

    A small window ends before the rings that make a site what it is: half of each lies outside, but inside the windows
    of the bonded neighbours. The mean has the weights of the bond graph's own crystallinity (`structure.order`). Sites
    without bonds or neighbours' windows, and centres that are no atoms, keep their own.

    Args:
        latents: of all sites that are to be compared.
        atom: row of each site's atom in the table that `pairs` is of (`SubImages.atom`); -1 where there is none.
        pairs: bonded atoms (`MovieSites.pairs`); None where no bonds are known: both crystallinities are the same.
        away: `deviation` of the sites, where it is at hand.
        threshold: see `crystallinity`.

    Source: averaging a local order parameter over a particle and its neighbours: W. Lechner and C. Dellago, J. Chem.
    Phys. 129, 114707 (2008).
    """
    away = deviation(latents) if away is None else away
    own = crystallinity(away, threshold=threshold)
    if atom is None or pairs is None or not len(pairs):
        return ContentOrder(away, own, own)
    of_atom = atom >= 0
    whole = np.full(max(int(np.max(atom, initial=-1)), int(pairs.max())) + 1, np.nan)
    whole[atom[of_atom]] = own[of_atom]
    averaged = own.copy()
    averaged[of_atom] = bonded_mean(whole, pairs)[atom[of_atom]]
    return ContentOrder(away, own, averaged)
