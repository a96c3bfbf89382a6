"""Options of the reproduction of the paper. Imports no JAX."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from rvaejax.errors import ConfigError
from rvaejax.pipeline.config import RunConfig, check_training

QUICK = {
    "frames": 4,
    "steps": 150,
    "baseline_steps": 40,
    "large_baseline_steps": 20,
    "rows": 1500,
    "manifold": 5,
    "large_window_nm": 0.7,
}
QUICK_SIZE_PX = 176


@dataclass(frozen=True)
class PaperOptions:
    """Options of the reproduction.

    Attributes:
        movie: the paper's movie or your own: a table of its atoms' coordinates, or any file with frames; without this
            and --authors-array a movie like the paper's is simulated, and the results are compared with its truth.
        authors_array: the authors' public array (.npy, 50 x 512 x 512 with 1 channel for the experimental frames, 3 for
            their network's output: C, Si, background), instead of --movie.
        image: the recorded image of one frame, for figure 2, where the movie is a table of coordinates.
        px_nm: pixel size [nm] of the movie, where neither its file nor its lattice tells it.
        small_window_nm: side of the small windows [nm]; the paper's 24 px.
        large_window_nm: side of the large windows [nm]; the paper's 64 px.
        preset: of the rVAE: amortised, default, paper or paper-atomai.
        steps: training steps of each rVAE; by default the preset's.
        baseline_steps: training steps of the autoencoder and of the VAE on small windows.
        large_baseline_steps: the same on large ones, where the paper's autoencoder takes about a second a step on two
            cores.
        rows: most sub-images that GMM, autoencoder and VAE are fitted to, drawn at random.
        classes: components of each method.
        draws: disjoint draws of these sub-images, to each of which the mixtures are fitted anew: how far the similarity
            of their components hangs on that.
        manifold: images along each side of a latent manifold.
        share: of each frame's sub-images, for the training on a part of them.
        frames: use so many frames, evenly spaced, or simulate so many; by default all, and 50.
        max_seconds: time for the analysis of each window; what follows is not counted.
        small: a small trial of everything: few frames, short trainings.
        seed: the one source of randomness.
    """

    movie: Path | None = None
    authors_array: Path | None = None
    image: Path | None = None
    px_nm: float | None = None
    small_window_nm: float = 0.377
    large_window_nm: float = 1.0
    preset: str = "amortised"
    steps: int | None = None
    baseline_steps: int = 600
    large_baseline_steps: int = 200
    rows: int = 20_000
    classes: int = 9
    draws: int = 5
    manifold: int = 9
    share: float = 0.25
    frames: int | None = None
    max_seconds: float = 900.0
    small: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_training(self.preset, self.steps, self.max_seconds, self.seed)
        if self.movie is not None and self.authors_array is not None:
            raise ConfigError("--movie and --authors-array exclude each other; give one of them")
        if not 0 < self.small_window_nm < self.large_window_nm or not math.isfinite(self.large_window_nm):
            sizes = f"{self.small_window_nm:g} and {self.large_window_nm:g} nm"
            raise ConfigError(f"the small window must be smaller than the large one, got {sizes}")
        if not 0 < self.share <= 1:
            raise ConfigError(f"--share must be above 0 and at most 1, got {self.share:g}")
        least = {
            "baseline_steps": 1,
            "large_baseline_steps": 1,
            "rows": 100,
            "classes": 2,
            "draws": 2,
            "manifold": 2,
            "frames": 1,
        }
        for name, low in least.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise ConfigError(f"--{name.replace('_', '-')} must be at least {low}, got {value}")

    @property
    def in_full(self) -> PaperOptions:
        """The options with what `small` stands for; a value of one's own goes before it."""
        if not self.small:
            return self
        own = PaperOptions()
        changed = {name: value for name, value in QUICK.items() if getattr(self, name) == getattr(own, name)}
        return replace(self, **changed)  # type: ignore[arg-type]

    def window(self, large: bool) -> RunConfig:
        """The run for one size of windows."""
        return RunConfig(
            preset=self.preset,
            window_nm=self.large_window_nm if large else self.small_window_nm,
            steps=self.steps,
            max_seconds=self.max_seconds,
            seed=self.seed,
        )
