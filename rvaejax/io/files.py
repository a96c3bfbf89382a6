"""Output that is whole or not there: temporary names renamed into place, and nothing overwritten unasked."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rvaejax.errors import ConfigError, InputError, OutputExistsError

MARKER = ".rvaejax"
"""File by which a folder that this package made is known; no other folder is ever emptied."""
_MARKER_TEXT = "This folder is written by rvaejax; --overwrite replaces everything in it.\n"


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary name beside `path` (same suffix) to write to; renamed to `path` once it is safely on the disk.

    If the body raises, the temporary file is removed and whatever was at `path` before stays as it was.

    Raises:
        OutputExistsError: a folder is in the way.
        FileNotFoundError: the body has written nothing.
    """
    target = Path(path)
    if target.is_dir():
        raise OutputExistsError(f"{target}: is a folder; give the name of a file")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem}.{secrets.token_hex(4)}.tmp{target.suffix}")
    try:
        yield temporary
        with open(temporary, "rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a text file (UTF-8) whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _check_writable(target: Path) -> None:
    """The nearest folder above `target` that exists can be written to."""
    parent = next(folder for folder in target.absolute().parents if folder.exists())
    if not (parent.is_dir() and os.access(parent, os.W_OK)):
        raise InputError(f"{target}: cannot be written, {parent} is not a folder to write to; give another name")


def check_source_survives(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Writing to `target`, a file or a folder that may be emptied, does not destroy `source`.

    Raises:
        OutputExistsError: it is the source, or holds it.
    """
    read, written = Path(source).resolve(), Path(target).resolve()
    if read == written or written in read.parents:
        raise OutputExistsError(f"{target}: is or holds the input {source}; write somewhere else")


def check_output(folder: str | os.PathLike[str], overwrite: bool = False, resume: bool = False) -> Path:
    """The folder to write to, if it may be written; changes nothing.

    Args:
        folder: where the results go.
        overwrite: it may be emptied; only a folder that `prepare_output` once made is.
        resume: go on in a folder that `prepare_output` once made.

    Raises:
        OutputExistsError: it holds something and neither option was given, it is a file, or it is not ours.
        ConfigError: both options were given.
    """
    path = Path(folder)
    if overwrite and resume:
        raise ConfigError(f"{path}: overwrite and resume exclude each other; give one of them")
    if path.exists() and not path.is_dir():
        raise OutputExistsError(f"{path}: is a file; give the name of a folder")
    if _entries(path) and not (overwrite or resume):
        raise OutputExistsError(f"{path}: exists and is not empty; add --overwrite, or give another folder")
    if _entries(path) and not (path / MARKER).is_file():
        raise OutputExistsError(f"{path}: was not made by rvaejax and is left alone; give another folder")
    _check_writable(path / MARKER)
    return path


def _entries(path: Path) -> list[Path]:
    return [entry for entry in path.iterdir() if entry.name != MARKER] if path.is_dir() else []


def prepare_output(folder: str | os.PathLike[str], overwrite: bool = False, resume: bool = False) -> Path:
    """The folder to write to, made where it is missing, emptied where `overwrite` says so, and marked as ours.

    Raises:
        OutputExistsError, ConfigError: see `check_output`.
        InputError: it cannot be made.
    """
    path = check_output(folder, overwrite, resume)
    try:
        path.mkdir(parents=True, exist_ok=True)
        for entry in _entries(path) if overwrite else ():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        write_text(path / MARKER, _MARKER_TEXT)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); give another folder") from error
    return path


def check_output_file(path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """The file to write to, if it may be written.

    Raises:
        OutputExistsError: it exists and `overwrite` is not set, or it is a folder.
        InputError: its folder cannot be made or written to.
    """
    target = Path(path)
    if target.is_dir():
        raise OutputExistsError(f"{target}: is a folder; give the name of a file")
    if target.exists() and not overwrite:
        raise OutputExistsError(f"{target}: exists; add --overwrite, or give another name")
    _check_writable(target)
    return target
