"""The trained rVAE as a record. Imports no JAX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from rvaejax.rvae.config import RVAEConfig


class SeedScore(NamedTuple):
    """What one of several seeds came to.

    Attributes:
        seed: of its weights and its training.
        holdout_elbo: its evidence lower bound on held-out images [nat]; the highest is the model that was kept.
        angle_agreement: concentration of its angles' difference to the kept model's; 1 is perfect (see
            `rvaejax.rvae.seeds`).
        content_agreement: share of the content's variance that the two explain of each other.
    """

    seed: int
    holdout_elbo: float
    angle_agreement: float
    content_agreement: float


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
        cut: steps that the time budget or the patience cut off.
        seed: of the weights, the split and the training; the first, where there were several.
        best_step: step whose weights these are, where the best on held-out images were kept; None for the last step's.
        seeds: what each of several seeds came to; empty where there was one.
        target_scaling: (lo, hi) of the spectra that are drawn, mapped to 0 and 1; None where windows are drawn.
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
    best_step: int | None = None
    seeds: tuple[SeedScore, ...] = ()
    target_scaling: tuple[float, float] | None = None

    @property
    def ending(self) -> str:
        """How the training ended, in words to follow the number of its steps; empty where it took all of them."""
        cut = f", {self.cut} cut by the time budget or the patience" if self.cut else ""
        return cut + ("" if self.best_step is None else f", the best weights are those of step {self.best_step}")
