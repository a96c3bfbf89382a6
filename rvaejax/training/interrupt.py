"""Signals as a flag that the training loop looks at between its compiled calls. Imports no JAX."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Interrupted(Exception):
    """Training was asked to stop; where there is a checkpoint folder, the state was saved first.

    Attributes:
        signum: number of the signal; the process's exit code is 128 + signum.
        step: steps done.
    """

    def __init__(self, signum: int, step: int):
        super().__init__(f"interrupted by {signal.Signals(signum).name} after {step} steps")
        self.signum = signum
        self.step = step


class StopFlag:
    """Called, it gives the number of the signal that came, or 0."""

    def __init__(self) -> None:
        self.signum = 0

    def __call__(self) -> int:
        """Number of the signal that came, or 0."""
        return self.signum


@contextmanager
def catch_signals(*signals: int) -> Iterator[StopFlag]:
    """A `StopFlag` that SIGINT and SIGTERM (or `signals`) raise; a second signal of the kind acts as usual."""
    flag = StopFlag()
    previous: dict[int, Any] = {}

    def handler(signum: int, frame: FrameType | None) -> None:
        flag.signum = signum
        signal.signal(signum, previous[signum])

    for signum in signals or (signal.SIGINT, signal.SIGTERM):
        previous[signum] = signal.signal(signum, handler)
    try:
        yield flag
    finally:
        for signum, old in previous.items():
            signal.signal(signum, old)
