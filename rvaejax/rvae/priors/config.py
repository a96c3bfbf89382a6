"""Options of the priors that come with the package. Imports no JAX.

Of the rVAE's three latents: angle [rad, on the circle], shift [half windows], content [its own unit]. Priors with
`learn` start where their options say and are learned with the networks (empirical Bayes).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from rvaejax.nets.config import check
from rvaejax.rvae.priors.protocol import OwnPrior


@dataclass(frozen=True)
class GaussianAngle:
    """A Gaussian prior of the angle around 0.

    Against a Gaussian posterior both are taken on the line, as in the paper; otherwise it is wrapped onto the circle.

    Attributes:
        sd: its standard deviation [rad].
        mean_term: whether the divergence keeps the term with the squared mean; some public codes drop it.
    """

    sd: float = 0.1
    mean_term: bool = True

    def __post_init__(self) -> None:
        check(self.sd > 0, "sd", self.sd, "positive")


@dataclass(frozen=True)
class UniformAngle:
    """Every angle of the circle is as likely as any other."""


@dataclass(frozen=True)
class VonMisesAngle:
    """Density exp(k cos(N (angle - mean))) / (2 pi I0(k)): N equal modes, one where N is 1 (Mardia and Jupp 2000).

    Attributes:
        mean: direction of a mode [rad].
        concentration: k; a mode's standard deviation is about 1 / (N sqrt(k)).
        fold: N, the modes on the circle.
        learn: mean and concentration are learned.
    """

    mean: float = 0.0
    concentration: float = 4.0
    fold: int = 1
    learn: bool = False

    def __post_init__(self) -> None:
        check(self.concentration > 0, "concentration", self.concentration, "positive")
        check(self.fold >= 1, "fold", self.fold, "at least 1")


@dataclass(frozen=True)
class VonMisesMixtureAngle:
    """A mixture of von Mises densities.

    The two sublattices of a grain of graphene are two directions half a turn apart; of sites that repeat after a third
    of a turn, `means=(0, pi / 3), fold=3`.

    Attributes:
        means: directions of the modes [rad].
        concentration: of each at the start; a mode's standard deviation is about 1 / (fold sqrt(concentration)).
        weights: of the modes; None for equal ones.
        fold: each mode is repeated so many times on the circle.
        learn: whether directions, concentrations and weights are learned.
    """

    means: tuple[float, ...] = (0.0, math.pi)
    concentration: float = 8.0
    weights: tuple[float, ...] | None = None
    fold: int = 1
    learn: bool = True

    def __post_init__(self) -> None:
        check(self.fold >= 1, "fold", self.fold, "at least 1")
        check(len(self.means) > 0, "means", self.means, "one direction or more")
        check(self.concentration > 0, "concentration", self.concentration, "positive")
        fits = self.weights is None or (len(self.weights) == len(self.means) and min(self.weights) > 0)
        check(fits, "weights", self.weights, "one positive number for each of means, or null")


@dataclass(frozen=True)
class LearnedAngle:
    """An angle's density learned from the data: the exponential of a Fourier series, uniform at the start.

    Attributes:
        harmonics: highest angular frequency of the logarithm of the density.
        fold: only multiples of `fold` x the angle enter: the density is the same after 1 / fold of a turn.
    """

    harmonics: int = 12
    fold: int = 1

    def __post_init__(self) -> None:
        check(self.harmonics >= 1, "harmonics", self.harmonics, "at least 1")
        check(self.fold >= 1, "fold", self.fold, "at least 1")


@dataclass(frozen=True)
class HierarchicalAngle:
    """A Gaussian around 0, wrapped, whose width each sub-image draws from a log-normal; the width is integrated out.

    Attributes:
        median: of the width [rad].
        spread: standard deviation of the width's logarithm.
        learn: whether median and spread are learned.
    """

    median: float = 0.1
    spread: float = 1.0
    learn: bool = True

    def __post_init__(self) -> None:
        check(self.median > 0, "median", self.median, "positive")
        check(self.spread > 0, "spread", self.spread, "positive")


@dataclass(frozen=True)
class GaussianShift:
    """A Gaussian around 0, of the standard deviation `shift_scale` of the rVAE's options."""


@dataclass(frozen=True)
class DiscShift:
    """Uniform in a disc around the window's centre; no shift beyond it is possible.

    Attributes:
        radius: of the disc [half windows].
    """

    radius: float = 0.2

    def __post_init__(self) -> None:
        check(self.radius > 0, "radius", self.radius, "positive")


@dataclass(frozen=True)
class StandardNormal:
    """Independent latents of mean 0 and variance 1."""


@dataclass(frozen=True)
class NormalMixture:
    """A mixture of Gaussians with diagonal covariances: kinds of content that are more than places in a cloud.

    Attributes:
        components: their number.
        spread: standard deviation of the means at the start.
        sd: of each component at the start.
        learn: whether weights, means and widths are learned.
    """

    components: int = 8
    spread: float = 1.0
    sd: float = 0.5
    learn: bool = True

    def __post_init__(self) -> None:
        check(self.components >= 1, "components", self.components, "at least 1")
        check(self.spread > 0, "spread", self.spread, "positive")
        check(self.sd > 0, "sd", self.sd, "positive")


@dataclass(frozen=True)
class VampPrior:
    """The mixture of the posteriors of learned pseudo-images (Tomczak and Welling 2018, arXiv:1705.07120).

    Of the encoder's own posteriors, where an ascent follows it.

    Attributes:
        components: number of pseudo-images, of the windows' shape, at the start noise around half intensity.
    """

    components: int = 16

    def __post_init__(self) -> None:
        check(self.components >= 1, "components", self.components, "at least 1")


@dataclass(frozen=True)
class FlowPrior:
    """A normalising flow from a standard normal: affine couplings (Dinh et al. 2017, arXiv:1605.08803), learned.

    Attributes:
        layers: couplings, each on one half of the latents given the other.
        hidden: neurons of each coupling's network.
    """

    layers: int = 4
    hidden: int = 16

    def __post_init__(self) -> None:
        check(self.layers >= 2, "layers", self.layers, "at least 2, so that every latent is moved")
        check(self.hidden >= 1, "hidden", self.hidden, "positive")


@dataclass(frozen=True)
class StudentT:
    """Independent latents with Student's t density: heavy tails leave room for rare kinds far out.

    Attributes:
        dof: degrees of freedom; the fewer, the heavier the tails.
        scale: unit of the density.
    """

    dof: float = 4.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        check(self.dof > 0, "dof", self.dof, "positive")
        check(self.scale > 0, "scale", self.scale, "positive")


@dataclass(frozen=True)
class Laplace:
    """Independent latents with the density exp(-|z| / scale) / (2 scale).

    Attributes:
        scale: of the density; its variance is 2 scale^2.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        check(self.scale > 0, "scale", self.scale, "positive")


ANGLE_PRIORS = (GaussianAngle, UniformAngle, VonMisesAngle, VonMisesMixtureAngle, LearnedAngle, HierarchicalAngle)
SHIFT_PRIORS = (GaussianShift, DiscShift)
CONTENT_PRIORS = (StandardNormal, NormalMixture, VampPrior, FlowPrior, StudentT, Laplace)

AnglePrior = (
    GaussianAngle | UniformAngle | VonMisesAngle | VonMisesMixtureAngle | LearnedAngle | HierarchicalAngle | OwnPrior
)
ShiftPrior = GaussianShift | DiscShift | OwnPrior
ContentPrior = StandardNormal | NormalMixture | VampPrior | FlowPrior | StudentT | Laplace | OwnPrior
