"""Worker processes of the benchmarks: a request as one line of JSON in, the answer as one line out.

Standard library only, because the peers' environments import it, too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

Ask = Callable[..., dict[str, Any]]


def claim_output() -> TextIO:
    """Run first by a worker: standard output for answers alone; what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def serve(answers: TextIO, ready: dict[str, Any], handlers: Mapping[str, Callable[..., dict[str, Any]]]) -> None:
    """Run by a worker: says that it is ready, then answers requests until its input ends."""
    print(json.dumps(ready), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(handlers[request.pop("do")](**request)), file=answers, flush=True)


@contextmanager
def worker(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[tuple[Ask, dict[str, Any]]]:
    """A started worker: `ask(do, **options) -> answer`, and what it said when it was ready, with `start_seconds`.

    Raises:
        RuntimeError: the worker ended without an answer.
    """
    begun = time.monotonic()
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )

    def answer() -> dict[str, Any]:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(command)} ended without an answer, exit code {process.wait()}")
        return json.loads(line)

    def ask(do: str, **options: Any) -> dict[str, Any]:
        process.stdin.write(json.dumps({"do": do, **options}) + "\n")
        process.stdin.flush()
        return answer()

    try:
        ready = answer()
        yield ask, {**ready, "start_seconds": time.monotonic() - begun}
    finally:
        process.stdin.close()
        process.wait()
