"""How the same work on many points is laid out on the machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import PyTree

LANES = 32


def lanes(most: int = LANES) -> int:
    """How many are worked on side by side: one on a CPU, where small matrix products lose by a batch axis."""
    return 1 if jax.default_backend() == "cpu" else most


def each(function: Callable[..., Any], *arguments: PyTree) -> Any:
    """`function` of each row of the arguments: one after the other on a CPU, some at a time elsewhere."""
    size = lanes()
    return jax.lax.map(lambda row: function(*row), arguments, batch_size=size if size > 1 else None)
