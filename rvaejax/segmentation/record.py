"""The trained segmenter as a record. Imports no JAX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rvaejax.segmentation.config import SegmenterConfig


@dataclass(frozen=True, eq=False)
class Segmenter:
    """A trained segmenter: one network, or several of the same shape that are averaged.

    Attributes:
        config: what the networks are and how they were trained.
        members: the weights of each network.
    """

    config: SegmenterConfig
    members: tuple[Any, ...]
