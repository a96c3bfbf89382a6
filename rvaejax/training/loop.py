"""The training loop on the host: compiled pieces, and between them reports, stops, saves and the time budget."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Key, PyTree

from rvaejax.errors import ConfigError
from rvaejax.training import devices
from rvaejax.training.best import Best, Keeper
from rvaejax.training.config import TrainingConfig
from rvaejax.training.interrupt import Interrupted
from rvaejax.training.state import BatchFn, LossFn, TrainState, init_state, make_piece, random_rows

_EVALUATING = 0.1  # share of a limited time that evaluations may take which nothing depends on


class Report(NamedTuple):
    """What the loop tells after each piece.

    Attributes:
        step: steps done.
        horizon: steps that will be done, as far as is known now.
        seconds: since the loop began.
        metrics: means over the piece; held-out ones, prefixed `holdout_`, only after an evaluation.
    """

    step: int
    horizon: int
    seconds: float
    metrics: dict[str, float]


class FitResult(NamedTuple):
    """A finished training.

    Attributes:
        state: the last one.
        history: all reports.
        cut: steps that the time budget or the patience cut off.
        best: the best parameters, where there was a score to tell; else None.
    """

    state: TrainState
    history: list[Report]
    cut: int
    best: Best | None = None


class Budget:
    """Turns a deadline into the step at which the schedule has to end, and says which evaluations it has time for.

    The first piece compiles and is not counted; the rate is that of the pieces since, the recent ones counting more,
    because the machine may be shared. Evaluations to come are expected to take as long as the last one did, or a third
    of the first, which compiles; the first as long as the first piece, which compiles too, but at most a quarter of the
    whole time: a guess ends no training.

    Args:
        deadline: `time.monotonic()` by which to be done, or None.
        steps: to take at most.
        every: steps between evaluations; 0 for none.
        needed: all of them are, whatever they take; otherwise those that would take more than a tenth of the time since
            the beginning are left out.
    """

    def __init__(self, deadline: float | None, steps: int, every: int, needed: bool):
        self.deadline, self.steps, self.every, self.needed = deadline, steps, every, needed
        self.began, self.pieces, self.seconds_per_step = time.monotonic(), 0, math.nan
        self.evaluation, self.evaluating = 0.0, 0.0

    def evaluated(self, seconds: float) -> None:
        """Books an evaluation."""
        self.evaluation = seconds if self.evaluating else seconds / 3
        self.evaluating += seconds

    def affords(self) -> bool:
        """Whether there is time for an evaluation that is due."""
        if self.deadline is None or self.needed:
            return True
        return self.evaluating + self.evaluation <= _EVALUATING * (time.monotonic() - self.began)

    def horizon(self, step: int, taken: int, seconds: float) -> int:
        """The step to end at, after a piece of `taken` steps up to `step` that took `seconds`."""
        self.pieces += 1
        if self.deadline is None:
            return self.steps
        left = self.deadline - time.monotonic()
        if self.pieces == 1 and self.every and not self.evaluating:
            self.evaluation = min(seconds, 0.25 * (self.deadline - self.began))
        if left <= (self.evaluation if self.evaluating else 0):
            return step
        if self.pieces == 1 or not taken:
            return self.steps
        old, new = self.seconds_per_step, seconds / taken
        self.seconds_per_step = new if math.isnan(old) else 0.9 * old + 0.1 * new
        rate = self.seconds_per_step
        if self.every:
            regular = rate + self.evaluation / self.every
            rate = regular if self.needed else min(regular, rate / (1 - _EVALUATING))
        return max(step, min(self.steps, step + int(max(left - self.evaluation, 0.0) / rate)))


class Saver:
    """Saves the state into a folder when some seconds have passed since the last time, or when told to."""

    def __init__(self, folder: Path | None, config: TrainingConfig):
        self.folder, self.config = folder, config
        self.saved = time.monotonic()

    def __call__(self, state: TrainState, now: bool) -> None:
        """Saves if it is time to, or `now`."""
        if self.folder is None or not (now or time.monotonic() - self.saved > self.config.save_seconds):
            return
        from rvaejax.training import checkpoints  # Orbax takes a second to import: only where states are saved

        checkpoints.save_step(self.folder, int(state.step), state, self.config.keep)
        self.saved = time.monotonic()


def fit(
    loss_fn: LossFn,
    params: PyTree,
    data: PyTree,
    config: TrainingConfig,
    *,
    key: Key[Array, "*m"],
    batch_fn: BatchFn | None = None,
    evaluate: Callable[[PyTree], dict[str, float]] | None = None,
    score: Callable[[dict[str, float]], float] | None = None,
    better: Callable[[Best], None] = lambda _: None,
    checkpoint_dir: Path | None = None,
    resume: bool = False,
    deadline: float | None = None,
    report: Callable[[Report], None] = lambda _: None,
    should_stop: Callable[[], int] = lambda: 0,
    mesh: Mesh | None = None,
) -> FitResult:
    """Minimises `loss_fn` with Adam.

    Without a deadline the result depends only on the arguments up to `score`: neither on the machine's speed nor
    on interruptions that were resumed.

    Args:
        loss_fn: `(params, batch, key) -> (loss, metrics)`.
        params: initial parameters.
        data: pytree of arrays, put on the device once.
        config: steps, batch size, learning rate and so on.
        key: source of all randomness, folded with each step's number; or one for each member of a loss of several,
            which is then given as many keys, and so is `batch_fn`.
        batch_fn: `(data, *, key, step) -> batch`, compiled into the step; default: random rows of `data`.
        evaluate: `params -> held-out metrics`, of the averaged parameters where the config asks for an average.
        score: held-out metrics to a number; the parameters for which it is highest are kept, those at the start
            being evaluated too, and `config.patience` counts from there.
        better: called with the best parameters each time that there are better ones.
        checkpoint_dir: folder for the states; None to save none.
        resume: continue from the last state in the folder, if there is one.
        deadline: `time.monotonic()` by which to be done; the schedule then ends there, and evaluations that nothing
            depends on, where there is no `score`, take no more than a tenth of the time, but for the last.
        report: called after every piece.
        should_stop: looked at after every piece; the number of a signal, or 0.
        mesh: the devices among which `batch_fn` divides the batch; None for one. What is returned is the first one's.

    Raises:
        Interrupted: `should_stop` said so; the state was saved first.
        ConfigError: the loss is not finite.
    """
    began = time.monotonic()
    data, key = devices.everywhere(data, mesh), devices.everywhere(key, mesh)
    state = devices.everywhere(_first_state(params, config, checkpoint_dir if resume else None), mesh)
    piece = make_piece(loss_fn, batch_fn or random_rows(config.batch_size), config, mesh)
    keeper = None if score is None else Keeper(state.kept, config, score, better, checkpoint_dir, resume)
    budget = Budget(deadline, config.steps, 0 if evaluate is None else config.evaluate_every, keeper is not None)
    save = Saver(checkpoint_dir, config)
    held_out = _evaluation(evaluate, keeper, budget)
    history: list[Report] = []
    horizon, step, every = config.steps, int(state.step), config.evaluate_every

    def tell(values: dict[str, float]) -> None:
        history.append(Report(step, horizon, time.monotonic() - began, values))
        report(history[-1])

    if keeper is not None and step == 0:
        tell(held_out(state, 0))
    while step < horizon and not (keeper is not None and keeper.exhausted(step)):
        before, start = step, time.monotonic()
        state, metrics = piece(state, data, key, jnp.asarray(horizon, jnp.int32))
        step = int(state.step)
        horizon = budget.horizon(step, step - before, time.monotonic() - start)
        state = state._replace(horizon=devices.everywhere(np.asarray(horizon, np.float32), mesh))
        values = _finite({name: float(value) for name, value in metrics.items()}, step)
        if step >= horizon or (step // every > before // every and budget.affords()):
            values |= held_out(state, step)
        tell(values)
        done = step >= horizon or (keeper is not None and keeper.exhausted(step))
        stop = 0 if done else int(should_stop())
        save(state, now=done or stop > 0)
        if stop:
            raise Interrupted(signal.SIGINT if stop == 1 else stop, step)  # 1: a plain `True`
    best = None if keeper is None else keeper.best
    if best is not None:
        best = best._replace(params=devices.gathered(best.params, mesh))
    state = devices.gathered(state, mesh)
    return FitResult(state, history, max(0, config.steps - step), best)


def _evaluation(
    evaluate: Callable[[PyTree], dict[str, float]] | None, keeper: Keeper | None, budget: Budget
) -> Callable[[TrainState, int], dict[str, float]]:
    """Held-out metrics of a state at a step, offered to the keeper and timed for the budget."""

    def held_out(state: TrainState, step: int) -> dict[str, float]:
        if evaluate is None:
            return {}
        start = time.monotonic()
        values = evaluate(state.kept)
        if keeper is not None:
            keeper.offer(state.kept, values, step)
        budget.evaluated(time.monotonic() - start)
        return {f"holdout_{name}": value for name, value in values.items()}

    return held_out


def _first_state(params: PyTree, config: TrainingConfig, folder: Path | None) -> TrainState:
    """A new state, or the last one saved in `folder`; its arrays are its own, because pieces consume them."""
    # One program instead of one for each array and shape: each takes a while to compile or to load.
    state = jax.jit(lambda given: init_state(jax.tree.map(jnp.copy, given), config))(params)
    if folder is None:
        return state
    from rvaejax.training import checkpoints

    found = checkpoints.restore_last(folder, state)
    # The horizon is not taken over: it may come from a time budget that no longer holds.
    return state if found is None else found._replace(horizon=state.horizon)


def _finite(values: dict[str, float], step: int) -> dict[str, float]:
    if not math.isfinite(values["loss"]):
        raise ConfigError(f"the loss is {values['loss']} at step {step}: lower the learning rate, or clip the gradient")
    return values
