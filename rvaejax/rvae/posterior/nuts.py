"""A chain of NumPyro's no-U-turn sampler on a density of a vector."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
from jaxtyping import Array, Bool, Float, Key
from numpyro.infer.hmc import hmc

from rvaejax.rvae.posterior.config import NutsConfig


class Chain(NamedTuple):
    """The kept steps of a chain.

    Attributes:
        points: (s, n) where it was.
        diverging: (s,) which steps diverged.
    """

    points: Float[Array, "s n"]
    diverging: Bool[Array, " s"]


def run_chain(
    log_density: Callable[[Float[Array, " n"]], Float[Array, ""]],
    start: Float[Array, " n"],
    root: Float[Array, "n n"],
    config: NutsConfig,
    *,
    key: Key[Array, ""],
) -> Chain:
    """A chain from `start`, in units of `root` (of a covariance); warm-up adapts step size and dense metric."""
    init, step = hmc(lambda y: -log_density(start + root @ y), algo="NUTS")
    state = init(
        0 * start,
        num_warmup=config.warmup,
        step_size=0.3,
        dense_mass=True,
        max_tree_depth=config.depth,
        rng_key=key,
    )

    def body(state, _):
        state = step(state)
        return state, Chain(start + root @ state.z, state.diverging)

    state, _ = jax.lax.scan(lambda s, _: (step(s), None), state, None, length=config.warmup)
    return jax.lax.scan(body, state, None, length=config.draws)[1]
