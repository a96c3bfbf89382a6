"""The weights that ship with the package: a plain `.npz` beside a card that says how they were made."""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from rvaejax.config import from_dict, to_dict
from rvaejax.errors import FormatError
from rvaejax.io.files import atomic_path
from rvaejax.segmentation.config import SegmenterConfig

SHIPPED = "graphene"


def save_segmenter(folder: Path, name: str, config: SegmenterConfig, params: Any, card: dict[str, Any]) -> None:
    """Writes `name.npz` (float16 weights) and `name.json` (config, checksum and what `card` says) into `folder`."""
    arrays = {path: np.asarray(value, np.float16) for path, value in _flatten(params).items()}
    with atomic_path(folder / f"{name}.npz") as path:
        with open(path, "wb") as handle:
            np.savez_compressed(handle, **arrays)  # type: ignore[arg-type]
    checksum = hashlib.sha256((folder / f"{name}.npz").read_bytes()).hexdigest()
    text = json.dumps({**card, "sha256": checksum, "config": to_dict(config)}, indent=2)
    with atomic_path(folder / f"{name}.json") as path:
        Path(path).write_text(text + "\n")


def load_segmenter(folder: Path | None = None, name: str = SHIPPED) -> tuple[SegmenterConfig, Any]:
    """Config and weights of a segmenter; by default of the one that ships with the package.

    Raises:
        FormatError: the weights are not those that their card describes.
    """
    base = resources.files("rvaejax.segmentation") / "weights" if folder is None else folder
    with resources.as_file(base / f"{name}.json") as path:  # type: ignore[arg-type]
        card = json.loads(Path(path).read_text())
    with resources.as_file(base / f"{name}.npz") as path:  # type: ignore[arg-type]
        if hashlib.sha256(Path(path).read_bytes()).hexdigest() != card["sha256"]:
            raise FormatError(
                f"{name}.npz does not have the checksum on its card {name}.json; install the package anew"
            )
        with np.load(path, allow_pickle=False) as arrays:
            params = _unflatten({path: arrays[path].astype(np.float32) for path in arrays.files})
    return from_dict(SegmenterConfig, card["config"]), params


def _flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix: tree}
    parts = (_flatten(value, f"{prefix}/{name}" if prefix else name) for name, value in tree.items())
    return {path: leaf for part in parts for path, leaf in part.items()}


def _unflatten(leaves: dict[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, leaf in leaves.items():
        *folders, name = path.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[name] = leaf
    return tree
