"""Checkpoints in a folder, one subfolder a step, written by Orbax under a temporary name and renamed."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TypeVar

import jax
import orbax.checkpoint as ocp

from rvaejax.errors import FormatError, MissingFileError

T = TypeVar("T")
FINAL = "final"
_STEP = re.compile(r"step_(\d{9})")


def steps(folder: Path) -> list[int]:
    """The steps that a folder holds complete checkpoints of, in order."""
    if not folder.is_dir():
        return []
    return sorted(int(m.group(1)) for p in folder.iterdir() if (m := _STEP.fullmatch(p.name)))


def save(folder: Path, name: str, tree: T) -> None:
    """Writes a pytree of arrays as `folder/name`, replacing what is there; complete or not at all."""
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(Path(folder).absolute() / name, tree, force=True)


def restore(folder: Path, name: str, like: T) -> T:
    """The pytree that `save` wrote, with the structure, shapes and dtypes of `like`.

    Raises:
        MissingFileError: there is no such checkpoint.
        FormatError: it does not hold what `like` asks for.
    """
    path = Path(folder).absolute() / name
    if not path.is_dir():
        raise MissingFileError(f"{path}: no such checkpoint; was the training stopped before its first save?")
    mismatch = f"{path}: not a checkpoint of this configuration; train again into a new folder"
    try:
        with ocp.StandardCheckpointer() as checkpointer:
            # Compared first: a restore that fails half-way leaves Orbax's reading tasks behind.
            if _shapes(checkpointer.metadata(path).item_metadata.tree) != _shapes(like):
                raise FormatError(mismatch)
            return checkpointer.restore(path, jax.tree.map(ocp.tree.to_shape_dtype_struct, like))
    except (KeyError, TypeError, AttributeError) as error:
        raise FormatError(mismatch) from error


def _shapes(tree: object) -> list[tuple[tuple[int, ...], str]]:
    """Shapes and types of the leaves, in no order (metadata has named tuples as dictionaries)."""
    return sorted((tuple(leaf.shape), str(leaf.dtype)) for leaf in jax.tree.leaves(tree))


def save_step(folder: Path, step: int, tree: T, keep: int) -> None:
    """Saves the state of a step and drops all but the last `keep`."""
    save(folder, f"step_{step:09d}", tree)
    for old in steps(folder)[:-keep]:
        shutil.rmtree(folder / f"step_{old:09d}")


def restore_last(folder: Path, like: T) -> T | None:
    """The state of the last step saved in a folder, or None where there is none."""
    found = steps(folder)
    return restore(folder, f"step_{found[-1]:09d}", like) if found else None
