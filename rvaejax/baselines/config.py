"""Options of the baselines, one frozen dataclass per method. Imports no JAX."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rvaejax.nets.config import check
from rvaejax.training.config import TrainingConfig


@dataclass(frozen=True)
class PCA:
    """Principal components of the pixels.

    Attributes:
        components: how many.
    """

    components: int = 9

    def __post_init__(self) -> None:
        check(self.components > 0, "components", self.components, "positive")


@dataclass(frozen=True)
class NMF:
    """Non-negative matrix factorisation of the pixels; negative ones count as 0.

    Attributes:
        components: how many.
        iterations: most iterations.
        rows: sub-images that the factors are learned from, drawn at random.
    """

    components: int = 9
    iterations: int = 300
    rows: int = 10_000

    def __post_init__(self) -> None:
        for name in ("components", "iterations", "rows"):
            check(getattr(self, name) > 0, name, getattr(self, name), "positive")


@dataclass(frozen=True)
class GMM:
    """Mixture of Gaussians of the pixels.

    Attributes:
        classes: how many Gaussians.
        covariance: "diag" or "full".
        largest: numbers per sub-image (pixels times channels) up to which the pixels are clustered as they are; larger
            windows are first reduced to `reduced` principal components, and the result says so.
        reduced: principal components of large windows.
        rows: sub-images that the mixture is learned from, drawn at random.
        starts: of the fit, each of which ends in a maximum of its own; the likeliest is kept.
    """

    classes: int = 9
    covariance: Literal["diag", "full"] = "diag"
    largest: int = 1200
    reduced: int = 50
    rows: int = 20_000
    starts: int = 1

    def __post_init__(self) -> None:
        for name in ("classes", "largest", "reduced", "rows", "starts"):
            check(getattr(self, name) > 0, name, getattr(self, name), "positive")
        check(self.reduced <= 50, "reduced", self.reduced, "at most 50")
        check(self.covariance in ("diag", "full"), "covariance", self.covariance, "diag or full")


_PAPER = TrainingConfig(steps=3000, batch_size=100, learning_rate=1e-3, schedule="constant", holdout=0.0)


@dataclass(frozen=True)
class ConvAutoencoder:
    """The paper's: two 3x3 convolutions of 32 and 64 filters, stride 2, ReLU, mirrored; 2 latents; squared error.

    Attributes:
        filters: of each convolution.
        latents: numbers that an image is compressed to.
        training: Adam 1e-3.
    """

    filters: tuple[int, ...] = (32, 64)
    latents: int = 2
    training: TrainingConfig = field(default=_PAPER)

    def __post_init__(self) -> None:
        check(len(self.filters) > 0 and min(self.filters) > 0, "filters", self.filters, "one positive number a layer")
        check(self.latents > 0, "latents", self.latents, "positive")


@dataclass(frozen=True)
class PlainVAE:
    """A variational autoencoder without angle and shift: the paper's fully connected layers, half the squared error.

    Attributes:
        hidden: neurons of each layer of the encoder, and of the decoder.
        latents: numbers that an image is compressed to.
        training: Adam 1e-3.
    """

    hidden: tuple[int, ...] = (128, 128)
    latents: int = 2
    training: TrainingConfig = field(default=_PAPER)

    def __post_init__(self) -> None:
        check(len(self.hidden) > 0 and min(self.hidden) > 0, "hidden", self.hidden, "one positive number a layer")
        check(self.latents > 0, "latents", self.latents, "positive")


Baseline = PCA | NMF | GMM | ConvAutoencoder | PlainVAE
