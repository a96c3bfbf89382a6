"""The state of a training, and the compiled piece of steps that moves it on."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float, Integer, Key, PyTree, Scalar

from rvaejax.training import devices
from rvaejax.training.config import TrainingConfig

LossFn = Callable[[PyTree, PyTree, Key[Array, ""]], tuple[Scalar, dict[str, Scalar]]]
BatchFn = Callable[..., PyTree]


class TrainState(NamedTuple):
    """All that a resumed training needs besides its data, config and key.

    Attributes:
        params: the model's parameters.
        opt_state: Adam's moments.
        step: steps done.
        horizon: step at which the schedule ends; below the config's where a time budget ends sooner.
        average: running average of the parameters; None where the config asks for none.
    """

    params: PyTree
    opt_state: PyTree
    step: Integer[Array, ""]
    horizon: Float[Array, ""]
    average: PyTree = None

    @property
    def kept(self) -> PyTree:
        """The parameters to evaluate and to keep: the average where there is one."""
        return self.params if self.average is None else self.average


def optimiser(config: TrainingConfig) -> optax.GradientTransformation:
    """Adam's direction, before the learning rate (which depends on the horizon, known only at run time)."""
    adam = optax.scale_by_adam()
    return adam if config.clip is None else optax.chain(optax.clip_by_global_norm(config.clip), adam)


def init_state(params: PyTree, config: TrainingConfig) -> TrainState:
    """The state before the first step."""
    horizon = jnp.asarray(config.steps, jnp.float32)
    average = None if config.average is None else jax.tree.map(jnp.copy, params)
    return TrainState(params, optimiser(config).init(params), jnp.asarray(0, jnp.int32), horizon, average)


def averaged(average: PyTree, params: PyTree, step: Integer[Array, ""], decay: float) -> PyTree:
    """The running average after `step`; it forgets faster at first, so that it does not remember the initial values."""
    weight = 1 - jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    return jax.tree.map(lambda a, p: a + weight * (p - a), average, params)


def learning_rate(config: TrainingConfig, step: Integer[Array, ""], horizon: Float[Array, ""]) -> Float[Array, ""]:
    """The learning rate of `step`."""
    now = step.astype(jnp.float32)
    rise = jnp.minimum(1.0, (now + 1) / (config.warmup + 1))
    if config.schedule == "constant":
        return config.learning_rate * rise
    done = jnp.clip(now / horizon, 0.0, 1.0)
    return config.learning_rate * rise * (0.01 + 0.99 * 0.5 * (1 + jnp.cos(jnp.pi * done)))


def random_rows(batch_size: int) -> BatchFn:
    """A `batch_fn` that draws `batch_size` rows of every array in the data, with replacement."""

    def batch_fn(data: PyTree, *, key: Key[Array, ""], step: Integer[Array, ""]) -> PyTree:
        n = jax.tree.leaves(data)[0].shape[0]
        rows = jax.random.randint(key, (batch_size,), 0, n)
        return jax.tree.map(lambda x: x[rows], data)

    return batch_fn


class Piece(NamedTuple):
    """Result of one compiled call: the new state and the metrics' means over the steps that were taken."""

    state: TrainState
    metrics: dict[str, Scalar]


def _update(loss_fn: LossFn, config: TrainingConfig) -> Callable[..., tuple[TrainState, dict[str, Scalar]]]:
    """`update(state, batch, key) -> (state, metrics)`: one step of Adam, not compiled yet."""
    optimise = optimiser(config)

    def update(state: TrainState, batch: PyTree, key: Key[Array, ""]) -> tuple[TrainState, dict[str, Scalar]]:
        (loss, metrics), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params, batch, key)
        direction, opt_state = optimise.update(grads, state.opt_state)
        rate = learning_rate(config, state.step, state.horizon)
        params = jax.tree.map(lambda p, d: p - rate * d, state.params, direction)
        average = state.average
        if config.average is not None:
            average = averaged(average, params, state.step, config.average)
        return TrainState(params, opt_state, state.step + 1, state.horizon, average), {"loss": loss, **metrics}

    return update


def _keys(key: Key[Array, "*m"], step: Integer[Array, ""] | int) -> tuple[Key[Array, "*m"], Key[Array, "*m"]]:
    """A step's keys, for its batch and for its loss; of each member where there is a key for each."""
    if key.ndim:
        return jax.vmap(_keys, in_axes=(0, None))(key, step)
    for_batch, for_loss = jax.random.split(jax.random.fold_in(key, step))
    return for_batch, for_loss


@functools.lru_cache(maxsize=8)
def make_piece(
    loss_fn: LossFn, batch_fn: BatchFn, config: TrainingConfig, mesh: Mesh | None = None
) -> Callable[..., Piece]:
    """`piece(state, data, key, limit) -> Piece`: `config.piece` steps, none beyond step `limit`; compiled once.

    All of its arrays are where `devices.everywhere` puts them; `batch_fn` divides the batch.

    Randomness comes from `fold_in(key, step)` only, so that a step's outcome does not depend on the piece it is in.
    The state is donated: use the returned one. The same functions and config give the same compiled piece.
    """
    if not config.scan:
        return _one_by_one(loss_fn, batch_fn, config, mesh)
    update = _update(loss_fn, config)

    @functools.partial(jax.jit, inline=True)  # traced once for its shapes and for itself
    def step(state: TrainState, data: PyTree, key: Key[Array, ""]) -> tuple[TrainState, dict[str, Scalar]]:
        for_batch, for_loss = _keys(key, state.step)
        return update(state, batch_fn(data, key=for_batch, step=state.step), for_loss)

    def piece(state: TrainState, data: PyTree, key: Key[Array, ""], limit: Integer[Array, ""]) -> Piece:
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(step, state, data, key)[1])

        def body(state: TrainState, _: None) -> tuple[TrainState, tuple[dict[str, Scalar], Scalar]]:
            taken = state.step < limit
            state, metrics = jax.lax.cond(taken, lambda s: step(s, data, key), lambda s: (s, zeros), state)
            return state, (metrics, taken)

        state, (metrics, taken) = jax.lax.scan(body, state, None, length=config.piece)
        count = jnp.maximum(taken.sum(), 1)
        return Piece(state, jax.tree.map(lambda x: x.sum(0) / count, metrics))

    return devices.compiled(piece, mesh, donated=0)


def _one_by_one(loss_fn: LossFn, batch_fn: BatchFn, config: TrainingConfig, mesh: Mesh | None) -> Callable[..., Piece]:
    """The same piece as compiled calls, one a step; only at its end does the host wait for the device."""
    update = devices.compiled(_update(loss_fn, config), mesh, donated=0)
    make, keys = jax.jit(batch_fn), jax.jit(_keys)

    def piece(state: TrainState, data: PyTree, key: Key[Array, ""], limit: Integer[Array, ""]) -> Piece:
        first = int(state.step)
        collected = []
        for number in range(first, min(first + config.piece, int(limit))):
            step = jnp.asarray(number, jnp.int32)
            for_batch, for_loss = keys(key, step)
            state, metrics = update(state, make(data, key=for_batch, step=step), for_loss)
            collected.append(metrics)
        totals = jax.tree.map(lambda *values: sum(jax.device_get(values)) / len(collected), *collected)
        return Piece(state, totals)

    return piece
