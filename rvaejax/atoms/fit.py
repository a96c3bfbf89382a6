"""Positions fitted to the frame itself: every atom together with its neighbours, weighted by the noise.

Each atom has a patch around it. The model of a patch is the sum of the profiles of the atom and its neighbours, and a
constant. `equations` linearises the weighted least squares problem of each atom in its own patch; `step` solves, for
all atoms at once, the equations of one atom together with those of its three nearest neighbours, the others held, and
moves that one atom: overlapping Schwarz iteration, which converges in a few sweeps because what is farther away hardly
matters, to where every atom's own equations are fulfilled. What those farther away shine into a patch is computed
(`far_light`) less often than the rest.
"""

from __future__ import annotations

import functools
import operator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rvaejax.atoms.profile import Profile, functions, mixed
from rvaejax.atoms.small_systems import inverse_of_three

OUTLIER = 6.0  # pixels farther from the model than this many standard deviations do not count
STIFFEST = 1e-6  # of the data's own precision: keeps equations solvable, and a slope without room at 0
JOINT = 4  # the atom and its bonded neighbours, fitted together


class Patches(NamedTuple):
    """The frame around some of the atoms, and who shines into it: what stays the same while positions move.

    Attributes:
        grid: (k,) distance of the patch's pixels from its middle [px].
        origin: (n, 2) middle of each patch (x, y) [px].
        values: (n, k, k) the frame.
        inside: (n, k, k) 1 in the frame and in the patch's disc, else 0.
        far: (n, k, k) light of atoms beyond the bonded neighbours.
        taken: (n,) brightness of the smooth background that `values` come without.
        slope: (n,) prior standard deviation of a slope of the background in each direction, per half patch.
        near: (n, j) rows of the atom itself and of its neighbours, nearest first, in the table of all atoms.
        real: (n, j) 1 where there is such a neighbour, else 0.
        species: (n, j) species of the atom and its neighbours.
    """

    grid: Float[Array, " k"]
    origin: Float[Array, "n 2"]
    values: Float[Array, "n k k"]
    inside: Float[Array, "n k k"]
    far: Float[Array, "n k k"]
    taken: Float[Array, " n"]
    slope: Float[Array, " n"]
    near: Int[Array, "n j"]
    real: Float[Array, "n j"]
    species: Int[Array, "n j"]


class Fit(NamedTuple):
    """Positions (x, y) [px] and heights of the atoms."""

    xy: Float[Array, "n 2"]
    height: Float[Array, " n"]


class Known(NamedTuple):
    """What is known before the fit: normal priors, and their precisions.

    Attributes:
        xy: (n, 2) positions [px].
        precision: (n,) of each coordinate [px^-2].
        height: (n,) height usual for the atom's species.
        height_precision: (n,) of it.
    """

    xy: Float[Array, "n 2"]
    precision: Float[Array, " n"]
    height: Float[Array, " n"]
    height_precision: Float[Array, " n"]


class Equations(NamedTuple):
    """Of each patch, linearised at the current fit: what its own pixels say of its atom.

    Attributes:
        normal: (n, 3, 3) normal matrix of the atom's height, x and y, the patch's constant eliminated.
        coupling: (n, 3, 3 m) the same between the atom and its m nearest neighbours (all heights, all x, all y).
        gradient: (n, 3) right-hand side.
        model: (n, k, k) the patch as the fit has it, everything included.
        residual: (n, k, k) the frame less the model.
    """

    normal: Float[Array, "n 3 3"]
    coupling: Float[Array, "n 3 m"]
    gradient: Float[Array, "n 3"]
    model: Float[Array, "n k k"]
    residual: Float[Array, "n k k"]


def _light(
    fit: Fit, patches: Patches, profile: Profile, which: slice
) -> tuple[tuple[Array, Array, Array, Array], Float[Array, "n j"]]:
    """Functions and slopes (x mixed by the species' weights, then y) of some of each patch's atoms; their heights."""
    near, real, species = (part[:, which] for part in (patches.near, patches.real, patches.species))
    at = fit.xy[near] - patches.origin[:, None, :]
    dx, dy = (patches.grid[None, None, :] - at[..., i, None] for i in (0, 1))
    fx, sx = (mixed(values, profile.weights[species]) for values in functions(dx, profile.core))
    return (fx, sx, *functions(dy, profile.core)), fit.height[near] * real


