"""Options of a scan over configurations of the rVAE, and the candidates that they name. Imports no JAX."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from rvaejax.config import from_dict, to_dict
from rvaejax.errors import ConfigError
from rvaejax.nets.config import MLPEncoder, PolarEncoder
from rvaejax.pipeline.config import check_training
from rvaejax.rvae.config import RVAEConfig

MOVEMENTS = ("rotation", "shift", "scale")


@dataclass(frozen=True)
class ScanOptions:
    """Options of a scan: the candidates are all combinations of what is listed.

    Attributes:
        preset: what all candidates start from: default, paper, paper-atomai, amortised or spectra.
        config: YAML file with options, which go before the preset's.
        content_dims: numbers of content latents.
        windows: sides of windows, cut from the middle of the sub-images [px]; none for the whole ones.
        invariances: each one of none, rotation, shift, scale, or several joined by +; none given for the preset's.
            Without rotation a polar encoder, which is blind to it, gives way to a perceptron.
        vary: further options, each as name=value,value: "content_weight=1,4", "decoder.hidden=32,64".
        seeds: trainings of each candidate, side by side; two or more tell how stable it is.
        steps: training steps of each; by default the preset's.
        max_seconds: seconds for everything; each candidate gets its share.
        rows: held-out sub-images on which reconstruction and leakage are measured.
        seed: the one source of randomness.
    """

    preset: str = "default"
    config: Path | None = None
    content_dims: tuple[int, ...] = (1, 2, 3)
    windows: tuple[int, ...] = ()
    invariances: tuple[str, ...] = ()
    vary: tuple[str, ...] = ()
    seeds: int = 2
    steps: int | None = None
    max_seconds: float = 600.0
    rows: int = 400
    seed: int = 0

    def __post_init__(self) -> None:
        check_training(self.preset, self.steps, self.max_seconds, self.seed)
        check_training(self.preset, None, None, self.seed + self.seeds)
        for name, least in (("seeds", 1), ("rows", 20)):
            if getattr(self, name) < least:
                raise ConfigError(f"--{name} must be at least {least}, got {getattr(self, name)}")
        for name in ("content_dims", "windows"):
            if any(value < 1 for value in getattr(self, name)):
                raise ConfigError(f"--{name.replace('_', '-')} must be at least 1, got {min(getattr(self, name))}")
        for text in self.invariances:
            _pose(text)


@dataclass(frozen=True)
class Candidate:
    """One configuration of a scan.

    Attributes:
        varied: what tells it from the others: option and value.
        config: all of it.
        window: side of the window [px]; None for the whole sub-image.
    """

    varied: dict[str, Any]
    config: RVAEConfig
    window: int | None

    @property
    def name(self) -> str:
        """Short, and fit for a folder."""
        parts = (f"{key.rsplit('.', 1)[-1]}-{value}" for key, value in self.varied.items())
        return "_".join(parts).replace("/", "-").replace(" ", "") or "only"


def candidates(options: ScanOptions, base: RVAEConfig) -> list[Candidate]:
    """All combinations.

    Raises:
        ConfigError: an option is unknown or makes no sense, or two candidates would be the same.
    """
    axes: list[tuple[str, tuple[Any, ...]]] = [("content_dim", options.content_dims or (base.content_dim,))]
    axes += [("window", options.windows)] if options.windows else []
    axes += [("invariances", options.invariances)] if options.invariances else []
    axes += [_axis(text) for text in options.vary]
    names = [name for name, _ in axes]
    if len(set(names)) < len(names):
        raise ConfigError(f"--vary: {next(n for n in names if names.count(n) > 1)} is varied twice; name it once")
    made = [
        _candidate(base, dict(zip(names, values, strict=True))) for values in itertools.product(*(v for _, v in axes))
    ]
    folders = [candidate.name for candidate in made]
    if len(set(folders)) < len(folders):
        raise ConfigError(f"{next(f for f in folders if folders.count(f) > 1)} is listed twice; list each value once")
    return made


def _axis(text: str) -> tuple[str, tuple[Any, ...]]:
    name, _, values = text.partition("=")
    try:
        listed = yaml.safe_load(f"[{values}]")
    except yaml.YAMLError as error:
        raise ConfigError(f"--vary {text}: not readable; write it as content_weight=1,4") from error
    if not name or not listed:
        raise ConfigError(f"--vary {text}: names no values; write it as content_weight=1,4")
    return name, tuple(listed)


def _candidate(base: RVAEConfig, varied: dict[str, Any]) -> Candidate:
    plain = to_dict(base)
    for path, value in varied.items():
        if path not in ("window", "invariances"):
            _set(plain, path, value)
    if "invariances" in varied:
        wanted = _pose(varied["invariances"])
        plain["pose"] |= wanted
        if not wanted["rotation"] and base.target is None and plain["encoder"]["kind"] == PolarEncoder.__name__:
            plain["encoder"] = to_dict(MLPEncoder())
    return Candidate(varied, from_dict(RVAEConfig, plain), varied.get("window"))


def _set(plain: dict[str, Any], path: str, value: Any) -> None:
    *above, last = path.split(".")
    for part in above:
        plain = plain.get(part)  # type: ignore[assignment]
        if not isinstance(plain, dict):
            raise ConfigError(f"--vary {path}: there is no section {part!r} in the options of the rVAE")
    if last not in plain:
        raise ConfigError(
            f"--vary {path}: there is no such option; it has {', '.join(k for k in plain if k != 'kind')}"
        )
    plain[last] = value


def _pose(text: str) -> dict[str, bool]:
    words = [] if text == "none" else text.split("+")
    unknown = [word for word in words if word not in MOVEMENTS]
    if unknown:
        raise ConfigError(
            f"--invariances {text}: {unknown[0]!r} is not one of none, {', '.join(MOVEMENTS)}; join with +"
        )
    return {name: name in words for name in MOVEMENTS}


def training_of(config: RVAEConfig, options: ScanOptions) -> RVAEConfig:
    """The configuration with the scan's number of steps, and without a limit that would tie seeds together."""
    changed = {} if options.steps is None else {"steps": options.steps}
    if options.seeds > 1:
        changed["clip"] = None  # type: ignore[assignment]
    return replace(config, training=replace(config.training, **changed))  # type: ignore[arg-type]
