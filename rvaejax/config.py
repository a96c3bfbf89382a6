"""Configs as frozen dataclasses: to a plain dictionary and back, complete, with unknown options rejected.

A field whose type is a union of dataclasses (a family: one encoder out of several) is stored with the name of the
chosen class under `kind`. Where the union holds a protocol too, classes of anybody's may be members: of these, `kind`
is the import path (`module:Class`), and the module is imported when the config is read. Imports no JAX.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import types
import typing
from typing import Any, TypeVar

from rvaejax.errors import ConfigError

T = TypeVar("T")


def to_dict(config: Any) -> dict[str, Any]:
    """A config as nested dictionaries of plain values, every field written out."""
    out: dict[str, Any] = {"kind": _kind(type(config))}
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if dataclasses.is_dataclass(value):
            out[f.name] = to_dict(value)
        else:
            out[f.name] = list(value) if isinstance(value, tuple) else value
    return out


def _kind(cls: type) -> str:
    own = cls.__module__.split(".")[0] != __name__.split(".")[0]
    return f"{cls.__module__}:{cls.__qualname__}" if own else cls.__name__


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
    if families and isinstance(value, dict | str):
        by_name: dict[str, Any] = {option.__name__: option for option in families}
        given = {"kind": value} if isinstance(value, str) else value  # a name alone: with its defaults
        kind = given.get("kind", next(iter(by_name)))
        if ":" in kind and any(getattr(option, "_is_protocol", False) for option in options):
            return from_dict(_imported(kind, name), given)
        if kind not in by_name:
            raise ConfigError(f"{name}: kind {kind!r} is not one of {', '.join(by_name)}")
        return from_dict(by_name[kind], given)
    if float in options and isinstance(value, str):
        value = _number(value)
    if not any(_fits(option, value) for option in options):
        wanted = " or ".join("null" if option is types.NoneType else option.__name__ for option in options)
        raise ConfigError(f"{name}={value!r} has the wrong type: it must be {wanted}")
    return tuple(value) if isinstance(value, list) else value


def _imported(kind: str, name: str) -> type[Any]:
    """The class that an import path names."""
    module, _, path = kind.partition(":")
    try:
        found = functools.reduce(getattr, path.split("."), importlib.import_module(module))
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"{name}: kind {kind!r} cannot be imported ({error}); put the class into a module on PYTHONPATH"
        ) from error
    if not (isinstance(found, type) and dataclasses.is_dataclass(found)):
        raise ConfigError(f"{name}: kind {kind!r} is not a dataclass")
    return found


def _number(text: str) -> float | str:
    """YAML takes 1e-3 for a word: only 1.0e-3 is a number there."""
    try:
        return float(text)
    except ValueError:
        return text


def _fits(hint: Any, value: Any) -> bool:
    """Whether a plain value is of the hinted type, as far as that is a plain one; choices are the config's to check."""
    if hint in (bool, str, types.NoneType):
        return isinstance(value, hint)
    if hint in (int, float):
        return isinstance(value, int if hint is int else (int, float)) and not isinstance(value, bool)
    if typing.get_origin(hint) is tuple:
        return isinstance(value, list | tuple)
    return not dataclasses.is_dataclass(hint)
