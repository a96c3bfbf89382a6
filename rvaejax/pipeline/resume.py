"""What a resumed command must have in common with the one that was interrupted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from rvaejax.errors import ConfigError

FREE = ("max_seconds",)  # may differ: more time is what many resume for


def fingerprint(arrays: Iterable[np.ndarray]) -> str:
    """A short checksum of arrays, by which an interrupted command knows its input again."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def was_begun(folder: Path, sections: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether an interrupted command left its options in the folder's `config.yaml`, the same as these.

    Args:
        folder: of the interrupted command.
        sections: options of this one, as it would store them.

    Raises:
        ConfigError: it was begun with other options, or on another input.
    """
    path = folder / "config.yaml"
    if not path.is_file():
        return False
    before = yaml.safe_load(path.read_text())
    for section, options in sections.items():
        for name, value in options.items():
            was = before.get(section, {}).get(name)
            if name not in FREE and was != value:
                raise ConfigError(f"{folder}: was started with {name} {was}, not {value}; resume with the same options")
    return True
