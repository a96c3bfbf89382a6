"""What the segmenter is and how it is trained. Imports no JAX."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from rvaejax.errors import ConfigError
from rvaejax.simulate.augment.config import AugmentConfig
from rvaejax.simulate.config import SPECIES, ImagingConfig, Range, SheetConfig
from rvaejax.training.config import TrainingConfig

CANONICAL_PX_NM = 0.02  # every frame is resampled to this pixel: a C-C bond is 7.1 px
LossName = Literal["cross-entropy", "focal", "dice"]
Monitor = Literal["f1", "loss"]


@dataclass(frozen=True)
class ValidationConfig:
    """How the segmenter is tested while it is trained, on images that it never learns from.

    Attributes:
        images: number of simulated images.
        size_px, pixel_size_nm: their size and pixel, which need not be the canonical one.
        counts: their doses [electrons per pixel at a C atom's peak], drawn log-uniformly.
        every: steps between evaluations.
        monitor: what decides which weights are kept: "f1", of which 0.0001 outweighs a position error of 1 pm, or
            "loss".
        patience: evaluations without a better result after which the training ends; null for no early end.
        pairs_holdout: share of the user's pairs that is held out.
    """

    images: int = 16
    size_px: int = 160
    pixel_size_nm: float = 0.016
    counts: Range = (5.0, 200.0)
    every: int = 250
    monitor: Monitor = "f1"
    patience: int | None = 20
    pairs_holdout: float = 0.2

    def __post_init__(self) -> None:
        if self.images < 1 or self.size_px < 64 or self.every < 1:
            raise ConfigError("validation needs at least one image, of at least 64 px, and at least one step between")
        if not 0 < self.counts[0] <= self.counts[1]:
            raise ConfigError(f"counts: the range {self.counts} must be positive and go from low to high")
        if self.monitor not in get_args(Monitor):
            raise ConfigError(f"monitor={self.monitor!r} is not one of {', '.join(get_args(Monitor))}")
        if not 0 < self.pairs_holdout < 1:
            raise ConfigError(f"pairs_holdout must lie between 0 and 1, got {self.pairs_holdout}")


@dataclass(frozen=True)
class SegmenterConfig:
    """The U-Net and its training.

    Attributes:
        widths: features of each level, the finest (2 x 2 px blocks) first.
        pixel_size_nm: the canonical pixel that images are resampled to.
        species: the classes after the background; other species than the simulator's need the user's own images.
        steps, batch_size: optimiser steps, and images for each.
        learning_rate: Adam's, at its peak; it decays to a hundredth along a cosine.
        warmup: steps over which it rises from 0.
        average: decay of the running average of the weights, which is what is kept.
        loss: "cross-entropy", "focal" or "dice".
        focal_gamma: exponent of the focal loss.
        class_weights: weight of the background and of each species in the loss; null for 1 each.
        contrast_jitter: log-normal spread of the input's scale, so that the network does not rely on it.
        pairs_fraction: share of each batch that comes from the user's pairs, where there are any; the rest is
            simulated, so that what the weights knew is not forgotten.
        sheet, imaging: what the simulated images are drawn from.
        augment: what is done to the user's images.
        validation: how it is tested while it is trained.
    """

    widths: tuple[int, ...] = (32, 64, 96, 128)
    pixel_size_nm: float = CANONICAL_PX_NM
    species: tuple[str, ...] = SPECIES
    steps: int = 5000
    batch_size: int = 8
    learning_rate: float = 1e-3
    warmup: int = 100
    average: float = 0.998
    loss: LossName = "cross-entropy"
    focal_gamma: float = 2.0
    class_weights: tuple[float, ...] | None = None
    contrast_jitter: float = 0.25
    pairs_fraction: float = 0.5
    sheet: SheetConfig = field(default_factory=SheetConfig)
    imaging: ImagingConfig = field(default_factory=ImagingConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1 or not self.widths:
            raise ConfigError("a segmenter needs at least one step, one image a step and one level")
        if abs(self.imaging.pixel_size_nm - self.pixel_size_nm) > 1e-9:
            raise ConfigError(
                f"training images have {self.imaging.pixel_size_nm} nm px, the segmenter {self.pixel_size_nm} nm"
            )
        if self.loss not in get_args(LossName):
            raise ConfigError(f"loss={self.loss!r} is not one of {', '.join(get_args(LossName))}")
        if not 0 < self.pairs_fraction <= 1:
            raise ConfigError(f"pairs_fraction must be above 0 and at most 1, got {self.pairs_fraction}")
        if not self.species or len(set(self.species)) != len(self.species):
            raise ConfigError(f"species must name at least one, each once, got {', '.join(self.species) or 'none'}")
        weights = self.loss_weights
        if len(weights) != 1 + len(self.species) or min(weights) < 0 or not sum(weights):
            raise ConfigError(
                f"class_weights must be {1 + len(self.species)} numbers, not negative (the background, "
                f"{', '.join(self.species)}), got {self.class_weights}"
            )
        if self.focal_gamma != 0 and not self.focal_gamma >= 1:
            raise ConfigError(f"focal_gamma must be 0, or at least 1 for a finite gradient, got {self.focal_gamma}")
        self.training  # noqa: B018  the rest is checked there

    @property
    def loss_weights(self) -> tuple[float, ...]:
        """The classes' weights in the loss, written out."""
        return (1.0,) * (1 + len(self.species)) if self.class_weights is None else self.class_weights

    @property
    def pairs_per_batch(self) -> int:
        """Images of a batch that come from the user's pairs, where there are any."""
        return min(self.batch_size, max(1, round(self.pairs_fraction * self.batch_size)))

    @property
    def training(self) -> TrainingConfig:
        """The options of the training loop."""
        return TrainingConfig(
            steps=self.steps,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            warmup=min(self.warmup, self.steps // 10 + 1),
            clip=1.0,
            evaluate_every=self.validation.every,
            scan=False,
            average=self.average,
            patience=self.validation.patience,
        )
