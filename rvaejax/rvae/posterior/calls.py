"""The sampling of posteriors as short compiled calls: chains run only where there are modes, and signals are heeded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, Key, PyTree

from rvaejax.rvae.posterior import mixed, modes, nuts
from rvaejax.rvae.posterior.bounds import encoder_bounds
from rvaejax.rvae.posterior.climb import Peak, climb
from rvaejax.rvae.posterior.config import NutsConfig
from rvaejax.rvae.posterior.mixed import Sampled, Weighed
from rvaejax.rvae.posterior.modes import Modes
from rvaejax.rvae.posterior.nuts import Chain, Where
from rvaejax.rvae.posterior.spread import each, lanes
from rvaejax.rvae.posterior.target import Target

_CLIMBS, _STEPS = 12, 25  # climbs, and steps of a chain, in a call
_FIRST, _LAST = 8, 22  # steps of all climbs, and of the best of those that have not arrived by then


class Calls(NamedTuple):
    """What is compiled: functions of (shared, of_one, ...), each argument but the first with an axis of examples.

    Attributes:
        starts: `(shared, of_one, keys) -> (e, c, n)`, see `modes.starts`.
        bounds: `(shared, of_one, keys) -> Bounds`.
        ascend: `(shared, of_one, starts, steps) -> Peak`, steps (e,).
        choose: `(shared, of_one, peaks) -> Modes`.
        begin: `(shared, of_one, start, root, keys) -> HMCState`.
        advance: `(shared, of_one, start, root, state) -> (HMCState, Chain)`, some steps.
        weigh: `(shared, of_one, modes, number, chain, keys) -> Weighed`.
        mix: `(modes, chains, bounds, *, key) -> Sampled`, one key for each example.
    """

    starts: Callable[..., Array]
    bounds: Callable[..., Any]
    ascend: Callable[..., Any]
    choose: Callable[..., Modes]
    begin: Callable[..., Any]
    advance: Callable[..., Any]
    weigh: Callable[..., Weighed]
    mix: Callable[..., Sampled]


def compiled(target: Callable[[PyTree, PyTree], Target], config: NutsConfig) -> Calls:
    """The calls for the densities `target(shared, of_one)`."""

    def call(function: Callable[..., Any]) -> Callable[..., Any]:
        def apply(shared: PyTree, *rows: PyTree) -> Any:
            return each(lambda of_one, *further: function(target(shared, of_one), *further), *rows)

        return jax.jit(apply)

    def advance(t, start, root, state):
        return nuts.advance(Where(t.log_joint, start, root), config, state, _STEPS)

    return Calls(
        starts=call(lambda t, key: modes.starts(t, config.climbs, key=key)),
        bounds=call(lambda t, key: encoder_bounds(t, config.particles, key=key)),
        ascend=call(lambda t, starts, steps: each(lambda start: climb(t.expand, start, steps), starts)),
        choose=call(lambda t, peaks: modes.choose(t, peaks, config.modes)),
        begin=call(lambda t, start, root, key: nuts.begin(Where(t.log_joint, start, root), config, key=key)),
        advance=call(advance),
        weigh=call(lambda t, found, number, chain, key: mixed.weigh(t, found, number, chain, config, key=key)),
        mix=jax.jit(
            jax.vmap(lambda found, chains, bounds, key: mixed.mix(found, chains, bounds, config.kept, key=key))
        ),
    )


Heed = Callable[[], None]
"""Called after each compiled call; it may raise to end the sampling."""


def sample(
    calls: Calls,
    config: NutsConfig,
    shared: PyTree,
    of_each: PyTree,
    heed: Heed = lambda: None,
    *,
    keys: Key[Array, " e"],
) -> Sampled:
    """The posteriors of some examples: a chain in each mode, weighted by the evidence of its part of the space.

    Args:
        calls: compiled for the densities.
        config: options.
        shared: of all examples.
        of_each: of each example, with an axis of them.
        heed: called after each compiled call.
        keys: sources of randomness.
    """
    for_starts, for_chains, for_draws, for_bounds = jax.vmap(lambda key: jax.random.split(key, 4), out_axes=1)(keys)
    tried = _done(calls.starts(shared, of_each, for_starts), heed)
    peaks = _ascended(calls, shared, of_each, tried, _FIRST, heed)
    on_the_way = jnp.argsort(jnp.where(peaks.arrived, jnp.inf, -peaks.value), axis=1)[:, : -(-config.climbs // 2)]
    left = jnp.take_along_axis(peaks.point, on_the_way[..., None], axis=1)
    further = _ascended(calls, shared, of_each, left, _LAST, heed)
    placed_at = jnp.arange(len(keys))[:, None], on_the_way
    peaks = jax.tree.map(lambda old, new: old.at[placed_at].set(new), peaks, further)
    found = calls.choose(shared, of_each, peaks)
    jobs = np.argwhere(np.asarray(found.there))
    size = lanes()
    groups = [np.resize(jobs[i : i + size], (size, 2)) for i in range(0, len(jobs), size)]
    chains = [_weighed(calls, config, shared, of_each, found, group, heed, for_chains) for group in groups]
    one_after_the_other = jax.tree.map(lambda *v: np.concatenate(v)[: len(jobs)], *chains)

    def in_place(values: np.ndarray) -> np.ndarray:
        out = np.zeros((*found.there.shape, *values.shape[1:]), values.dtype)
        out[tuple(jobs.T)] = values
        return out

    placed = jax.tree.map(in_place, one_after_the_other)
    return calls.mix(found, placed, calls.bounds(shared, of_each, for_bounds), key=for_draws)


def _done(value: Any, heed: Heed) -> Any:
    """The value once it is there: the next call is not queued behind it before signals are looked at."""
    value = jax.block_until_ready(value)
    heed()
    return value


def _ascended(
    calls: Calls, shared: PyTree, of_each: PyTree, starts: Float[Array, "e c n"], steps: int, heed: Heed
) -> Peak:
    """The maxima that are reached from some points of each example."""
    size = min(_CLIMBS, starts.shape[1])
    parts = [starts[:, i : i + size] for i in range(0, starts.shape[1], size)]
    count = jnp.full(len(starts), steps)
    found = [_done(calls.ascend(shared, of_each, part, count), heed) for part in parts]
    return jax.tree.map(lambda *v: jnp.concatenate(v, axis=1), *found)


def _weighed(
    calls: Calls,
    config: NutsConfig,
    shared: PyTree,
    of_each: PyTree,
    found: Modes,
    group: Integer[np.ndarray, "l 2"],
    heed: Heed,
    keys: Key[Array, " e"],
) -> Weighed:
    """The chains of some modes, given as numbers of example and of mode, and what these weigh."""
    example, mode = group.T
    of_one, own = jax.tree.map(lambda v: v[example], (of_each, found))
    start, root = found.points[example, mode], found.roots[example, mode]
    own_keys = jax.vmap(jax.random.fold_in)(keys[example], mode)
    for_chain, for_weight = jax.vmap(jax.random.split, out_axes=1)(own_keys)
    state, pieces = calls.begin(shared, of_one, start, root, for_chain), []
    for _ in range(0, config.warmup + config.draws, _STEPS):
        state, piece = _done(calls.advance(shared, of_one, start, root, state), heed)
        pieces.append(piece)
    kept = slice(config.warmup, config.warmup + config.draws)
    chain: Chain = jax.tree.map(lambda *v: jnp.concatenate(v, axis=1)[:, kept], *pieces)
    return calls.weigh(shared, of_one, own, mode, chain, for_weight)
