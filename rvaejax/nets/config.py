"""Options of the encoders and decoders, one frozen dataclass per member of a family. Imports no JAX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rvaejax.errors import ConfigError

Precision = Literal["float32", "bfloat16"]


def check(ok: bool, name: str, value: object, must: str) -> None:
    """Raises `ConfigError` in one line unless `ok`."""
    if not ok:
        raise ConfigError(f"{name}={value!r} makes no sense: it must be {must}")


def check_precision(name: str) -> None:
    """Raises `ConfigError` unless it names a precision."""
    check(name in ("float32", "bfloat16"), "precision", name, "float32 or bfloat16")


@dataclass(frozen=True)
class MLPEncoder:
    """Fully connected encoder with tanh (the paper's); its angle posterior is one Gaussian on the line.

    Attributes:
        hidden: neurons per layer.
        layers: hidden layers.
        precision: numbers of the layers' products and activations; parameters and posterior are float32 anyway.
    """

    hidden: int = 128
    layers: int = 2
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        check(self.hidden > 0, "hidden", self.hidden, "positive")
        check(self.layers > 0, "layers", self.layers, "positive")
        check_precision(self.precision)


@dataclass(frozen=True)
class ConvEncoder:
    """Stacked 3x3 convolutions with stride 2 (the paper's choice for raw frames), then one dense layer.

    Attributes:
        filters: output channels of each convolution.
        hidden: neurons of the dense layer.
    """

    filters: tuple[int, ...] = (32, 64, 64)
    hidden: int = 128

    def __post_init__(self) -> None:
        check(len(self.filters) > 0 and min(self.filters) > 0, "filters", self.filters, "one positive number a layer")
        check(self.hidden > 0, "hidden", self.hidden, "positive")


@dataclass(frozen=True)
class PolarEncoder:
    """Equivariant encoder: a circular network on the window resampled onto (radius, angle).

    Attributes:
        orientations: samples of the angle, and bins of the orientation's posterior; a multiple of 4.
        hidden: features per orientation.
        layers: circular layers.
        harmonics: highest angular frequency that a circular layer mixes.
        radii: samples of the radius; None for one per pixel.
        standardise: the content is read from features at the scale that they have in the first images.
    """

    orientations: int = 64
    hidden: int = 64
    layers: int = 2
    harmonics: int = 16
    radii: int | None = None
    standardise: bool = False

    def __post_init__(self) -> None:
        n = self.orientations
        check(n >= 8 and n % 4 == 0, "orientations", n, "a multiple of 4, at least 8")
        check(self.hidden > 0, "hidden", self.hidden, "positive")
        check(self.layers > 0, "layers", self.layers, "positive")
        check(0 < self.harmonics < n // 2, "harmonics", self.harmonics, "between 1 and half the orientations")
        check(self.radii is None or self.radii > 1, "radii", self.radii, "at least 2, or null")


@dataclass(frozen=True)
class SpatialDecoder:
    """Fully connected decoder of one pixel from its rotated, shifted coordinates and the content (the paper's).

    Attributes:
        hidden: neurons per layer.
        layers: hidden layers.
        skip: the content enters every layer, not only the first (Dieng et al. 2019, arXiv:1807.04863), so that a
            strong decoder does not learn to leave it aside.
        precision: numbers of the layers' products and activations; coordinates, parameters and what is drawn are
            float32 anyway.
    """

    hidden: int = 128
    layers: int = 2
    skip: bool = False
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        check(self.hidden > 0, "hidden", self.hidden, "positive")
        check(self.layers > 0, "layers", self.layers, "positive")
        check_precision(self.precision)


@dataclass(frozen=True)
class FourierDecoder:
    """Band-limited decoder: a network turns the content into Fourier coefficients, evaluated at rotated coordinates.

    Attributes:
        cutoff: highest spatial frequency [cycles per pixel of the training windows].
        period: period of the lowest frequency [window widths]; more than the window's diagonal.
        max_modes: highest frequency along one axis, whatever the window [in units of the lowest].
        hidden: neurons per layer of the network from content to coefficients.
        layers: its hidden layers.
        skip: the content enters every layer of that network, the last included.
    """

    cutoff: float = 0.2
    period: float = 1.6
    max_modes: int = 20
    hidden: int = 64
    layers: int = 2
    skip: bool = False

    def __post_init__(self) -> None:
        check(0 < self.cutoff <= 0.5, "cutoff", self.cutoff, "above 0 and at most 0.5 cycles per pixel")
        check(self.period > 1.42, "period", self.period, "above the diagonal, 1.42 window widths")
        check(self.max_modes > 0, "max_modes", self.max_modes, "positive")
        check(self.hidden > 0, "hidden", self.hidden, "positive")
        check(self.layers > 0, "layers", self.layers, "positive")


Encoder = MLPEncoder | ConvEncoder | PolarEncoder
Decoder = SpatialDecoder | FourierDecoder
