"""Options from a YAML file: a config.yaml that a training wrote, or a changed copy."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml

from rvaejax.config import from_dict, to_dict
from rvaejax.errors import ConfigError, FormatError, InputError, MissingFileError

T = TypeVar("T")


def read_section(path: Path, section: str, default: T, what: str) -> T:
    """The config `default` with what the file's section sets, or all of the file where it has no such section.

    Args:
        path: YAML file.
        section: its section.
        default: what holds for options that the file leaves out, at every level; another member of a family than the
            default's has its own defaults.
        what: what is trained with it, for messages.

    Raises:
        MissingFileError: there is no such file.
        FormatError: it is not YAML with names and values.
        ConfigError: an option is unknown or makes no sense.
    """
    example = f"see the config.yaml of a trained {what}"
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file; check the path")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: not readable as YAML; {example}") from error
    given = data.get(section, data) if isinstance(data, dict) else data
    if not isinstance(given, dict):
        raise FormatError(f"{path}: must hold names and values; {example}")
    try:
        return from_dict(type(default), _over(to_dict(default), given))
    except InputError as error:
        raise ConfigError(f"{path}: {error}") from error
    except (TypeError, AttributeError, ValueError) as error:
        raise ConfigError(f"{path}: a value has the wrong type ({error})") from error


def _over(default: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Nested dictionaries, the given values over the default ones."""
    merged = dict(default)
    for name, value in given.items():
        below = default.get(name)
        same = isinstance(below, dict) and isinstance(value, dict) and value.get("kind", below["kind"]) == below["kind"]
        merged[name] = _over(below, value) if same else value  # type: ignore[arg-type]
    return merged
