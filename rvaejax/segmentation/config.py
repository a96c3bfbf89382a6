"""What the segmenter is and how it is trained. Imports no JAX."""

from __future__ import annotations

from dataclasses import dataclass, field

from rvaejax.errors import ConfigError
from rvaejax.simulate.config import SPECIES, ImagingConfig, SheetConfig

CANONICAL_PX_NM = 0.02  # every frame is resampled to this pixel: a C-C bond is 7.1 px


@dataclass(frozen=True)
class SegmenterConfig:
    """The U-Net and its training.

    Attributes:
        widths: features of each level, the finest (2 x 2 px blocks) first.
        pixel_size_nm: the canonical pixel that images are resampled to.
        steps, batch_size: optimiser steps, and images simulated for each.
        learning_rate: Adam's, at its peak; it decays to a hundredth along a cosine.
        average: decay of the running average of the weights, which is what is kept.
        contrast_jitter: log-normal spread of the input's scale, so that the network does not rely on it.
        sheet, imaging: what the training images are drawn from.
    """

    widths: tuple[int, ...] = (32, 64, 96, 128)
    pixel_size_nm: float = CANONICAL_PX_NM
    steps: int = 5000
    batch_size: int = 8
    learning_rate: float = 1e-3
    average: float = 0.998
    contrast_jitter: float = 0.25
    sheet: SheetConfig = field(default_factory=SheetConfig)
    imaging: ImagingConfig = field(default_factory=ImagingConfig)

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1 or not self.widths:
            raise ConfigError("a segmenter needs at least one step, one image a step and one level")
        if abs(self.imaging.pixel_size_nm - self.pixel_size_nm) > 1e-9:
            raise ConfigError(
                f"training images have {self.imaging.pixel_size_nm} nm px, the segmenter {self.pixel_size_nm} nm"
            )

    @property
    def species(self) -> tuple[str, ...]:
        """Species in the order of the classes after the background."""
        return SPECIES
