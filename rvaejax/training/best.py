"""The best parameters so far, by a score on held-out examples, and the early end that they decide."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from rvaejax.training.config import TrainingConfig

FOLDER = "best"


class Best(NamedTuple):
    """Parameters of the best evaluation so far.

    Attributes:
        params: the parameters.
        score: their score, higher is better; minus infinity before the first evaluation.
        step: steps that they had been trained for.
    """

    params: PyTree
    score: float
    step: int


class Keeper:
    """Keeps the best parameters, in a folder too where there is one, so that a resumed training knows them.

    Args:
        params: parameters of the shapes to keep.
        config: its `patience` and `evaluate_every` decide the early end.
        score: metrics to a number, higher is better.
        better: called when there are better ones.
        folder: of the training's checkpoints, or None.
        resume: take over what the folder holds.
    """

    def __init__(
        self,
        params: PyTree,
        config: TrainingConfig,
        score: Callable[[dict[str, float]], float],
        better: Callable[[Best], None],
        folder: Path | None,
        resume: bool,
    ):
        self.config, self.score, self.better, self.folder = config, score, better, folder
        self.best = Best(params, -math.inf, 0)
        if resume and folder is not None and (folder / FOLDER).is_dir():
            from rvaejax.training import checkpoints

            found = checkpoints.restore(folder, FOLDER, _stored(self.best))
            self.best = Best(found.params, float(found.score), int(found.step))

    def offer(self, params: PyTree, metrics: dict[str, float], step: int) -> None:
        """Takes the parameters if their score is the best so far."""
        score = float(np.float32(self.score(metrics)))  # as it is stored
        if not score > self.best.score:
            return
        self.best = Best(jax.tree.map(jnp.copy, params), score, step)
        if self.folder is not None:
            from rvaejax.training import checkpoints

            checkpoints.save(self.folder, FOLDER, _stored(self.best))
        self.better(self.best)

    def exhausted(self, step: int) -> bool:
        """Whether as many evaluations as the patience allows have passed since the best one."""
        patience, every = self.config.patience, self.config.evaluate_every
        return patience is not None and step // every - self.best.step // every >= patience


def _stored(best: Best) -> Best:
    return Best(best.params, np.asarray(best.score, np.float32), np.asarray(best.step, np.int32))  # type: ignore[arg-type]
