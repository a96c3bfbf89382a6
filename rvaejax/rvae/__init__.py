"""The rotationally invariant variational autoencoder. What needs JAX is loaded when asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from rvaejax.rvae.config import PRESETS, RVAEConfig, preset
from rvaejax.rvae.record import TrainedRVAE

_LAZY = {
    "decode": "inference",
    "encode": "inference",
    "load_model": "storage",
    "save_model": "storage",
    "train": "model",
}
__all__ = ["PRESETS", "RVAEConfig", "TrainedRVAE", "preset", *_LAZY]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
