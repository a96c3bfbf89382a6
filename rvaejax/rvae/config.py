"""Options of the rVAE and its presets. Imports no JAX."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from rvaejax.errors import ConfigError
from rvaejax.nets.config import (
    ConvEncoder,
    Decoder,
    Encoder,
    FourierDecoder,
    MLPEncoder,
    PolarEncoder,
    SpatialDecoder,
    check,
)
from rvaejax.rvae.families import (
    Ascent,
    Bernoulli,
    Capacity,
    ConstantWeights,
    ContinuousBernoulli,
    Divergences,
    FixedGaussian,
    LearnedGaussian,
    Lighting,
    Likelihood,
    UnitGaussian,
    WarmUp,
)
from rvaejax.rvae.priors.config import (
    ANGLE_PRIORS,
    CONTENT_PRIORS,
    SHIFT_PRIORS,
    AnglePrior,
    ContentPrior,
    DiscShift,
    FlowPrior,
    GaussianAngle,
    GaussianShift,
    HierarchicalAngle,
    Laplace,
    LearnedAngle,
    NormalMixture,
    ShiftPrior,
    StandardNormal,
    StudentT,
    UniformAngle,
    VampPrior,
    VonMisesAngle,
    VonMisesMixtureAngle,
)
from rvaejax.rvae.priors.protocol import check_own
from rvaejax.rvae.variants import Classes, Pose, Spectra
from rvaejax.training.config import TrainingConfig

__all__ = [
    "AnglePrior",
    "Ascent",
    "Bernoulli",
    "Capacity",
    "Classes",
    "ConstantWeights",
    "ContentPrior",
    "ContinuousBernoulli",
    "ConvEncoder",
    "DiscShift",
    "Divergences",
    "FixedGaussian",
    "FlowPrior",
    "FourierDecoder",
    "GaussianAngle",
    "GaussianShift",
    "HierarchicalAngle",
    "Laplace",
    "LearnedAngle",
    "LearnedGaussian",
    "Lighting",
    "Likelihood",
    "MLPEncoder",
    "NormalMixture",
    "PRESETS",
    "PolarEncoder",
    "Pose",
    "RVAEConfig",
    "ShiftPrior",
    "SpatialDecoder",
    "Spectra",
    "StandardNormal",
    "StudentT",
    "UniformAngle",
    "UnitGaussian",
    "VampPrior",
    "VonMisesAngle",
    "VonMisesMixtureAngle",
    "WarmUp",
    "preset",
]


@dataclass(frozen=True)
class RVAEConfig:
    """A rotationally invariant variational autoencoder and its training; the defaults are the preset `default`.

    Attributes:
        encoder, decoder, likelihood: one member of each family.
        ascent: what follows the encoder where its posterior of the angle is circular (`PolarEncoder`) and no
            spectrum is drawn; None for nothing.
        angle_prior, shift_prior, content_prior: one of the priors of each, or one of your own (`priors/protocol.py`).
        pose: the movements that the content is free of: rotation, shift, scale.
        classes: a discrete latent beside the content; None for none.
        target: what is drawn, if it is not the window itself.
        content_dim: number of content latents.
        shift_scale: unit of the shift's latent, and standard deviation of a Gaussian prior of it [half windows].
        prior_draws: draws, in pairs of opposite noise, from which a divergence is estimated that has no closed form.
        content_weight, angle_weight, shift_weight: weights of the Kullback-Leibler divergences; 1 is the ELBO.
        centring: cost of the squared distance from 0 of the mean content of all sub-images [nat].
        divergences: what becomes of these weights in the course of the training: constant, a warm-up, or a capacity.
        pixel_share: share of the pixels, drawn anew each step (at least 128), that the likelihood is estimated from;
            with a light (`Lighting`), which is then fitted to these alone, the estimate is too high.
        draws: orientations per example and step at which a circular posterior's expectation is taken.
        temperature: divisor of the log-likelihood at the first step, falling to 1 by `anneal_steps`. Hot, equivalent
            orientations stay open until the strongest difference between them (a missing neighbour) is found.
        anneal_steps: steps until the temperature is 1.
        inference: how the ELBO is estimated: "elbo" by its terms, in closed form where there is one (`elbo.py`); "svi"
            by NumPyro's model and guide (`numpyro_models.py`), summing over all orientations of a circular posterior.
        training: the optimiser and its length.
    """

    encoder: Encoder = PolarEncoder(standardise=True)
    decoder: Decoder = FourierDecoder()
    likelihood: Likelihood = LearnedGaussian(lighting=Lighting())
    ascent: Ascent | None = Ascent()
    angle_prior: AnglePrior = UniformAngle()
    shift_prior: ShiftPrior = GaussianShift()
    content_prior: ContentPrior = StandardNormal()
    pose: Pose = Pose()
    classes: Classes | None = None
    target: Spectra | None = None
    content_dim: int = 3
    shift_scale: float = 0.1
    content_weight: float = 1.0
    angle_weight: float = 1.0
    shift_weight: float = 1.0
    centring: float = 0.0
    divergences: Divergences = ConstantWeights()
    pixel_share: float = 0.0625
    draws: int = 2
    prior_draws: int = 8
    temperature: float = 10.0
    anneal_steps: int = 300
    inference: Literal["elbo", "svi"] = "elbo"
    training: TrainingConfig = field(
        default=TrainingConfig(steps=4000, batch_size=64, learning_rate=2e-3, schedule="cosine", warmup=50)
    )

    def __post_init__(self) -> None:
        check(self.content_dim > 0, "content_dim", self.content_dim, "positive")
        check(self.shift_scale > 0, "shift_scale", self.shift_scale, "positive")
        for name in ("content_weight", "angle_weight", "shift_weight", "centring"):
            check(getattr(self, name) >= 0, name, getattr(self, name), "at least 0")
        check(0 < self.pixel_share <= 1, "pixel_share", self.pixel_share, "above 0 and at most 1")
        check(self.temperature >= 1, "temperature", self.temperature, "at least 1")
        check(self.anneal_steps >= 0, "anneal_steps", self.anneal_steps, "at least 0")
        check(self.draws >= 2, "draws", self.draws, "at least 2")
        check(self.inference in ("elbo", "svi"), "inference", self.inference, "elbo or svi")
        n = self.prior_draws
        check(n >= 4 and n % 2 == 0, "prior_draws", n, "even, at least 4")
        if not self.pose.rotation and self.target is None and isinstance(self.encoder, PolarEncoder):
            raise ConfigError(
                "pose: rotation is off, but PolarEncoder cannot see how its window is turned; "
                "use encoder: MLPEncoder or ConvEncoder"
            )
        if self.target is not None and self.pose.scale:
            raise ConfigError("pose: scale is on, but a spectrum is drawn, not the window; turn it off")
        check_own(self.angle_prior, "angle_prior", ANGLE_PRIORS, needs_sample=False)
        check_own(self.shift_prior, "shift_prior", SHIFT_PRIORS, needs_sample=True)
        check_own(self.content_prior, "content_prior", CONTENT_PRIORS, needs_sample=True)


_SPECTRA = RVAEConfig(
    encoder=MLPEncoder(hidden=128, layers=2),
    decoder=FourierDecoder(max_modes=64),
    likelihood=LearnedGaussian(),
    ascent=None,
    content_dim=2,
    pose=Pose(rotation=False),
    pixel_share=1.0,
    temperature=1.0,
    anneal_steps=0,
)
_PAPER = RVAEConfig(
    encoder=MLPEncoder(hidden=128, layers=2),
    decoder=SpatialDecoder(hidden=128, layers=2),
    likelihood=UnitGaussian(),
    ascent=None,
    content_dim=2,
    angle_prior=GaussianAngle(sd=0.1, mean_term=True),
    pixel_share=1.0,
    temperature=1.0,
    anneal_steps=0,
    training=TrainingConfig(steps=6000, batch_size=100, learning_rate=1e-4, schedule="constant", piece=5),
)
PRESETS = {
    "default": RVAEConfig(),
    "paper": _PAPER,
    "paper-atomai": replace(
        _PAPER, decoder=SpatialDecoder(hidden=128, layers=3), angle_prior=GaussianAngle(sd=0.1, mean_term=False)
    ),
    "amortised": RVAEConfig(encoder=PolarEncoder(), likelihood=LearnedGaussian(), ascent=None, content_dim=2),
    "spectra": _SPECTRA,
}


def check_plain(config: RVAEConfig, what: str) -> None:
    """Refuses an rVAE with latents other than angle, shift and content, for `what` knows these alone.

    Raises:
        ConfigError: it has classes or scale, lacks rotation or shift, or draws spectra.
    """
    if config.classes is not None or config.target is not None or config.pose != Pose():
        raise ConfigError(f"{what} knows angle, shift and content alone: not with classes, a target, or another pose")


def preset(name: str) -> RVAEConfig:
    """The configuration of a preset.

    Raises:
        ConfigError: there is no such preset.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset {name!r} is not one of {', '.join(PRESETS)}")
    return PRESETS[name]
