"""How the ELBO's terms are weighted in the course of the training, and how much of a limited time is left after it."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from rvaejax.rvae.config import Capacity, Divergences, RVAEConfig, WarmUp

Step = Integer[Array, ""] | int
ContentCost = Callable[[Float[Array, ""]], Float[Array, ""]]
_RESERVE_SECONDS = 8.0  # for what follows the last step: contents, the angle's errors, saving; at most
_RESERVE_SHARE = 0.1  # of a short time
_RESERVE_PIXELS = 4096  # windows of which take twice as long as the smallest, because more is compiled and drawn


def temperature(config: RVAEConfig, step: Step) -> Float[Array, ""]:
    """Divisor of the log-likelihood: falls to 1 by equal factors (deterministic annealing, Ueda and Nakano 1998)."""
    left = jnp.clip(1 - step / max(1, config.anneal_steps), 0.0, 1.0)
    return config.temperature**left


def rise(initial: float, final: float, steps: int, step: Step) -> Float[Array, ""]:
    """From `initial` at step 0 to `final` at step `steps` in a straight line, and constant from there."""
    return initial + (final - initial) * jnp.clip(step / steps, 0.0, 1.0)


def weight_factor(schedule: Divergences, step: Step) -> Float[Array, ""] | float:
    """Factor of the divergences' weights."""
    return rise(schedule.initial, 1.0, schedule.steps, step) if isinstance(schedule, WarmUp) else 1.0


def content_share(config: RVAEConfig, step: Step) -> Float[Array, ""] | float:
    """Factor of the content on its way into the decoder: 0 in the head start of the classes, then up to 1."""
    classes = config.classes
    if classes is None or classes.labels == "all" or not classes.head_start:
        return 1.0
    return jnp.clip(step / classes.head_start - 1.0, 0.0, 1.0)


def content_cost(config: RVAEConfig, step: Step) -> ContentCost:
    """What the content's divergence, averaged over the batch, costs."""
    schedule = config.divergences
    if not isinstance(schedule, Capacity):
        return lambda divergence: config.content_weight * divergence
    allowed = rise(schedule.initial, schedule.final, schedule.steps, step)
    return lambda divergence: schedule.weight * jnp.abs(divergence - allowed)


def reserve(max_seconds: float, pixels: int) -> float:
    """Seconds of a limited time that are kept for what follows the last step, by the pixels of a window."""
    return min(_RESERVE_SECONDS, _RESERVE_SHARE * max_seconds) * (1 + min(pixels / _RESERVE_PIXELS, 1.0))
