"""What a network is outside this package: a pair of pure functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Network(NamedTuple):
    """`init(*, key) -> params` and `apply(params, *inputs) -> outputs`."""

    init: Callable[..., Any]
    apply: Callable[..., Any]
