"""Progress bars: only on a terminal, and only for what takes longer than two seconds. Imports no JAX."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from tqdm import tqdm


def progress(iterable: Iterable | None = None, *, total: int | None = None, desc: str = "", unit: str = "it") -> tqdm:
    """A tqdm bar over `iterable`, or one to be moved by `update`; silent where standard error is no terminal."""
    silent = not sys.stderr.isatty()
    return tqdm(iterable, total=total, desc=desc, unit=unit, delay=2.0, disable=silent, leave=False, file=sys.stderr)
