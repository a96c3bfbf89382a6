"""A chain of NumPyro's no-U-turn sampler on a density of a vector, in pieces between which a signal is heeded."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
from jaxtyping import Array, Bool, Float, Key
from numpyro.infer.hmc import HMCState, hmc

from rvaejax.rvae.posterior.config import NutsConfig


class Chain(NamedTuple):
    """The kept steps of a chain.

    Attributes:
        points: (s, n) where it was.
        diverging: (s,) which steps diverged.
    """

    points: Float[Array, "s n"]
    diverging: Bool[Array, " s"]


class Where(NamedTuple):
    """The density that a chain is on, and its unit.

    Attributes:
        log_density: of a point.
        start: (n,) where the chain starts.
        root: (n, n) of the covariance that is its unit.
    """

    log_density: Callable[[Float[Array, " n"]], Float[Array, ""]]
    start: Float[Array, " n"]
    root: Float[Array, "n n"]


def begin(where: Where, config: NutsConfig, *, key: Key[Array, ""]) -> HMCState:
    """A chain before its first step."""
    return _kernel(where, config, key)[0]


def advance(where: Where, config: NutsConfig, state: HMCState, steps: int) -> tuple[HMCState, Chain]:
    """The chain so many steps on, and these; in the first `config.warmup` step size and dense metric are adapted."""
    _, step = _kernel(where, config, state.rng_key)  # its first state is not used: XLA leaves it out

    def body(state, _):
        state = step(state)
        return state, Chain(where.start + where.root @ state.z, state.diverging)

    return jax.lax.scan(body, state, None, length=steps)


def _kernel(where: Where, config: NutsConfig, key: Key[Array, ""]) -> tuple[HMCState, Callable[[HMCState], HMCState]]:
    init, step = hmc(lambda y: -where.log_density(where.start + where.root @ y), algo="NUTS")
    options = {"step_size": 0.3, "dense_mass": True, "max_tree_depth": config.depth}
    return init(0 * where.start, num_warmup=config.warmup, rng_key=key, **options), step
