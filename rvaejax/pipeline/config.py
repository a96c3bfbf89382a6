"""Options of a whole run. Imports no JAX."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from rvaejax.atoms.config import WindowConfig
from rvaejax.errors import ConfigError
from rvaejax.rvae.config import preset


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
        preset(self.preset)
        WindowConfig(window_nm=self.window_nm, source=self.source)
        if not (math.isfinite(self.max_seconds) and self.max_seconds > 0):
            raise ConfigError(f"--max-seconds must be positive, got {self.max_seconds:g}")
        if self.steps is not None and self.steps < 1:
            raise ConfigError(f"--steps must be at least 1, got {self.steps}")
        if self.seed < 0:
            raise ConfigError(f"--seed must not be negative, got {self.seed}")
