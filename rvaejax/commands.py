"""The commands of the command line, each a frozen dataclass of its options. Imports no JAX.

`execute` carries a command out; what needs JAX is imported there.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from rvaejax.errors import ConfigError
from rvaejax.model_commands import Reproduce, Scan
from rvaejax.pipeline.config import RunConfig, SegmenterOptions, TrainOptions, check_seed
from rvaejax.run_commands import Check, Posterior, Report, Track
from rvaejax.simulate.config import MovieConfig

Input = tyro.conf.Positional[Path]
Flat = tyro.conf.OmitArgPrefixes


@dataclass(frozen=True)
class Demo:
    """Simulates a short Si-graphene movie with known truth, analyses it, prints scores against the truth."""

    out: Path
    """Folder for the results."""
    frames: int = 8
    """Frames of the movie."""
    size_px: int = 256
    """Side of a frame [px; of 16 pm unless --px-nm says otherwise]."""
    options: Annotated[RunConfig, tyro.conf.arg(name="")] = field(default_factory=lambda: RunConfig(max_seconds=200.0))
    overwrite: bool = False
    """Replace the results of an earlier demo."""
    resume: bool = False
    """Go on with a demo that was interrupted."""

    def execute(self) -> None:
        """Runs the demo and prints its scores."""
        from rvaejax.pipeline.demo import demo

        px_nm = MovieConfig.pixel_size_nm if self.options.px_nm is None else self.options.px_nm
        movie = MovieConfig(frames=self.frames, size_px=self.size_px, pixel_size_nm=px_nm)
        scores = demo(self.out, movie, self.options, overwrite=self.overwrite, resume=self.resume)
        width = max(map(len, scores))
        print("\n".join(f"{name:<{width}}  {value:g}" for name, value in scores.items()))
        print(f"report: {self.out / 'report.html'}")


@dataclass(frozen=True)
class Run:
    """Movie or image file to atoms, latents, figures and a report; several movies with one model, and compared."""

    input: tyro.conf.Positional[tuple[Path, ...]]
    """Movie, image, HDF5 file, folder of images, or table of coordinates; several for one model and a comparison."""
    out: Path
    """Folder for the results."""
    options: Annotated[RunConfig, tyro.conf.arg(name="")] = field(default_factory=RunConfig)
    overwrite: bool = False
    """Replace the results of an earlier run."""
    resume: bool = False
    """Go on with a run that was interrupted."""
    labels: tuple[str, ...] = ()
    """Of several movies: what each stands for (temperature, dose); by default their names."""
    pixel_sizes: tuple[float, ...] = ()
    """Of several movies: the pixel size of each [nm], in their order, instead of those of their files."""

    def __post_init__(self) -> None:
        if not self.input:
            raise ConfigError("INPUT is missing: name a movie, an image, or a table of coordinates")
        if self.labels and len(self.labels) != len(self.input):
            raise ConfigError(f"--labels: {len(self.labels)} for {len(self.input)} movies; give one for each")
        if self.labels and len(self.input) == 1:
            raise ConfigError(f"--labels {self.labels[0]}: labels tell several movies apart; leave it out for one")
        if self.pixel_sizes and len(self.pixel_sizes) != len(self.input):
            raise ConfigError(f"--pixel-sizes: {len(self.pixel_sizes)} for {len(self.input)} movies; give one for each")
        if self.pixel_sizes and len(self.input) == 1:
            raise ConfigError("--pixel-sizes are of several movies; give that of one with --px-nm")

    def execute(self) -> None:
        """Runs the whole way and says where the report is."""
        for label, one in self._found().items():
            sizes = f"{len(one.atoms)} atoms in {len(one.movie)} frames, {len(one.subimages)} sub-images"
            print(f"{label}: {sizes}" if len(self.input) > 1 else sizes)
        print(f"report: {self.out / 'report.html'}")

    def _found(self) -> dict[str, Any]:
        options: dict[str, Any] = {"overwrite": self.overwrite, "resume": self.resume}
        if len(self.input) == 1:
            from rvaejax.pipeline.run import run

            return {"": run(self.input[0], self.out, self.options, **options)}
        from rvaejax.pipeline.conditions import run_conditions

        options |= {"labels": self.labels, "pixel_sizes_nm": self.pixel_sizes}
        return run_conditions(self.input, self.out, self.options, **options)


@dataclass(frozen=True)
class Simulate:
    """Simulated images or a movie, with the truth beside it (FILE_truth.csv)."""

    out: Path
    """File to write, .npz."""
    kind: Literal["movie", "images"] = "movie"
    """A movie of one sheet under the beam, or independent images with per-pixel class labels."""
    frames: int = 8
    """Number of frames or images."""
    size_px: int = 256
    """Side of a frame [px]."""
    px_nm: float = 0.016
    """Pixel size [nm]."""
    counts: float = 60.0
    """Electrons per pixel at the peak of a C atom (movie only; images draw theirs)."""
    seed: int = 0
    """The one source of randomness."""
    overwrite: bool = False
    """Replace an existing file."""

    def execute(self) -> None:
        """Simulates and writes."""
        from rvaejax.pipeline.simulated import write_images, write_movie

        check_seed(self.seed)
        if self.out.suffix != ".npz":
            raise ConfigError(f"--out {self.out}: simulated frames are written as .npz; give a name that ends so")
        config = MovieConfig(frames=self.frames, size_px=self.size_px, pixel_size_nm=self.px_nm, counts=self.counts)
        write = write_movie if self.kind == "movie" else write_images
        truth = write(self.out, config, seed=self.seed, overwrite=self.overwrite)
        print(f"{self.out}, truth: {truth}")


@dataclass(frozen=True)
class Segment:
    """Movie or image to probability maps (maps.h5) and atoms.csv."""

    input: Input
    """Movie, image, HDF5 file or folder of images."""
    out: Path
    """Folder for the results."""
    px_nm: float | None = None
    """Pixel size [nm], where the file does not tell it."""
    threshold: float = 0.5
    """Least probability of an atom."""
    segmenter: Path | None = None
    """Folder of a segmenter that `train-segmenter` made; by default the one that ships with the package."""
    overwrite: bool = False
    """Replace earlier results."""

    def execute(self) -> None:
        """Segments, finds atoms, writes both."""
        from rvaejax.pipeline.segment import segment_file

        options: dict[str, Any] = {"px_nm": self.px_nm, "threshold": self.threshold, "segmenter": self.segmenter}
        atoms = segment_file(self.input, self.out, **options, overwrite=self.overwrite)
        print(f"{len(atoms)} atoms: {self.out / 'atoms.csv'}")


@dataclass(frozen=True)
class Train:
    """Trains an rVAE on a stack of sub-images."""

    subimages: Input
    """SUBIMAGES.npz: `images` (n, h, w) or (n, h, w, c)."""
    out: Path
    """Folder for the trained model."""
    options: Annotated[TrainOptions, tyro.conf.arg(name="")] = field(default_factory=TrainOptions)
    overwrite: bool = False
    """Replace an earlier training."""
    resume: bool = False
    """Go on with a training that was interrupted."""

    def execute(self) -> None:
        """Trains and saves."""
        started = time.monotonic()  # before JAX is imported, which counts
        from rvaejax.pipeline.stages import train_file

        model = train_file(
            self.subimages, self.out, self.options, overwrite=self.overwrite, resume=self.resume, started=started
        )
        for seed, bound, angle, content in model.seeds:
            agree = f"agrees with the best in angle to {angle:.2f}, in content to {content:.2f}"
            print(f"seed {seed}: held-out ELBO {bound:.5g}, {agree} (1 is perfect)")
        print(f"{model.steps} steps{model.ending}: {self.out}")


@dataclass(frozen=True)
class TrainSegmenter:
    """Trains a segmenter, or fine-tunes one, on simulated images and on your own."""

    out: Path
    """Folder for the segmenter, as `--segmenter` takes it."""
    options: Annotated[SegmenterOptions, tyro.conf.arg(name="")] = field(default_factory=SegmenterOptions)
    overwrite: bool = False
    """Replace an earlier training."""
    resume: bool = False
    """Go on with a training that was interrupted."""

    def execute(self) -> None:
        """Trains and saves."""
        started = time.monotonic()  # before JAX is imported, which counts
        from rvaejax.pipeline.segmenter import train_folder

        train_folder(self.out, self.options, overwrite=self.overwrite, resume=self.resume, started=started)
        print(f"segmenter: {self.out}")


@dataclass(frozen=True)
class Encode:
    """Latents of any sub-images with a trained rVAE."""

    run: Input
    """Folder of a training or a run."""
    subimages: Input
    """SUBIMAGES.npz."""
    out: Path
    """LATENTS.npz to write."""
    overwrite: bool = False
    """Replace an existing file."""

    def execute(self) -> None:
        """Encodes and writes."""
        from rvaejax.pipeline.stages import encode_file

        latents = encode_file(self.run, self.subimages, self.out, overwrite=self.overwrite)
        print(f"{len(latents)} latents: {self.out}")


COMMANDS: dict[str, Any] = {
    "demo": Demo,
    "run": Run,
    "simulate": Simulate,
    "segment": Segment,
    "train": Train,
    "train-segmenter": TrainSegmenter,
    "encode": Encode,
    "check": Check,
    "scan": Scan,
    "posterior": Posterior,
    "track": Track,
    "report": Report,
    "reproduce": Reproduce,
}
