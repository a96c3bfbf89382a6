"""Options of the sampling of posteriors. Imports no JAX."""

from __future__ import annotations

from dataclasses import dataclass

from rvaejax.nets.config import check


@dataclass(frozen=True)
class NutsConfig:
    """Chains of the no-U-turn sampler (Hoffman and Gelman 2014), one in each mode of a sub-image's posterior.

    Attributes:
        climbs: to modes, from all around the circle.
        modes: most modes that chains are started in, the heaviest ones; a hexagonal site has 6 orientations.
        warmup: steps of each chain in which step size and metric are found.
        draws: steps of each chain that are kept.
        depth: most doublings of a step's trajectory.
        weighing: draws from which the evidence of each mode is estimated.
        particles: draws of the encoder's posterior for the importance-weighted bound.
        kept: draws of the posterior that are given back for each sub-image.
    """

    climbs: int = 48
    modes: int = 12
    warmup: int = 100
    draws: int = 250
    depth: int = 6
    weighing: int = 512
    particles: int = 64
    kept: int = 250

    def __post_init__(self) -> None:
        for name, least in (
            ("climbs", 1),
            ("modes", 1),
            ("warmup", 50),
            ("draws", 50),
            ("depth", 2),
            ("weighing", 64),
            ("particles", 2),
            ("kept", 20),
        ):
            value = getattr(self, name)
            check(value >= least, name, value, f"at least {least}")