def product(fy: Float[Array, "terms *n k"], fx: Float[Array, "terms *n k"]) -> Float[Array, "*n k k"]:
    """Sum over the terms of f(y) f(x), written out: XLA makes one loop over the pixels of it."""
    return functools.reduce(operator.add, (y[..., :, None] * x[..., None, :] for y, x in zip(fy, fx, strict=True)))


@jax.jit
def far_light(fit: Fit, patches: Patches, profile: Profile) -> Float[Array, "n k k"]:
    """What atoms beyond the bonded neighbours shine into each patch."""
    (fx, _, fy, _), height = _light(fit, patches, profile, slice(JOINT, None))
    lit = fy * height[None, ..., None]
    # one small matrix product a patch, over functions and atoms together
    columns = (jnp.concatenate([jnp.swapaxes(part, 1, 2) for part in parts], 2) for parts in (lit, fx))
    return jnp.einsum("nyp,nxp->nyx", *columns)


@jax.jit
def equations(fit: Fit, patches: Patches, weight: Float[Array, "n k k"], profile: Profile) -> Equations:
    """The weighted least squares problem of each patch's atom, linearised.

    Args:
        fit: where all atoms are.
        patches: the frame around some of them.
        weight: inverse variance of each pixel.
        profile: image of an atom of height 1.
    """
    (fx, sx, fy, sy), heights = _light(fit, patches, profile, slice(JOINT))
    # behind a barrier, or XLA works them out anew for every pixel
    fx, sx, fy, sy = jax.lax.optimization_barrier((fx, sx, fy, sy))
    here, real = heights[..., None, None], patches.real[:, :JOINT, None, None]
    shape = product(fy, fx) * real
    columns = (shape, product(fy, sx) * here, product(sy, fx) * here)
    model = patches.far + (shape * here).sum(1)
    n = len(model)
    design = jnp.stack(columns, 1).reshape(n, 3, JOINT, -1)
    w = weight.reshape(n, -1)
    residual = (patches.values - model).reshape(n, -1)
    both = jnp.concatenate([design[:, :, 0], residual[:, None]], 1)
    smooth = _plane(both, w, patches)
    own, residual = (both - smooth)[:, :3], (both - smooth)[:, 3]
    weighted = own * w[:, None]
    others = design[:, :, 1:].reshape(n, 3 * (JOINT - 1), -1)
    return Equations(
        normal=jnp.einsum("npk,nqk->npq", weighted, design[:, :, 0]),
        coupling=jnp.einsum("npk,nqk->npq", weighted, others),
        gradient=jnp.einsum("npk,nk->np", weighted, residual),
        model=model + smooth[:, 3].reshape(model.shape) + patches.taken[:, None, None],
        residual=residual.reshape(model.shape),
    )


def _plane(values: Float[Array, "n p pixels"], weight: Float[Array, "n pixels"], patches: Patches) -> Array:
    """The constant and the slopes, these with their prior, that fit each of `values` best."""
    x = patches.grid / patches.grid[-1]
    basis = jnp.stack([jnp.ones((len(x), len(x))), *jnp.meshgrid(x, x)]).reshape(3, -1)
    squares = (basis[:, None] * basis[None]).reshape(9, -1)
    total = jnp.maximum(weight.sum(1), 1e-20)
    tight = 1 / (patches.slope**2 * total + STIFFEST)  # in units of the data's own precision
    prior = jnp.stack([jnp.full_like(tight, STIFFEST), tight, tight], 1)
    share = weight / total[:, None]
    normal = (share @ squares.T).reshape(-1, 3, 3) + prior[:, :, None] * jnp.eye(3)[None]
    right = (values * share[:, None]).reshape(-1, values.shape[2]) @ basis.T
    fitted = jnp.einsum("npa,nab->npb", right.reshape(*values.shape[:2], 3), inverse_of_three(normal))
    return (fitted.reshape(-1, 3) @ basis).reshape(values.shape)


