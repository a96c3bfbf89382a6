"""This project's segmenter against AtomAI's Segmentor: the same images, the same wall time, the same score.

Both learn from scratch from the same 320 images with masks (192 x 192 px of 16 pm, 2 to 400 counts) for the same time,
one after the other on the same machine, compilation counted. Then both see multislice images that neither learned
from, over dose and pixel size; AtomAI gets them resampled to the pixel that it was trained at, which favours it away
from 16 pm. The weights that ship with the package stand beside. Scores by `rvaejax.analysis.scores`, or with --scorer
by any script that takes TRUTH.csv and ATOMS.csv and prints them as JSON.

Command:    python experiments/benchmarks/segmenter_against_atomai.py --peer-python PYTHON --seconds 300
PYTHON is that of an environment with torch, atomai==0.8.1 and six; the versions stand in the result.
Parts alone: --part speed times both side by side (AtomAI trained for --seconds before, 60 are enough for it to find the
            atoms), 3 minutes; --part shipped scores the weights that ship, 4 minutes. Both renew what the result of a
            whole run says of them and leave the rest, as the result says under "renewed".
Result:     experiments/benchmarks/results/segmenter_against_atomai.json, and the figure beside it.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import tyro
from segmenter_figure import draw
from segmenter_sets import TRAIN_PX_NM, Shot, cramer_rao_pm, scenes, shoot, training_images
from segmenter_sides import frames_per_second, peer, peers_atoms, peers_view, save_training, speed_frames

from rvaejax.analysis.scores import match_atoms, score_atoms
from rvaejax.atoms.config import LocalisationConfig
from rvaejax.atoms.localise import find_atoms
from rvaejax.errors import NoAtomsError
from rvaejax.io.pairs import PairSource, read_pairs
from rvaejax.io.tables import write_atoms
from rvaejax.segmentation.config import SegmenterConfig, ValidationConfig
from rvaejax.segmentation.pairs import PairStack, movies, stack
from rvaejax.segmentation.predict import segment
from rvaejax.segmentation.record import Segmenter
from rvaejax.segmentation.train import train_segmenter
from rvaejax.types import Atoms, Movie

DOSES, PIXELS = (2.0, 5.0, 10.0, 20.0, 40.0, 100.0, 200.0, 400.0), (0.008, 0.012, 0.016, 0.02, 0.025, 0.03)
TABLE_PIXELS, TABLE_DOSES = (0.015, 0.016, 0.018, 0.02), (5.0, 40.0, 200.0)
RESULTS = Path(__file__).with_name("results")
NAME = "segmenter_against_atomai"
LOOKS = 1.5


@dataclass(frozen=True)
class Options:
    """What to run."""

    peer_python: Path
    """Python of AtomAI's environment."""
    part: Literal["all", "speed", "shipped"] = "all"
    """What to measure: everything, or one part of an earlier result anew."""
    seconds: float = 300.0
    """Training time of each."""
    images: int = 320
    """Training images."""
    specimens: int = 8
    """Multislice specimens."""
    scorer: Path | None = None
    """Script to score with instead of the package's function."""
    out: Path = RESULTS
    """Folder for the results."""


def known_sets(specimens: int) -> dict[str, Shot]:
    """Multislice images by name: dose at 16 pm, pixel size at 40 counts, and the table's."""
    group = scenes(specimens)
    wanted = {(dose, TRAIN_PX_NM) for dose in DOSES} | {(40.0, px) for px in PIXELS}
    wanted |= {(dose, px) for dose in TABLE_DOSES for px in TABLE_PIXELS}
    return {f"{1000 * px:g} pm, {dose:g} counts": shoot(group, dose, px) for dose, px in sorted(wanted)}


def score(shot: Shot, found: Atoms, scorer: Path | None) -> dict[str, float]:
    """Detection, position and species, by the package's function or by a script."""
    size = shot.frames.shape[1:]
    if scorer is None:
        return {k: float(v) for k, v in score_atoms(shot.truth, found, size=size)._asdict().items()}
    with tempfile.TemporaryDirectory() as folder:
        truth, atoms = Path(folder) / "truth.csv", Path(folder) / "atoms.csv"
        write_atoms(truth, shot.truth)
        write_atoms(atoms, found)
        px = str(shot.truth.pixel_size_nm)
        command = [sys.executable, str(scorer), str(truth), str(atoms), "--px-nm", px]
        done = subprocess.run([*command, "--size", str(size[1]), str(size[0])], capture_output=True, check=True)
    return json.loads(done.stdout)


def within_one_sd(shot: Shot, found: Atoms, border_px: float = 8.0) -> float:
    """Share of the errors along an axis that lie within one stated standard deviation."""
    rows, columns = match_atoms(shot.truth, found)
    truth = np.column_stack([shot.truth.x, shot.truth.y])[rows]
    h, w = shot.frames.shape[1:]
    inside = ((truth >= border_px) & (truth <= np.array([w, h]) - 1 - border_px)).all(1)
    error = np.abs(np.column_stack([found.x, found.y])[columns] - truth)[inside]
    return float((error < found.sd[columns][inside, None]).mean())


def ours(segmenter: Segmenter | None, shot: Shot, *, refine: bool = True) -> Atoms:
    """Atoms that this project finds; by default with the weights that ship."""
    movie = Movie(shot.frames, shot.truth.pixel_size_nm, "option", name="benchmark")
    try:
        return find_atoms(segment(movie, segmenter=segmenter), config=LocalisationConfig(refine=refine))
    except NoAtomsError:
        return shot.truth.select(np.zeros(0, int))


