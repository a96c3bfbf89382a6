"""The command line `rvaejax`.

Exit codes: 0 done; 2 bad usage or bad input, with one line on standard error; 130 or 143 interrupted, and what
can be done then: commands that train go on with --resume, the others begin anew.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any, NoReturn

import tyro

from rvaejax.commands import COMMANDS
from rvaejax.errors import InputError
from rvaejax.training.cache import keep_compiled
from rvaejax.training.cores import use_every_core

BAD_INPUT = 2
_FRAME = re.compile(r"[\u2500-\u257f]+|-{4,}|^\s*[+|]|[+|]\s*$")  # the box that tyro draws around its messages
_HINTS = re.compile(r"(For full helptext|Argument helptext|Got errors|Full command).*")


def one_line(text: str) -> str:
    """A message of several boxed lines as one line, without headings and pointers to help."""
    lines = [" ".join(_FRAME.sub(" ", line).split()) for line in text.splitlines()]
    body = " ".join(line for line in lines[1:] or lines if line)
    return _HINTS.sub("", body).strip() or " ".join(line for line in lines if line)


def parse(arguments: Sequence[str] | None) -> Any:
    """The command that the arguments name; on bad usage one line on standard error and exit code 2."""
    messages = io.StringIO()
    try:
        with contextlib.redirect_stderr(messages):
            return tyro.extras.subcommand_cli_from_dict(
                COMMANDS, prog="rvaejax", description="A movie of atoms to what each neighbourhood is.", args=arguments
            )
    except SystemExit as end:
        if end.code == 0:
            raise
        _fail(f"{one_line(messages.getvalue())}; see --help")
    except InputError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    print(f"rvaejax: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(BAD_INPUT)


def _mark_warnings(record: logging.LogRecord) -> bool:
    if record.levelno >= logging.WARNING:
        record.msg = f"warning: {record.msg}"
    return True


@contextlib.contextmanager
def _logging() -> Iterator[None]:
    """The package's log on standard output; standard error is for the one line that tells why a command failed."""
    logger = logging.getLogger("rvaejax")
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    handler.addFilter(_mark_warnings)
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.propagate = False  # other libraries give the root logger handlers of their own
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = True


@contextlib.contextmanager
def _termination() -> Iterator[None]:
    """SIGTERM unwinds as Ctrl-C does, so that temporary files go; the training listens to both by itself."""

    def handler(signum: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt(signum)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses, carries out, and turns errors into exit codes."""
    command = parse(arguments)
    from rvaejax.training.interrupt import Interrupted

    keep_compiled()
    use_every_core()
    try:
        with _logging(), _termination():
            command.execute()
    except InputError as error:
        _fail(str(error))
    except Interrupted as stopped:
        print(f"rvaejax: {stopped}; go on with --resume", file=sys.stderr)
        raise SystemExit(128 + stopped.signum) from None
    except KeyboardInterrupt as stopped:
        signum = stopped.args[0] if stopped.args else signal.SIGINT
        resumes = hasattr(command, "resume")
        then = "where the output folder exists, --resume goes on" if resumes else "the same command begins anew"
        print(f"rvaejax: interrupted; no file is half-written; {then}", file=sys.stderr)
        raise SystemExit(128 + signum) from None


if __name__ == "__main__":
    main()
