"""Configs as frozen dataclasses: to a plain dictionary and back, complete, with unknown options rejected.

A field whose type is a union of dataclasses (a family: one encoder out of several) is stored with the name of the
chosen class under `kind`. Imports no JAX.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, TypeVar

from rvaejax.errors import ConfigError

T = TypeVar("T")


def to_dict(config: Any) -> dict[str, Any]:
    """A config as nested dictionaries of plain values, every field written out."""
    out: dict[str, Any] = {"kind": type(config).__name__}
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if dataclasses.is_dataclass(value):
            out[f.name] = to_dict(value)
        else:
            out[f.name] = list(value) if isinstance(value, tuple) else value
    return out


def from_dict(cls: type[T], data: dict[str, Any]) -> T:
    """The config of class `cls` that `to_dict` wrote as `data`; missing fields take their defaults.

    Raises:
        ConfigError: an option is unknown, or a family has no member of the given kind.
    """
    hints = typing.get_type_hints(cls)
    names = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(data) - names - {"kind"})
    if unknown:
        raise ConfigError(f"{cls.__name__} has no option {unknown[0]!r}; it has {', '.join(sorted(names))}")
    return cls(**{name: _value(hints[name], value, name) for name, value in data.items() if name != "kind"})


def _value(hint: Any, value: Any, name: str) -> Any:
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    options = typing.get_args(hint) if union else (hint,)
    families: list[Any] = [option for option in options if dataclasses.is_dataclass(option)]
    if families and isinstance(value, dict):
        by_name: dict[str, Any] = {option.__name__: option for option in families}
        kind = value.get("kind", next(iter(by_name)))
        if kind not in by_name:
            raise ConfigError(f"{name}: kind {kind!r} is not one of {', '.join(by_name)}")
        return from_dict(by_name[kind], value)
    return tuple(value) if isinstance(value, list) else value
