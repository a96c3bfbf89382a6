"""The profile of an atom fitted to a frame: linear least squares with a prior, for several widths of its core."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rvaejax.atoms.fit import Fit, Patches, product
from rvaejax.atoms.profile import ISOTROPIC, TERMS, Profile, functions

HEIGHT_SD = 0.3  # prior spread of the Gaussian's own weight
ANISOTROPY_SD = 0.03  # prior spread of what makes a spot elliptical
FEW = 85  # atoms that the width is chosen by
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
    every = slice(None, None, max(1, len(weight) // FEW))
    few = Patches(patches.grid, *(part[every] for part in patches[1:]))
    tried = list(cores) if len(cores) > 1 else []
    residuals = [_solve(fit, few, weight[every], core, count, spread)[0] for core in tried]
    core = float(cores[int(np.argmin(residuals or [0.0]))])
    _, weights = _solve(fit, patches, weight, core, count, spread)
    return Profile(jnp.float32(core), jnp.asarray(weights, jnp.float32))


def _solve(
    fit: Fit, patches: Patches, weight: jax.Array, core: float, count: int, spread: float
) -> tuple[float, Float[np.ndarray, "species terms"]]:
    """Squared residual, with what the prior adds, and weights, for one width of the core."""
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
    return float(residual), weights.reshape(count, -1)


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


@functools.partial(jax.jit, static_argnames="count")
def profile_normal(
    fit: Fit, patches: Patches, weight: Float[Array, "n k k"], core: Float[Array, ""], count: int
) -> tuple[Float[Array, "m m"], Float[Array, " m"], Float[Array, ""]]:
    """Normal equations of the profiles' weights (all terms of one species after the other), and the square sum.

    Each patch's constant is projected out.

    Args:
        fit: where the atoms are.
        patches: the frame around some of them.
        weight: inverse variance of each pixel.
        core: width of the profiles' core [px].
        count: number of species.
    """
    at = fit.xy[patches.near] - patches.origin[:, None, :]
    (fx, _), (fy, _) = (functions(patches.grid[None, None, :] - at[..., i, None], core) for i in (0, 1))
    height = fit.height[patches.near] * patches.real
    # without their mean, lest the difference of large sums below loses what it is about
    shapes = [patches.values - patches.values.mean((1, 2), keepdims=True)]
    for s in range(count):
        mine = fy * jnp.where(patches.species == s, height, 0.0)[None, ..., None]
        shapes += [product(jnp.moveaxis(mine[i], 1, 0), jnp.moveaxis(fx[j], 1, 0)) for i, j in TERMS]
    flat = jnp.stack(shapes).reshape(len(shapes), len(weight), -1)
    w = weight.reshape(len(weight), -1)
    weighted = flat * w[None]
    level = weighted.sum(2)
    system = jnp.einsum("anp,bnp->ab", weighted, flat) - (level / jnp.maximum(w.sum(1), 1e-20)[None]) @ level.T
    return system[1:, 1:], system[1:, 0], system[0, 0]
