"""Segmenters on disk: a folder with the weights of each member as a plain `.npz`, and a card that describes them.

The one that ships with the package is such a folder too.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from contextlib import AbstractContextManager
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from rvaejax.config import from_dict, to_dict
from rvaejax.errors import FormatError, MissingFileError
from rvaejax.io.files import atomic_path, write_text
from rvaejax.io.raw import one_line
from rvaejax.segmentation.config import SegmenterConfig
from rvaejax.segmentation.record import Segmenter

CARD = "segmenter.json"


def save_segmenter(folder: Path, segmenter: Segmenter, card: dict[str, Any]) -> None:
    """Writes `member_0.npz` ... (half precision) and `segmenter.json`: what `card` says, checksums, the config."""
    sums = {}
    for number, params in enumerate(segmenter.members):
        name = f"member_{number}.npz"
        arrays = {path: np.asarray(value, np.float16) for path, value in _flatten(params).items()}
        with atomic_path(folder / name) as path, open(path, "wb") as handle:
            np.savez_compressed(handle, **arrays)  # type: ignore[arg-type]
        sums[name] = _checksum(folder / name)
    write_text(
        folder / CARD, json.dumps({**card, "sha256": sums, "config": to_dict(segmenter.config)}, indent=2) + "\n"
    )


def read_card(folder: Path) -> dict[str, Any]:
    """What the card in the folder says.

    Raises:
        MissingFileError: there is none.
        FormatError: it is no card.
    """
    path = folder / CARD
    if not path.is_file():
        raise MissingFileError(f"{folder}: no {CARD} in it; give a folder that `rvaejax train-segmenter` has written")
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        if not (isinstance(card["sha256"], dict) and card["sha256"] and isinstance(card["config"], dict)):
            raise ValueError("no checksums or no config")
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path}: not the card of a segmenter ({one_line(error)}); train it again") from error
    return card


def load_segmenter(folder: str | os.PathLike[str] | None = None) -> Segmenter:
    """A trained segmenter from its folder; by default the one that ships with the package.

    Raises:
        MissingFileError: there is none in that folder.
        FormatError: the weights are not those that their card describes.
        ConfigError: the card's config has an option that is not known.
    """
    if folder is not None:
        return _load(Path(folder))
    with shipped_folder() as shipped:
        return _load(shipped)


def shipped_folder() -> AbstractContextManager[Path]:
    """The folder of the segmenter that ships with the package, for as long as the context lasts."""
    return resources.as_file(resources.files("rvaejax.segmentation") / "weights")


def _load(folder: Path) -> Segmenter:
    card = read_card(folder)
    members = tuple(_member(folder / name, checksum) for name, checksum in card["sha256"].items())
    return Segmenter(from_dict(SegmenterConfig, card["config"]), members)


def _member(path: Path, checksum: str) -> Any:
    if not path.is_file():
        raise MissingFileError(f"{path}: the card names these weights, but they are not there; copy the whole folder")
    if _checksum(path) != checksum:
        raise FormatError(f"{path}: does not have the checksum on its card {CARD}; install or train it anew")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return _unflatten({name: arrays[name].astype(np.float32) for name in arrays.files})
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise FormatError(f"{path}: not readable weights ({one_line(error)}); train them again") from error


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


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