def train_ours(pairs: Path, held_out: Shot, seconds: float) -> tuple[Segmenter, list[list[float]], int]:
    """The segmenter after `seconds`, [seconds, F1] on the held-out images on the way, and the steps taken."""
    config = SegmenterConfig(
        steps=100_000, pairs_fraction=1.0, average=0.98, validation=ValidationConfig(every=20, patience=None)
    )
    examples = stack(movies(read_pairs(PairSource(file=pairs), config.species)), config)
    began, away, look, curve = time.monotonic(), 0.0, 10.0, []

    def evaluate(params: Any) -> dict[str, float]:
        nonlocal away, look
        spent = time.monotonic() - began - away
        if spent < look:
            return {}
        paused = time.monotonic()
        found = ours(Segmenter(config, (params,)), held_out, refine=False)
        curve.append([spent, score(held_out, found, None)["f1"]])
        look *= LOOKS
        away += time.monotonic() - paused
        return {}

    few = PairStack(*(part[:8] for part in examples))
    result = train_segmenter(
        config, seed=0, pairs=examples, held_out_pairs=few, evaluate=evaluate, deadline=began + seconds
    )
    return Segmenter(config, (result.state.average,)), curve, int(result.state.step)


def speed_alone(options: Options, result: dict[str, Any], held_out: Shot) -> None:
    """Frames per second of both, anew."""
    speed = speed_frames(shoot(scenes(options.specimens), 40.0, TRAIN_PX_NM))
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        save_training(work, options.images)
        np.savez(work / "sets.npz", held_out=held_out.frames, speed=speed)
        facts = peer(options.peer_python, options.seconds, work)
    result["ours"]["frames per second"] = frames_per_second(speed)
    for name in ("frames_per_second", "atoms_per_speed_frame", "versions"):
        result["atomai"][name] = facts[name]
    result.setdefault("renewed", {})["speed"] = {"jax": jax.__version__, "AtomAI trained for s": facts["seconds"]}


def scored_as_shipped(shot: Shot, scorer: Path | None) -> dict[str, Any]:
    """Scores of the weights that ship, and the share of errors within one stated standard deviation."""
    found = ours(None, shot)
    return {"shipped": score(shot, found, scorer), "shipped, within one sd": within_one_sd(shot, found)}


def shipped_alone(options: Options, result: dict[str, Any]) -> None:
    """The shipped weights' scores, anew."""
    for name, shot in known_sets(options.specimens).items():
        result["multislice"][name] |= scored_as_shipped(shot, options.scorer)
        print(name, json.dumps(result["multislice"][name]["shipped"]), flush=True)
    result.setdefault("renewed", {})["shipped"] = {"jax": jax.__version__}


def held_out_images() -> Shot:
    """Images like those of the training, for curves."""
    held = training_images(12, seed=99)
    ones = np.ones(len(held["frame"]))
    x, y = held["xy"].T.astype(float)
    atoms = Atoms(held["frame"], x, y, held["species"], ones, 0 * ones, TRAIN_PX_NM)
    return Shot(held["images"], held["images"], atoms)


def everything(options: Options, held_out: Shot) -> dict[str, Any]:
    """Trains both and scores both."""
    sets = known_sets(options.specimens)
    speed = speed_frames(sets["16 pm, 40 counts"])
    result: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "jax": jax.__version__,
        "seconds of training each": options.seconds,
        "training images": options.images,
    }
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        save_training(work, options.images)
        views = {name: peers_view(shot) for name, shot in sets.items()}
        np.savez(work / "sets.npz", held_out=held_out.frames, speed=speed, **{k: v for k, (v, _) in views.items()})
        segmenter, curve, steps = train_ours(work / "train.npz", held_out, options.seconds)
        fps = frames_per_second(speed)
        result["ours"] = {"steps": steps, "seconds and held-out F1": curve, "frames per second": fps}
        facts = peer(options.peer_python, options.seconds, work)
        found = np.load(work / "atomai.npz")
        looks = [
            [seconds, score(held_out, peers_atoms(found[f"look_{i}"], held_out, 1.0), None)["f1"]]
            for i, seconds in enumerate(facts["look_seconds"])
        ]
        result["atomai"] = {**facts, "seconds and held-out F1": looks}
        for name, shot in sets.items():
            result.setdefault("multislice", {})[name] = {
                "trained here": score(shot, ours(segmenter, shot), options.scorer),
                **scored_as_shipped(shot, options.scorer),
                "atomai": score(shot, peers_atoms(found[name], shot, views[name][1]), options.scorer),
                "Cramér-Rao bound pm": cramer_rao_pm(shot) if shot.truth.pixel_size_nm >= TRAIN_PX_NM / 2 else None,
            }
            print(name, json.dumps(result["multislice"][name]), flush=True)
    return result


def main(options: Options) -> None:
    """Measures, and writes figure and numbers."""
    logging.getLogger("rvaejax").setLevel(logging.ERROR)
    path = options.out / f"{NAME}.json"
    if options.part == "all":
        result = everything(options, held_out_images())
    else:
        if not path.is_file():
            raise SystemExit(f"{path}: no earlier result to renew; run --part all first")
        result = json.loads(path.read_text())
        if options.part == "speed":
            speed_alone(options, result, held_out_images())
        else:
            shipped_alone(options, result)
    options.out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    draw(result, options.out / f"{NAME}.png")


if __name__ == "__main__":
    main(tyro.cli(Options))
