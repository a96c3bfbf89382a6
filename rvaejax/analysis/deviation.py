"""How far each site is from the crystal that most sites belong to, by the content alone: no label, no lattice."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from sklearn.covariance import MinCovDet

from rvaejax.types import Latents

FEWEST_PER_LATENT = 5
OFF_CRYSTAL = 3.5  # deviation that one crystalline site in 450 exceeds, with two Gaussian latents


def deviation(latents: Latents, *, seed: int = 0) -> Float[np.ndarray, " n"]:
    r"""Distance of each site's content from that of the majority, in standard deviations of the majority.

    .. math:: d_i = \sqrt{(z_i - \mu)^T \Sigma^{-1} (z_i - \mu)}

    mu and Sigma are the mean and the covariance of the most compact half of the sites (minimum covariance
    determinant), reweighted: edges and defects, which may gather in dense clusters of their own, do not move them. What
    is rare in latent space is not the same: sites of an edge have many neighbours there.

    Args:
        latents: of all sites.
        seed: of the random subsets from which the most compact half is found.

    Returns:
        d; all 0 where there are too few sites, or no spread, to tell.

    Source: P. J. Rousseeuw and K. van Driessen, Technometrics 41, 212 (1999).
    """
    content = np.asarray(latents.content, np.float64)
    n, dims = content.shape
    spread = content.std(0) > 0 if n else np.zeros(dims, bool)
    if n < FEWEST_PER_LATENT * (dims + 1) or not spread.any():
        return np.zeros(n)
    used = content[:, spread]
    if (np.ptp(used, axis=0) == 0).any() or len(np.unique(used, axis=0)) <= n // 2:
        return np.zeros(n)  # half of the sites are the same to the last digit: there is no spread to measure by
    return np.sqrt(MinCovDet(random_state=seed).fit(used).mahalanobis(used))


def crystallinity(away: Float[np.ndarray, " n"], *, threshold: float = OFF_CRYSTAL) -> Float[np.ndarray, " n"]:
    r"""How crystalline each site is, from 0 to 1, by its deviation from the crystal alone: no label, no bond graph.

    .. math:: c_i = \bigl(1 + (d_i / d_0)^2\bigr)^{-1/2}

    1 within the crystal's own spread, where distances are noise; far from it the ratio d_0 / d. Which of the content
    latents tells edges, and which pentagons or dopants, differs from training to training; how far a site is from the
    crystal does not depend on it, nor on their signs and scales.

    Args:
        away: `deviation` of each site.
        threshold: d_0, the deviation beyond which a site is none of the crystal.
    """
    return 1 / np.sqrt(1 + (np.asarray(away, float) / threshold) ** 2)
