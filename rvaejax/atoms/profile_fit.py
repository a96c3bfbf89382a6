"""The profile of an atom fitted to a frame: linear least squares with a prior, for several widths of its core."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rvaejax.atoms.fit import Fit, Patches, profile_normal
from rvaejax.atoms.profile import ISOTROPIC, TERMS, Profile

HEIGHT_SD = 0.3  # prior spread of the Gaussian's own weight
ANISOTROPY_SD = 0.03  # prior spread of what makes a spot elliptical
SPECIES_SD = 0.05  # prior spread of another species' profile around that of the first


def fit_profile(
    fit: Fit, patches: Patches, weight: jax.Array, cores: Float[np.ndarray, " c"], count: int, spread: float
) -> Profile:
    """The profile that explains the patches best: of several widths of the core the one of least residual.

    A prior keeps it near a Gaussian, and the profiles of the rarer species near that of the first, where the atoms
    are too few or too noisy to tell.

    Args:
        fit: where the atoms are.
        patches: the frame around some of them.
        weight: inverse variance of each pixel.
        cores: widths to try [px].
        count: number of species.
        spread: prior standard deviation of the weights after the first, relative to it.
    """
    best: tuple[float, Float[np.ndarray, "species terms"], float] | None = None
    for core in cores:
        equations = profile_normal(fit, patches, weight, jnp.float32(core), count)
        normal, vector, square = (np.asarray(part, np.float64) for part in equations)
        scale = max(vector[0] / max(normal[0, 0], 1e-30), 1e-9)
        prior = _profile_prior(count, spread) / scale**2
        centre = np.zeros(len(vector))
        centre[:: len(TERMS)] = scale
        ridge = 1e-9 * np.trace(normal) * np.eye(len(vector))
        weights = np.linalg.solve(normal + prior + ridge, vector + prior @ centre)
        apart = weights - centre
        residual = square - 2 * vector @ weights + weights @ normal @ weights + apart @ prior @ apart
        if best is None or residual < best[0]:
            best = float(residual), weights.reshape(count, -1), float(core)
    assert best is not None
    return Profile(jnp.float32(best[2]), jnp.asarray(best[1], jnp.float32))


def _profile_prior(count: int, spread: float) -> Float[np.ndarray, "m m"]:
    """Precision of the weights of `count` species: round spots near a Gaussian, species near one another."""
    terms = len(TERMS)
    isotropic = ISOTROPIC @ ISOTROPIC.T  # projection on the round ones
    own = isotropic / spread**2 + (np.eye(terms) - isotropic) / min(spread, ANISOTROPY_SD) ** 2
    own[0] = own[:, 0] = 0.0
    own[0, 0] = HEIGHT_SD**-2
    prior = np.zeros((count * terms, count * terms))
    prior[:terms, :terms] = own
    tie = np.eye(terms) / SPECIES_SD**2
    for s in range(1, count):
        mine = slice(s * terms, (s + 1) * terms)
        prior[mine, mine] += tie
        prior[:terms, :terms] += tie
        prior[mine, :terms] -= tie
        prior[:terms, mine] -= tie
    return prior
