"""Options of a whole run. Imports no JAX."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from rvaejax.atoms.config import WindowConfig
from rvaejax.errors import ConfigError
from rvaejax.rvae.config import preset


def check_seed(seed: int) -> None:
    """Raises `ConfigError` unless the number can seed every generator in use."""
    if not 0 <= seed < 2**32:
        raise ConfigError(f"--seed must lie between 0 and {2**32 - 1}, got {seed}")


def check_training(preset_name: str, steps: int | None, max_seconds: float | None, seed: int) -> None:
    """Raises `ConfigError` unless a training can have these options."""
    preset(preset_name)
    if max_seconds is not None and not (math.isfinite(max_seconds) and max_seconds > 0):
        raise ConfigError(f"--max-seconds must be positive, got {max_seconds:g}")
    if steps is not None and steps < 1:
        raise ConfigError(f"--steps must be at least 1, got {steps}")
    check_seed(seed)


@dataclass(frozen=True)
class RunConfig:
    """Options of a run.

    Attributes:
        preset: of the rVAE: default, paper or paper-atomai.
        px_nm: pixel size [nm], where the file does not tell it; it wins over the file's where both are given.
        window_nm: side of the sub-images [nm]; 0.4 shows an atom's three neighbours, 1 the rings around it.
        source: what sub-images are cut from: the segmenter's probability maps, or the raw frames.
        steps: training steps; by default the preset's.
        max_seconds: seconds for everything; the training is shortened to keep to them, and the report says so.
        seed: the one source of randomness.
    """

    preset: str = "default"
    px_nm: float | None = None
    window_nm: float = 0.4
    source: Literal["maps", "frames"] = "maps"
    steps: int | None = None
    max_seconds: float = 900.0
    seed: int = 0

    def __post_init__(self) -> None:
        WindowConfig(window_nm=self.window_nm, source=self.source)
        check_training(self.preset, self.steps, self.max_seconds, self.seed)
