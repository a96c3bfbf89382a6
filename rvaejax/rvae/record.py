"""The trained rVAE as a record. Imports no JAX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rvaejax.rvae.config import RVAEConfig


@dataclass(frozen=True, eq=False)
class TrainedRVAE:
    """A trained rVAE and all that is needed to use it.

    Attributes:
        config: its configuration.
        params: its parameters.
        image_shape: (h, w, c) of the windows that it was trained on.
        scaling: (lo, hi) intensities that were mapped to 0 and 1.
        order: the network's number of each reported content latent, largest mean divergence first.
        sign: +1 or -1 for each reported content latent, so that it rises with the window's mean intensity.
        content_kl: mean divergence of each reported content latent [nat].
        pixel_size_nm: size of a window's pixel [nm], or None.
        channels: names of the channels.
        history: one mapping per report: step, seconds, and the metrics' means.
        steps: optimiser steps done.
        cut: steps that the time budget cut off.
        seed: of the weights, the split and the training.
        angle_sd_factor: by which the posterior's standard deviation of the angle is multiplied before it is reported.
    """

    config: RVAEConfig
    params: Any
    image_shape: tuple[int, int, int]
    scaling: tuple[float, float]
    order: tuple[int, ...]
    sign: tuple[int, ...]
    content_kl: tuple[float, ...]
    pixel_size_nm: float | None
    channels: tuple[str, ...]
    history: tuple[Mapping[str, float], ...]
    steps: int
    cut: int
    seed: int
    angle_sd_factor: float = 1.0
