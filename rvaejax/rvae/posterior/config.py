"""Options of the sampling of posteriors. Imports no JAX."""

from __future__ import annotations

from dataclasses import dataclass

from rvaejax.nets.config import check


@dataclass(frozen=True)
class NutsConfig:
    """Chains of the no-U-turn sampler (Hoffman and Gelman 2014), one in each orientation that a sub-image may have.

    Attributes:
        modes: most orientations that chains are started in, the likeliest ones; 6 are those of a hexagonal site.
        warmup: steps of each chain in which step size and metric are found.
        draws: steps of each chain that are kept.
        depth: most doublings of a step's trajectory.
        weighing: draws from which the evidence of each orientation is estimated.
        particles: draws of the encoder's posterior for the importance-weighted bound.
        kept: draws of the posterior that are given back for each sub-image.
    """

    modes: int = 6
    warmup: int = 200
    draws: int = 300
    depth: int = 6
    weighing: int = 512
    particles: int = 64
    kept: int = 300

    def __post_init__(self) -> None:
        for name, least in (
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
