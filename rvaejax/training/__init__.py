"""Training that knows no model: state, compiled loop, checkpoints, signals. What needs JAX is loaded when asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from rvaejax.training.config import TrainingConfig
from rvaejax.training.interrupt import Interrupted, catch_signals

_LAZY = {
    "FitResult": "loop",
    "Report": "loop",
    "TrainState": "state",
    "fit": "loop",
    "random_rows": "state",
    "restore": "checkpoints",
    "save": "checkpoints",
}
__all__ = ["Interrupted", "TrainingConfig", "catch_signals", *_LAZY]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
