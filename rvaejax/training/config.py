"""Options of the training loop. Imports no JAX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rvaejax.errors import ConfigError


@dataclass(frozen=True)
class TrainingConfig:
    """How long, how fast, and how often to look and to save.

    Attributes:
        steps: optimiser steps; fewer are taken where a time budget ends sooner.
        batch_size: examples per step.
        learning_rate: of Adam, at its highest.
        schedule: "constant", or "cosine" from the learning rate down to 1 % of it at the last step.
        warmup: steps over which the learning rate rises from 0.
        clip: largest global norm of the gradient; None for no limit.
        holdout: share of the examples kept for testing.
        piece: steps per compiled call; the host reports, stops and saves between calls.
        evaluate_every: steps between evaluations on the held-out examples; more in a limited time where they are slow.
        save_seconds: seconds between checkpoints.
        keep: number of checkpoints to keep.
        scan: a piece is one compiled scan over its steps; otherwise its steps are compiled calls, one after the
            other: XLA's convolutions on a CPU are many times slower inside a scan (measured: 17 times).
        average: decay of a running average of the parameters, which is then what is evaluated; None for none.
        patience: evaluations without a better score after which the training ends; None for no early end.
    """

    steps: int = 4000
    batch_size: int = 128
    learning_rate: float = 1e-3
    schedule: Literal["constant", "cosine"] = "cosine"
    warmup: int = 0
    clip: float | None = None
    holdout: float = 0.25
    piece: int = 10
    evaluate_every: int = 200
    save_seconds: float = 30.0
    keep: int = 2
    scan: bool = True
    average: float | None = None
    patience: int | None = None

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "learning_rate", "piece", "evaluate_every", "save_seconds", "keep"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}={getattr(self, name)!r} makes no sense: it must be positive")
        if self.warmup < 0:
            raise ConfigError(f"warmup={self.warmup!r} makes no sense: it must not be negative")
        if self.clip is not None and not self.clip > 0:
            raise ConfigError(f"clip={self.clip!r} makes no sense: it must be positive, or null for none")
        if self.average is not None and not 0 <= self.average < 1:
            raise ConfigError(f"average={self.average!r} makes no sense: it must be at least 0 and below 1, or null")
        if self.patience is not None and self.patience < 1:
            raise ConfigError(f"patience={self.patience!r} makes no sense: it must be at least 1, or null")
        if not 0 <= self.holdout < 1:
            raise ConfigError(f"holdout={self.holdout!r} makes no sense: it must be at least 0 and below 1")
        if self.schedule not in ("constant", "cosine"):
            raise ConfigError(f"schedule={self.schedule!r} is not one of constant, cosine")
