"""What augmentation may do to an image. A pair (low, high) is a range that each image draws from. Imports no JAX."""

from __future__ import annotations

from dataclasses import dataclass

from rvaejax.errors import ConfigError
from rvaejax.simulate.config import Range

_NONE: Range = (0.0, 0.0)


@dataclass(frozen=True)
class AugmentConfig:
    """Augmentation of an image whose intensities run from about 0 to about 1 (an atom's peak).

    Attributes:
        rotate: turn by any angle.
        flip: mirror half of the images.
        scale_jitter: magnify by up to this share, or shrink.
        shear: standard deviation of the drift's shear, in each direction.
        wobble_px: slow to-and-fro of the rows during the scan, standard deviation [px]; labels follow.
        row_jitter_px: random shift of each row, standard deviation [px]; labels stay.
        blur_px: Gaussian blur, standard deviation [px].
        background: height of a smooth background.
        contamination_probability: chance of an amorphous patch.
        contamination: its brightness, too little to hide atoms.
        contrast: log-normal spread of the intensity scale.
        gamma: exponent of the intensity scale.
        counts: electrons at an atom's peak, drawn log-uniformly; None for no counting noise.
        readout: Gaussian noise, standard deviation.
    """

    rotate: bool = True
    flip: bool = True
    scale_jitter: float = 0.1
    shear: float = 0.01
    wobble_px: Range = (0.0, 0.7)
    row_jitter_px: Range = (0.0, 0.3)
    blur_px: Range = (0.0, 1.0)
    background: Range = (0.0, 0.7)
    contamination_probability: float = 0.2
    contamination: Range = (0.3, 1.5)
    contrast: float = 0.2
    gamma: Range = (0.75, 1.3)
    counts: Range | None = (4.0, 400.0)
    readout: Range = (0.0, 0.1)

    def __post_init__(self) -> None:
        for name in ("wobble_px", "row_jitter_px", "blur_px", "background", "contamination", "gamma", "readout"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise ConfigError(f"{name}: the range ({low}, {high}) must go from low to high, and not below 0")
        if not 0 <= self.scale_jitter < 0.5:
            raise ConfigError(f"scale_jitter must lie between 0 and 0.5, got {self.scale_jitter}")
        if not 0 <= self.contamination_probability <= 1:
            raise ConfigError(f"contamination_probability must lie in [0, 1], got {self.contamination_probability}")
        if min(self.shear, self.contrast) < 0 or not self.gamma[0] > 0:
            raise ConfigError("shear and contrast must not be negative, and gamma must be positive")
        if self.counts is not None and not 0 < self.counts[0] <= self.counts[1]:
            raise ConfigError(f"counts: the range {self.counts} must be positive and go from low to high")

    @classmethod
    def none(cls) -> AugmentConfig:
        """Everything off: the image as it is."""
        return cls(
            rotate=False, flip=False, scale_jitter=0.0, shear=0.0, wobble_px=_NONE, row_jitter_px=_NONE, blur_px=_NONE,
            background=_NONE, contamination_probability=0.0, contrast=0.0, gamma=(1.0, 1.0), counts=None, readout=_NONE,
        )  # fmt: skip
