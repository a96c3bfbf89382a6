"""Numbers drawn from a config's ranges."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rvaejax.simulate.config import Range


def between(values: Range, *, key: PRNGKeyArray) -> Float[Array, ""]:
    """A number of a range, all equally likely."""
    return jax.random.uniform(key, minval=values[0], maxval=values[1])


def log_between(values: Range, *, key: PRNGKeyArray) -> Float[Array, ""]:
    """A number of a range of positive numbers, each decade equally likely."""
    return jnp.exp(between((math.log(values[0]), math.log(values[1])), key=key))
