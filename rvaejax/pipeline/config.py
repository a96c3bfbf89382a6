"""Options of a whole run. Imports no JAX."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rvaejax.atoms.config import WindowConfig
from rvaejax.errors import ConfigError
from rvaejax.rvae.config import RVAEConfig, preset
from rvaejax.rvae.posterior.config import NutsConfig
from rvaejax.segmentation.config import SegmenterConfig

if TYPE_CHECKING:
    from rvaejax.io.pairs import PairSource


def check_seed(seed: int) -> None:
    """Raises `ConfigError` unless the number can seed every generator in use."""
    if not 0 <= seed < 2**32:
        raise ConfigError(f"--seed must lie between 0 and {2**32 - 1}, got {seed}")


def check_training(preset_name: str, steps: int | None, max_seconds: float | None, seed: int) -> None:
    """Raises `ConfigError` unless a training can have these options."""
    preset(preset_name)
    if max_seconds is not None and not (math.isfinite(max_seconds) and max_seconds > 0):
        raise ConfigError(f"--max-seconds must be positive, got {max_seconds:g}")
    if steps is not None and steps < 1:
        raise ConfigError(f"--steps must be at least 1, got {steps}")
    check_seed(seed)


@dataclass(frozen=True)
class RunConfig:
    """Options of a run.

    Attributes:
        preset: of the rVAE: default, amortised, paper or paper-atomai; None for `amortised` where windows are cut from
            probability maps, which know no light to set aside, and `default` where from raw frames.
        px_nm: pixel size [nm], where the file does not tell it; it wins over the file's where both are given.
        window_nm: side of the sub-images [nm]; 0.4 shows an atom's three neighbours, 1 the rings around it.
        window_px_nm: size of a sub-image's pixel [nm]; by default that of what it is cut from.
        source: what sub-images are cut from: the segmenter's probability maps, or the raw frames.
        centres: what they are centred on: atoms, a grid of points half a window apart, or the points of a table
            FILE.csv (columns frame, x_px, y_px; without a frame, of every frame).
        steps: training steps; by default the preset's.
        max_seconds: seconds for everything; the training is shortened to keep to them, and the report says so.
        segmenter: folder of a segmenter that `train-segmenter` made; by default the one that ships with the package.
        seed: the one source of randomness.
    """

    preset: str | None = None
    px_nm: float | None = None
    window_nm: float = 0.4
    window_px_nm: float | None = None
    source: Literal["maps", "frames"] = "maps"
    centres: str = "atoms"
    steps: int | None = None
    max_seconds: float = 900.0
    segmenter: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        WindowConfig(window_nm=self.window_nm, source=self.source)
        if self.window_px_nm is not None and not 0.001 <= self.window_px_nm <= self.window_nm / 8:
            raise ConfigError(
                f"--window-px-nm must lie between 0.001 and an eighth of the window, got {self.window_px_nm:g}"
            )
        if self.centres not in ("atoms", "grid") and Path(self.centres).suffix != ".csv":
            raise ConfigError(f"--centres is atoms, grid, or a table FILE.csv; got {self.centres!r}")
        check_training(self.of_rvae, self.steps, self.max_seconds, self.seed)

    @property
    def of_rvae(self) -> str:
        """The preset that is trained."""
        return self.preset or ("amortised" if self.source == "maps" else "default")


@dataclass(frozen=True)
class CheckConfig:
    """Options of the check of a trained rVAE.

    Attributes:
        rows: sub-images that are judged; of a training's own, some that it was not trained on.
        turns: copies of each at random angles.
        seed: of the choice of sub-images and of these angles.
    """

    rows: int = 500
    turns: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("rows", 20), ("turns", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"--{name} must be at least {least}, got {getattr(self, name)}")
        check_seed(self.seed)


@dataclass(frozen=True)
class PosteriorConfig:
    """Options of the sampling of posteriors.

    Attributes:
        rows: sub-images, drawn at random.
        these: row numbers of sub-images, instead.
        seed: of the choice and of the chains.
        nuts: the chains.
    """

    rows: int = 16
    these: tuple[int, ...] = ()
    seed: int = 0
    nuts: NutsConfig = NutsConfig()

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise ConfigError(f"--rows must be at least 1, got {self.rows}")
        check_seed(self.seed)


@dataclass(frozen=True)
class TrainOptions:
    """Options of the training of an rVAE on a stack of sub-images.

    Attributes:
        preset: default, paper, paper-atomai, amortised or spectra.
        config: YAML file with options, which go before the preset's; config.yaml of a training shows all of them.
        max_seconds: whole wall time [s], start and compilation included; the learning rate's schedule is shortened to
            fit.
        steps: training steps; by default the preset's.
        patience: evaluations without a better held-out ELBO after which the training ends; the best weights are kept.
        seed: the one source of randomness.
        seeds: trainings side by side, from this seed and those that follow it; the best by held-out ELBO is kept.
    """

    preset: str = "default"
    config: Path | None = None
    max_seconds: float | None = None
    steps: int | None = None
    patience: int | None = None
    seed: int = 0
    seeds: int = 1

    def __post_init__(self) -> None:
        check_training(self.preset, self.steps, self.max_seconds, self.seed)
        if self.seeds < 1:
            raise ConfigError(f"--seeds must be at least 1, got {self.seeds}")
        check_seed(self.seed + self.seeds - 1)
        if self.patience is not None and self.patience < 1:
            raise ConfigError(f"--patience must be at least 1, got {self.patience}")

    def applied_to(self, config: RVAEConfig) -> RVAEConfig:
        """The config with what these options set."""
        given = {"steps": self.steps, "patience": self.patience}
        changed = {name: value for name, value in given.items() if value is not None}
        return replace(config, training=replace(config.training, **changed))  # type: ignore[arg-type]


@dataclass(frozen=True)
class SegmenterOptions:
    """Options of the training of a segmenter.

    Attributes:
        config: YAML file with options; config.yaml of a trained segmenter shows all of them.
        steps: optimiser steps, instead of the config's.
        max_seconds: whole wall time [s], start and compilation included; the learning rate's schedule is shortened.
        learning_rate: its peak, instead of the config's.
        loss: instead of the config's: cross-entropy, focal or dice.
        start_from: weights to go on from: "shipped", or the folder of a trained segmenter.
        pairs: your own images: .npz with `images` (n, h, w) and `masks` (n, h, w; 0 background, 1, 2, ... species).
        images: folder of your own images, instead of --pairs.
        masks: folder of their masks, of the same names.
        points: table frame,x_px,y_px,species of the atoms in your images, instead of masks.
        px_nm: pixel size of your images [nm], where their files do not tell it.
        species: what the classes 1, 2, ... of your masks are; by default the segmenter's species.
        members: networks to train, one after the other; their mean is predicted, with their disagreement.
        seed: the one source of randomness; further members take the following numbers.
    """

    config: Path | None = None
    steps: int | None = None
    max_seconds: float | None = None
    learning_rate: float | None = None
    loss: Literal["cross-entropy", "focal", "dice"] | None = None
    start_from: str | None = None
    pairs: Path | None = None
    images: Path | None = None
    masks: Path | None = None
    points: Path | None = None
    px_nm: float | None = None
    species: tuple[str, ...] | None = None
    members: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        check_training("default", self.steps, self.max_seconds, self.seed)
        if self.members < 1:
            raise ConfigError(f"--members must be at least 1, got {self.members}")
        self.pair_source  # noqa: B018  checked there

    def applied_to(self, config: SegmenterConfig) -> SegmenterConfig:
        """The config with what these options set."""
        given = {"steps": self.steps, "learning_rate": self.learning_rate, "loss": self.loss}
        return replace(config, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]

    @property
    def pair_source(self) -> PairSource | None:
        """Where the user's pairs are, if there are any."""
        if all(given is None for given in (self.pairs, self.images, self.masks, self.points)):
            return None
        from rvaejax.io.pairs import PairSource  # NumPy and readers: not for --help

        return PairSource(self.pairs, self.images, self.masks, self.points, self.px_nm, self.species)

    @property
    def command(self) -> str:
        """The command by which the training can be repeated; config.yaml, beside the weights, says the rest."""
        words = ["rvaejax train-segmenter --out DIR --config config.yaml", f"--seed {self.seed}"]
        if self.members > 1:
            words.append(f"--members {self.members}")
        if self.start_from is not None:
            words.append(f"--start-from {'shipped' if self.start_from == 'shipped' else 'FOLDER'}")
        for name, value in (("pairs", "PAIRS.npz"), ("images", "DIR"), ("masks", "DIR"), ("points", "TABLE.csv")):
            words += [f"--{name} {value}"] if getattr(self, name) is not None else []
        if self.max_seconds is not None:
            words.append(f"--max-seconds {self.max_seconds:g}")
        return " ".join(words)
