"""Which functions of an rVAE must not be rounded to a GPU's liking.

A GPU's own choice for products of float32 matrices is TF32, good to a thousandth. Log-likelihoods are sums over all
pixels in units of the noise, of thousands of nats: their differences between orientations would be wrong by several,
and a training that has found its angles would lose them again (on an H200, within 2,000 steps).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax

from rvaejax.rvae.config import FourierDecoder, PolarEncoder, RVAEConfig


def must_be_exact(config: RVAEConfig) -> bool:
    """Whether orientations are weighed against each other by what is drawn at each."""
    return isinstance(config.encoder, PolarEncoder) or isinstance(config.decoder, FourierDecoder)


def exact(functions: dict[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """The functions with float32's precision in all of their matrix products, gradients included, on every device."""

    def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def _in_float32(*args: Any, **named: Any) -> Any:
            with jax.default_matmul_precision("highest"):
                return function(*args, **named)

        return _in_float32

    return {name: wrapped(function) for name, function in functions.items()}
