"""The network of a segmenter as pure functions."""

from __future__ import annotations

from rvaejax.nets import unet
from rvaejax.segmentation.config import SegmenterConfig


def network(config: SegmenterConfig) -> tuple[unet.Init, unet.Apply]:
    """The U-Net as `(init, apply)`; classes are the background and the species."""
    return unet.build(config.widths, 1 + len(config.species))
