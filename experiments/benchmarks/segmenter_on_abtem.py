"""The segmenter on images of another program: abTEM's, well, badly and very badly focused, over dose and pixel size.

`abtem_images.py` makes the specimens and the images (18 of 3 x 3 nm, 60 to 200 kV); this adds counting noise, finds the
atoms with the weights that ship (or with those of other folders, for a comparison) and scores them as
`segmenter_against_atomai.py` does, 8 px at the border left out.

Command:    python experiments/benchmarks/segmenter_on_abtem.py --abtem-python PYTHON
Wall time:  10 minutes for the images, 2 for the scores, on 2 CPU cores with other work
PYTHON is that of an environment with abtem==1.0.11 and ase. With --images FILE.npz an existing file is scored.
Result:     experiments/benchmarks/results/segmenter_on_abtem.json, there with --doses 5 40 200 --pixels 0.016 0.02.
            F1 1.0 but for very badly focused probes (0.992 to 0.996); radial error at 5 / 40 / 200 counts, 16 pm:
            focused 3.7 / 1.6 / 0.9 pm, badly 5.2 / 3.1 / 2.5 pm, very badly 8.6 / 5.1 / 4.4 pm; the same at 20 pm:
            4.4 / 1.9 / 1.0, 6.2 / 3.4 / 2.6, 9.4 / 5.9 / 4.5 pm. Within one standard deviation lie 59 to 73 % of the
            errors, of very badly focused probes at 200 counts 85 to 88 %: what their misfit pulls is overstated.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import tyro
from segmenter_against_atomai import ours, score, within_one_sd
from segmenter_sets import Scene, shoot

from rvaejax.segmentation.weights import load_segmenter

DOSES, PIXELS = (2.0, 5.0, 10.0, 40.0, 200.0, 400.0), (0.015, 0.016, 0.02)
MAKER = Path(__file__).with_name("abtem_images.py")
RESULTS = Path(__file__).with_name("results")


@dataclass(frozen=True)
class Options:
    """What to score, on what."""

    abtem_python: Path | None = None
    """Python of abTEM's environment, to make the images."""
    images: Path | None = None
    """Images that it made before."""
    segmenters: tuple[str, ...] = ("shipped",)
    """"shipped", or folders of trained segmenters."""
    doses: tuple[float, ...] = DOSES
    """Counts per C peak pixel."""
    pixels: tuple[float, ...] = PIXELS
    """Pixel sizes [nm]."""
    scorer: Path | None = None
    """Script to score with instead of the package's function."""
    out: Path = RESULTS
    """Folder for the result."""


def read_scenes(path: Path) -> dict[str, list[Scene]]:
    """The images by how they were focused."""
    groups: dict[str, list[Scene]] = {"focused": [], "badly focused": [], "very badly focused": []}
    with np.load(path) as stored:
        field, pad = float(stored["field_nm"]), float(stored["pad_nm"])
        cell = (field + 2 * pad,) * 2
        for number in range(len(json.loads(str(stored["settings"])))):
            for setting, name in enumerate(groups):
                fine = stored[f"image_{number}_{setting}"]
                xy, species = stored[f"xy_nm_{number}"], stored[f"species_{number}"]
                groups[name].append(Scene(fine, xy, species, cell, field, pad))
    return groups


def make_images(options: Options) -> Path:
    """The file of images, made if need be."""
    if options.images is not None:
        return options.images
    if options.abtem_python is None:
        raise SystemExit("give --abtem-python to make the images, or --images")
    path = Path(tempfile.mkdtemp()) / "abtem.npz"
    subprocess.run([str(options.abtem_python), str(MAKER), str(path)], check=True, stdout=sys.stderr)
    return path


def main(options: Options) -> None:
    """Scores and writes."""
    logging.getLogger("rvaejax").setLevel(logging.ERROR)
    groups = read_scenes(make_images(options))
    segmenters = {name: load_segmenter(None if name == "shipped" else name) for name in options.segmenters}
    result = {"jax": jax.__version__, "images": {name: len(group) for name, group in groups.items()}}
    for px in options.pixels:
        for dose in options.doses:
            for kind, group in groups.items():
                shot, row = shoot(group, dose, px), {}
                for name, segmenter in segmenters.items():
                    found = ours(segmenter, shot)
                    row[name] = {**score(shot, found, options.scorer), "within one sd": within_one_sd(shot, found)}
                result[f"{1000 * px:g} pm, {dose:g} counts, {kind}"] = row
                said = {n: [round(r["f1"], 4), round(r["rmse_pm"], 2)] for n, r in row.items()}
                print(f"{1000 * px:g} pm, {dose:g} counts, {kind}", json.dumps(said), flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "segmenter_on_abtem.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Options))
