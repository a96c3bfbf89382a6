"""Members of two families of the rVAE's options: likelihoods, and schedules of the divergences. Imports no JAX."""

from __future__ import annotations

from dataclasses import dataclass

from rvaejax.nets.config import check


@dataclass(frozen=True)
class UnitGaussian:
    """Half the squared error, summed over pixels: a Gaussian of unit variance without its constant (the paper's)."""


@dataclass(frozen=True)
class FixedGaussian:
    """A Gaussian of a standard deviation that is known.

    Attributes:
        sd: standard deviation of a pixel [intensities scaled to 0..1].
    """

    sd: float = 0.1

    def __post_init__(self) -> None:
        check(self.sd > 0, "sd", self.sd, "positive")


@dataclass(frozen=True)
class Lighting:
    """How gain, offset and slope of the intensity differ from window to window (`rvae/lighting.py`).

    They are normal around 1, 0 and 0. What differs by more than a few standard deviations remains content.

    Attributes:
        gain: standard deviation of the gain.
        offset: of the offset [intensities scaled to 0..1].
        slope: of the slope along each axis [the same, per half window].
    """

    gain: float = 0.2
    offset: float = 0.1
    slope: float = 0.05

    def __post_init__(self) -> None:
        for name in ("gain", "offset", "slope"):
            check(getattr(self, name) >= 0, name, getattr(self, name), "at least 0")


@dataclass(frozen=True)
class LearnedGaussian:
    """A Gaussian whose standard deviation, one for all pixels, is learned (Rybkin et al. 2021, arXiv:2006.13202).

    Attributes:
        initial: standard deviation at the start [intensities scaled to 0..1].
        floor: lowest standard deviation; keeps images without noise from being fitted to the last digit.
        lighting: how the intensity differs from window to window; None for not at all.
    """

    initial: float = 0.2
    floor: float = 0.03
    lighting: Lighting | None = None

    def __post_init__(self) -> None:
        check(self.floor > 0, "floor", self.floor, "positive")
        check(self.initial > self.floor, "initial", self.initial, "above the floor")


@dataclass(frozen=True)
class Ascent:
    """From the encoder's guess of angle and content uphill on the ELBO, by what the decoder draws (`rvae/ascent.py`).

    Attributes:
        rounds: of angle, then content.
        longest: step of the content in a round.
        candidates: in training, sub-images of a batch whose contents the others may take over before the last round; 0
            for none.
        remembered: contents of the training that an image may start from when it is encoded; 0 for none.
        spread: in training, rate at which the contents' covariance is brought to that of a standard normal, where that
            is their prior or stands in for it.
    """

    rounds: int = 2
    longest: float = 1.0
    candidates: int = 64
    remembered: int = 128
    spread: float = 0.15

    def __post_init__(self) -> None:
        check(self.rounds > 0, "rounds", self.rounds, "positive")
        check(self.longest > 0, "longest", self.longest, "positive")
        check(self.candidates >= 0, "candidates", self.candidates, "at least 0")
        check(self.remembered >= 0, "remembered", self.remembered, "at least 0")
        check(0 <= self.spread < 1, "spread", self.spread, "at least 0 and below 1")


@dataclass(frozen=True)
class Bernoulli:
    """Pixels that are 0 or 1, or probabilities; scaled intensities beyond 0..1 count as 0 or 1."""


@dataclass(frozen=True)
class ContinuousBernoulli:
    """A density on [0, 1] (Loaiza-Ganem and Cunningham 2019, arXiv:1907.06845): the Bernoulli's form, normalised.

    Scaled intensities beyond 0..1 count as 0 or 1.
    """


@dataclass(frozen=True)
class ConstantWeights:
    """The divergences count by their weights from the first step to the last."""


@dataclass(frozen=True)
class WarmUp:
    """All divergences' weights rise together, in a straight line (Sonderby et al. 2016, arXiv:1602.02282).

    Attributes:
        initial: factor of the weights at the first step.
        steps: steps until it is 1.
    """

    initial: float = 0.0
    steps: int = 500

    def __post_init__(self) -> None:
        check(0 <= self.initial <= 1, "initial", self.initial, "between 0 and 1")
        check(self.steps > 0, "steps", self.steps, "positive")


@dataclass(frozen=True)
class Capacity:
    """The content is held to a capacity that rises in a straight line (Burgess et al. 2018, arXiv:1804.03599).

    The content's divergence, averaged over the batch, costs weight x |divergence - capacity|, in the place of
    `content_weight` x divergence; angle and shift keep their weights.

    Attributes:
        initial: capacity at the first step [nat].
        final: capacity from `steps` on [nat].
        steps: steps of its rise.
        weight: cost of each nat above or below.
    """

    initial: float = 0.0
    final: float = 5.0
    steps: int = 2000
    weight: float = 20.0

    def __post_init__(self) -> None:
        check(self.initial >= 0, "initial", self.initial, "at least 0")
        check(self.final >= 0, "final", self.final, "at least 0")
        check(self.steps > 0, "steps", self.steps, "positive")
        check(self.weight > 0, "weight", self.weight, "positive")


Likelihood = UnitGaussian | FixedGaussian | LearnedGaussian | Bernoulli | ContinuousBernoulli
Divergences = ConstantWeights | WarmUp | Capacity
