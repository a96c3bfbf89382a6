"""XLA's compiled programs kept on the disk from one process to the next. Imports no JAX.

What is kept is code that later processes run, so it lies in a folder that nobody else can write to, or nowhere.
"""

from __future__ import annotations

import hashlib
import os
import platform
import stat
import sys
from collections.abc import MutableMapping
from pathlib import Path

CHOSEN = "JAX_COMPILATION_CACHE_DIR"
QUICK = {"xla_backend_optimization_level": 0}  # compiler's options for what runs once: ready in a fraction of the time
LARGEST = 1 << 30  # bytes; beyond it, the oldest programs go
_OPTIONS = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}


def keep_compiled(environment: MutableMapping[str, str] = os.environ) -> Path | None:
    """Has JAX, which must not be loaded yet, keep what it compiles in this user's cache folder.

    A folder that JAX_COMPILATION_CACHE_DIR names is left to JAX, and so is an empty one, which means none. Otherwise
    it is `rvaejax/xla-...` in XDG_CACHE_HOME, by default ~/.cache; the name tells processors apart, because compiled
    programs run on their own kind only. Small programs are kept too: a start compiles dozens.

    Returns:
        The folder that this chose; None where the user chose, JAX is loaded, or there is no place that is private.
    """
    if "jax" in sys.modules:
        return None
    if CHOSEN in environment:
        _set_options(environment)
        return None
    base = _cache_home(environment)
    folder = None if base is None else _private(base, f"xla-{_processor()}")
    if folder is None:
        return None
    _drop_oldest(folder, LARGEST)
    environment[CHOSEN] = str(folder)
    _set_options(environment)
    return folder


def _set_options(environment: MutableMapping[str, str]) -> None:
    for name, value in _OPTIONS.items():
        environment.setdefault(name, value)


def _cache_home(environment: MutableMapping[str, str]) -> Path | None:
    """The user's cache folder (XDG Base Directory Specification: a relative XDG_CACHE_HOME is to be ignored)."""
    chosen = environment.get("XDG_CACHE_HOME", "")
    if os.path.isabs(chosen):
        return Path(chosen)
    home = environment.get("HOME", "")
    return Path(home, ".cache") if os.path.isabs(home) else None


def _private(base: Path, name: str) -> Path | None:
    """`base/rvaejax/name`, made with mode 0700; None where others could have a hand in it, or it cannot be written."""
    own, folder = base / "rvaejax", base / "rvaejax" / name
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        if base.stat().st_mode & stat.S_IWOTH:
            return None
        for path in (own, folder):
            path.mkdir(mode=0o700, exist_ok=True)
            found = path.lstat()
            if not stat.S_ISDIR(found.st_mode) or (hasattr(os, "getuid") and found.st_uid != os.getuid()):
                return None
            if stat.S_IMODE(found.st_mode) != 0o700:
                path.chmod(0o700)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def _processor() -> str:
    """A short name of the processor's kind and abilities."""
    told = f"{platform.machine()} {platform.processor()}"
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        told += "".join(sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))}))
    except OSError:
        pass  # not Linux
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def _drop_oldest(folder: Path, largest: int) -> None:
    """Removes the oldest files until the rest is not larger than `largest` bytes."""
    try:
        files = sorted(((p.stat(), p) for p in folder.iterdir() if p.is_file()), key=lambda f: f[0].st_mtime)
        total = sum(found.st_size for found, _ in files)
        for found, path in files:
            if total <= largest:
                return
            path.unlink(missing_ok=True)
            total -= found.st_size
    except OSError:
        return  # another process tidies up
