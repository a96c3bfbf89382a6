"""Options from a YAML file: a config.yaml that a training wrote, or a changed copy."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import yaml

from rvaejax.config import from_dict
from rvaejax.errors import ConfigError, FormatError, InputError, MissingFileError

T = TypeVar("T")


def read_section(path: Path, section: str, cls: type[T], what: str) -> T:
    """The config of class `cls` from the file's section, or from all of it where there is no such section.

    Args:
        path: YAML file.
        section: its section.
        cls: class of the config; options that the file leaves out take its defaults.
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
    if not isinstance(data, dict):
        raise FormatError(f"{path}: must hold names and values; {example}")
    try:
        return from_dict(cls, data.get(section, data))
    except InputError:
        raise
    except (TypeError, AttributeError, ValueError) as error:
        raise ConfigError(f"{path}: a value has the wrong type ({error})") from error
