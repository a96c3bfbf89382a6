"""Signals as a flag that the training loop looks at between its compiled calls. Imports no JAX."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
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


StopFlag = Callable[[], int]
"""Called, it gives the number of the signal that came, or 0."""


@contextmanager
def catch_signals(*signals: int) -> Iterator[StopFlag]:
    """A flag that SIGINT and SIGTERM (or `signals`) raise; a second signal of the kind acts as usual.

    Outside the main thread, where Python lets nobody listen to signals, the flag stays 0.
    """
    came: list[int] = []
    previous: dict[int, Any] = {}

    def handler(signum: int, frame: FrameType | None) -> None:
        came.append(signum)
        signal.signal(signum, previous[signum])

    if threading.current_thread() is threading.main_thread():
        for signum in signals or (signal.SIGINT, signal.SIGTERM):
            previous[signum] = signal.signal(signum, handler)
    try:
        yield lambda: came[0] if came else 0
    finally:
        for signum, old in previous.items():
            signal.signal(signum, old)
