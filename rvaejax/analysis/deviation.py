"""How far each site is from the crystal that most sites belong to, by the content alone: no label, no lattice."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from sklearn.covariance import MinCovDet

from rvaejax.types import Latents

FEWEST_PER_LATENT = 5


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