class Step(NamedTuple):
    """A move of the atoms: the new fit, and the posterior covariance of each position [px²]."""

    fit: Fit
    covariance: Float[Array, "n 2 2"]


@jax.jit
def step(
    fit: Fit,
    known: Known,
    normal: Float[Array, "n 3 3"],
    coupling: Float[Array, "n 3 m"],
    gradient: Float[Array, "n 3"],
    near: Int[Array, "n j"],
    real: Float[Array, "n j"],
    limit: float,
) -> Step:
    """Each atom moved to where its own equations and its neighbours' have it, those of all others held.

    Args:
        fit: where the atoms are.
        known: where they were thought to be, and how surely.
        normal: see `Equations`; here of all atoms.
        coupling: of all atoms.
        gradient: of all atoms.
        near: rows of each atom and of its bonded neighbours.
        real: which of them exist.
        limit: longest move [px].
    """
    precision = jnp.stack([known.height_precision, known.precision, known.precision], 1)
    diagonal = jnp.diagonal(normal, axis1=1, axis2=2)
    ridge = 1e-4 * diagonal + 1e-20 + precision
    normal = normal + ridge[:, :, None] * jnp.eye(3)[None]
    away = jnp.concatenate([(known.height - fit.height)[:, None], known.xy - fit.xy], 1)
    gradient = gradient + precision * away
    # What an atom's patch says of its neighbour is no surer than what the neighbour's own does: where the fit explains
    # only the one of the two, the equations of both together would have no minimum.
    sure = jnp.maximum(diagonal[:, 0], 1e-30)
    shared = coupling.reshape(-1, 3, 3, JOINT - 1) * jnp.minimum(1.0, sure[near[:, 1:]] / sure[:, None])[:, None, None]
    # neighbours are coupled to the atom, not to one another: each is eliminated on its own
    others = inverse_of_three(normal)[near[:, 1:]] * real[:, 1:, None, None]
    through = jnp.einsum("npqm,nmqr->nmpr", shared, others)
    left = normal - jnp.einsum("nmpr,nsrm->nps", through, shared)
    right = gradient - jnp.einsum("nmpr,nmr->np", through, gradient[near[:, 1:]])
    inverse = inverse_of_three(left)
    change = (inverse * right[:, None]).sum(2) * real[:, :1]
    move = change[:, 1:]
    length = jnp.linalg.norm(move, axis=1, keepdims=True)
    move = move * jnp.minimum(1.0, limit / jnp.maximum(length, 1e-9))
    moved = Fit(fit.xy + move, jnp.maximum(fit.height + change[:, 0], 1e-9))
    return Step(moved, inverse[:, 1:, 1:])


@jax.jit
def pixel_weights(found: Equations, inside: Float[Array, "n k k"], noise: Float[Array, " 5"]) -> Float[Array, "n k k"]:
    """Inverse variance of each pixel, 0 for pixels that the model cannot explain (hot ones).

    Args:
        found: model and residual.
        inside: which pixels count.
        noise: variance = noise[0] + noise[1] * (model - noise[2]) above that brightness, and least noise[3]; pixels
            that share their noise tell as much as 1 / noise[4] of so many others.
    """
    variance = noise[0] + noise[1] * jnp.maximum(found.model - noise[2], 0) + noise[3]
    squared = found.residual**2 / variance
    # where the whole patch is still off, hardly any pixel is as near to the model as the noise says
    usual = jnp.maximum((inside * squared).sum((1, 2)) / jnp.maximum(inside.sum((1, 2)), 1.0), 1.0)
    use = inside * (squared < OUTLIER**2 * usual[:, None, None])
    # a patch that the model cannot explain (contamination, an atom that was missed) counts less as a whole
    excess = (use * squared).sum((1, 2)) / jnp.maximum(use.sum((1, 2)), 1.0)
    return use / (noise[4] * variance) / jnp.maximum(excess, 1.0)[:, None, None]
