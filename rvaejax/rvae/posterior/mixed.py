"""Chains of several modes as one posterior: each mode's draws in the share of its evidence."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Integer, Key

from rvaejax.rvae.posterior.bounds import Bounds
from rvaejax.rvae.posterior.config import NutsConfig
from rvaejax.rvae.posterior.evidence import Evidence, log_evidence
from rvaejax.rvae.posterior.modes import Modes, owner
from rvaejax.rvae.posterior.nuts import Chain
from rvaejax.rvae.posterior.target import Target
from rvaejax.rvae.priors.circle import wrap


class Sampled(NamedTuple):
    """One sub-image's posterior, as points (see `target.py`).

    Attributes:
        points: (l, n) draws, those of each mode in the share of its weight.
        weights: (m,) of the modes.
        mode_angle: (m,) the angle that each mode's chain was started at [rad].
        log_evidence: log p(image) [nat].
        effective: (m,) effective numbers of the draws that the evidences are estimated from.
        diverging: share of the chains' steps that diverged.
        split: (m,) difference of the angle's mean between the halves of each chain, in its standard deviations.
        bounds: of the encoder, with its draws.
    """

    points: Float[Array, "l n"]
    weights: Float[Array, " m"]
    mode_angle: Float[Array, " m"]
    log_evidence: Float[Array, ""]
    effective: Float[Array, " m"]
    diverging: Float[Array, ""]
    split: Float[Array, " m"]
    bounds: Bounds


class Weighed(NamedTuple):
    """The chain of one mode, and what the mode weighs.

    Attributes:
        points: (s, n) of the chain, within half a turn of the mode.
        own: (s,) 1 for those in the mode's part of the space, else 0.
        evidence: the integral of the density over that part.
        diverging: share of the steps that diverged.
        split: difference of the angle's mean between the chain's halves, in its standard deviations.
    """

    points: Float[Array, "s n"]
    own: Float[Array, " s"]
    evidence: Evidence
    diverging: Float[Array, ""]
    split: Float[Array, ""]


def weigh(
    target: Target, modes: Modes, number: Integer[Array, ""], chain: Chain, config: NutsConfig, *, key: Key[Array, ""]
) -> Weighed:
    """What the mode of a number weighs, by importance sampling around its chain."""
    start, root = modes.points[number], modes.roots[number]

    def inside(point: Float[Array, " n"]) -> Bool[Array, ""]:
        return (jnp.abs(point[0] - start[0]) <= jnp.pi) & (owner(point, modes) == number)

    # the chain may have gone round the circle: back to the turn of its mode
    points = chain.points.at[:, 0].set(start[0] + wrap(chain.points[:, 0] - start[0]))
    own = jax.vmap(inside)(points).astype(points.dtype)
    scale = jnp.sqrt((root**2).sum(1))
    found = log_evidence(target.log_joint, inside, points, own, scale, config.weighing, key=key)
    return Weighed(points, own, found, chain.diverging.mean(), _split(points[:, 0]))


def _split(values: Float[Array, " s"]) -> Float[Array, ""]:
    half = len(values) // 2
    return jnp.abs(values[:half].mean() - values[half:].mean()) / jnp.maximum(values.std(), 1e-12)


def mix(modes: Modes, chains: Weighed, bounds: Bounds, kept: int, *, key: Key[Array, ""]) -> Sampled:
    """Draws of all modes together: as many of each as it weighs, without replacement as far as they go.

    Args:
        modes: (m, ...) where the chains started.
        chains: (m, ...) of each; what stands in places without a mode does not matter.
        bounds: of the encoder.
        kept: number of draws.
        key: source of randomness.
    """
    for_modes, for_rows = jax.random.split(key)
    there, own = modes.there, chains.own
    log_weights = jnp.where(there, chains.evidence.log_value, -jnp.inf)
    total = jax.nn.logsumexp(log_weights)
    # systematic: the counts of the modes differ from their shares by less than one
    u = (jnp.arange(kept) + jax.random.uniform(for_modes)) / kept
    weights = jnp.exp(log_weights - total)
    which = jnp.clip(jnp.searchsorted(jnp.cumsum(weights), u), 0, len(weights) - 1)
    rank = jnp.arange(kept) - jnp.searchsorted(which, which)  # number among its mode's draws
    order = jnp.argsort(jax.random.uniform(for_rows, own.shape) + 2 * (1 - own), axis=1)  # own draws first, shuffled
    row = rank % jnp.maximum(own.sum(1).astype(int)[which], 1)
    return Sampled(
        points=chains.points[which, order[which, row]],
        weights=weights,
        mode_angle=modes.points[:, 0],
        log_evidence=total,
        effective=chains.evidence.effective,
        diverging=jnp.where(there, chains.diverging, 0.0).sum() / there.sum(),
        split=jnp.where(there, chains.split, 0.0),
        bounds=bounds,
    )
