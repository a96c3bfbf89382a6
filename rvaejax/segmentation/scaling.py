"""Robust scaling of one frame, so that neither a hot pixel nor a bright patch sets the contrast of the rest."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

LOW, HIGH = 0.1, 0.9
SPREAD = 2.563  # distance of the two quantiles of a normal distribution, in standard deviations


def robust_scale(image: Float[Array, "h w"]) -> Float[Array, "h w"]:
    """asinh((image - median) / s), s from the 10 % and 90 % quantiles; linear near 0, logarithmic far out.

    Outliers hold the quantiles nowhere and are compressed themselves; a bright patch keeps its shape.
    """
    low, middle, high = jnp.quantile(image, jnp.array([LOW, 0.5, HIGH]))
    return jnp.arcsinh((image - middle) * SPREAD / jnp.maximum(high - low, 1e-12))
