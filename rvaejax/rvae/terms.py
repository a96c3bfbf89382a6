"""The terms of the evidence lower bound, how a training weighs them, and what it minds beside the bound.

ELBO = E_q[log p(x | angle, shift, content)] - KL(angle) - KL(shift) - KL(content)

Scale and class, where there are such, each add a divergence.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
from jaxtyping import Array, Float, Int, Integer, Key

from rvaejax.rvae import schedules
from rvaejax.rvae.config import RVAEConfig

FEWEST_PIXELS = 128


class ElboTerms(NamedTuple):
    """The terms of one example's ELBO [nat]; each divergence is positive, None where there is no such latent."""

    log_likelihood: Float[Array, "..."]
    kl_angle: Float[Array, "..."]
    kl_shift: Float[Array, "..."]
    kl_content: Float[Array, "..."]
    kl_scale: Float[Array, "..."] | None = None
    kl_class: Float[Array, "..."] | None = None

    def present(self) -> dict[str, Float[Array, "..."]]:
        """Those that there are, by name."""
        return {name: value for name, value in self._asdict().items() if value is not None}


def elbo(terms: ElboTerms) -> Float[Array, "..."]:
    """The evidence lower bound."""
    bound = terms.log_likelihood - terms.kl_angle - terms.kl_shift - terms.kl_content
    return bound - sum(kl for kl in (terms.kl_scale, terms.kl_class) if kl is not None)


def objective(means: ElboTerms, config: RVAEConfig, step: Integer[Array, ""] | int) -> Float[Array, ""]:
    """The batch's ELBO with the weights that the configuration gives its terms at a step; `means` over the batch."""
    factor = schedules.weight_factor(config.divergences, step)
    weighted = ElboTerms(
        means.log_likelihood / schedules.temperature(config, step),
        factor * config.angle_weight * means.kl_angle,
        factor * config.shift_weight * means.kl_shift,
        factor * schedules.content_cost(config, step)(means.kl_content),
        None if means.kl_scale is None else factor * means.kl_scale,
        None if config.classes is None or means.kl_class is None else factor * config.classes.weight * means.kl_class,
    )
    return elbo(weighted)


def draw_pixels(config: RVAEConfig, pixels: int, *, key: Key[Array, ""]) -> Int[Array, " p"] | None:
    """Those of all `pixels` that a step's likelihood is estimated from; None for all of them.

    The decoder is a function of coordinates: some pixels give an unbiased estimate of the sum over all.
    """
    count = max(FEWEST_PIXELS, round(config.pixel_share * pixels))
    return None if count >= pixels else jax.random.randint(key, (count,), 0, pixels)


def off_centre(content: Float[Array, "b d"]) -> Float[Array, ""]:
    """Unbiased estimate of |E m|^2 from the means m of a batch's contents: (|sum m|^2 - sum |m|^2) / (b (b - 1)).

    The ELBO hardly minds where the contents lie as long as they lie together: all of them run far from 0 while the
    decoder learns what the images have in common, and there its layers are saturated, and deaf to differences.
    """
    b = len(content)
    return ((content.sum(0) ** 2).sum() - (content**2).sum()) / max(1, b * (b - 1))
