"""What the command line's `train --max-seconds S` and `encode` reach on labelled sets, over sets and seeds.

Claim: the preset `default` finds angle and kind within a minute of wall time, start and compilation included, from any
seed, on sets that it was not made for.

Command:    python experiments/benchmarks/rvae_quality.py --data SET.npz --seconds 60 --seeds 0 1 2 3 4 [--scorer S.py]
            python experiments/benchmarks/rvae_quality.py --group held --seconds 60 --seeds 0
Wall time:  sets x seeds x (seconds + 10 s), over `--jobs`
Results:    experiments/benchmarks/results/rvae_quality.json; a set, seed and budget that is measured anew replaces the
            row of before, the others stay

`--group` makes sets of `lattice_sets.py`. `wall_seconds` is the whole process of `train`; `load_average` tells who else
was computing. A scorer is a script that takes TRUTH.npz and LATENTS.npz and prints scores as JSON; without one, the
package's functions score, which do not judge shifts, clusters and stated errors.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import tyro
from lattice_sets import HELD, SETS, TUNE, make
from rvae_scores import score, source

HERE = Path(__file__).parent
GROUPS = {"none": {}, "tune": TUNE, "held": HELD, "all": SETS}
MINUTE = {"angle_R": (0.9, 1.0), "knn_accuracy": (0.97, 1.0), "leakage_r2": (-1.0, 0.05)}
LONG = {
    "angle_R": (0.98, 1.0),
    "angle_error_deg": (0.0, 2.5),
    "knn_accuracy": (0.98, 1.0),
    "cluster_accuracy": (0.95, 1.0),
    "leakage_r2": (-1.0, 0.05),
    "shift_error_px": (0.0, 0.3),
    "angle_z": (0.7, 1.4),
}


@dataclass(frozen=True)
class Options:
    """Trains by the command line, encodes, scores."""

    data: tuple[Path, ...] = ()
    """Labelled sets."""
    group: Literal["none", "tune", "held", "all"] = "none"
    """Sets to make besides."""
    names: tuple[str, ...] = ()
    """Of these, only those."""
    seconds: float = 60.0
    """Wall time of a training."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Of the trainings."""
    preset: str = "default"
    """To train."""
    jobs: int = 1
    """Trainings at a time; with more than one they take each other's time."""
    scorer: Path | None = None
    """Script that scores."""
    out: Path = HERE / "results" / "rvae_quality.json"
    """File of results."""


def command(*words: str) -> list[str]:
    """A command of this package."""
    return [sys.executable, "-m", "rvaejax", *words]


def run(options: Options, data: Path, seed: int, folder: Path) -> dict[str, Any]:
    """One training and its scores."""
    load, began = os.getloadavg()[0], time.monotonic()
    trained, latents = folder / f"{data.stem}-{seed}", folder / f"{data.stem}-{seed}.npz"
    words = ("--max-seconds", f"{options.seconds:g}", "--seed", str(seed), "--preset", options.preset)
    done = subprocess.run(command("train", str(data), "--out", str(trained), *words), capture_output=True, text=True)
    wall = time.monotonic() - began
    row: dict[str, Any] = {"set": data.stem, "seed": seed, "seconds": options.seconds, "preset": options.preset}
    row |= {"wall_seconds": round(wall, 2), "load_average": round(load, 2), "jobs": options.jobs}
    if done.returncode:
        return row | {"failed": done.stderr.strip()[-200:]}
    said = re.search(r"(\d+) steps", done.stdout)
    row["steps"] = int(said.group(1)) if said else None
    subprocess.run(command("encode", str(trained), str(data), "--out", str(latents)), check=True, capture_output=True)
    return row | score(data, latents, options.scorer)


def missed(row: dict[str, Any]) -> list[str]:
    """Criteria that a row does not meet; a shorter training than 300 s has the minute's."""
    wanted = LONG if row["seconds"] >= 300 else MINUTE
    return [k for k, (low, high) in wanted.items() if row.get(k) is not None and not low <= row[k] <= high]


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as text."""
    names = ("wall_seconds", "steps", *LONG)
    lines = [" ".join(["set".ljust(20), "seed", "budget", *(n[:12].rjust(12) for n in names), " missed"])]
    for row in rows:
        values = " ".join(str(row.get(n)).rjust(12) for n in names)
        said = row.get("failed") or ", ".join(missed(row)) or "-"
        lines.append(f"{row['set']:20s} {row['seed']:4d} {row['seconds']:6g} {values}  {said}")
    return "\n".join(lines)


def save(options: Options, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adds rows to the file of results; all that it holds then."""
    known = json.loads(options.out.read_text())["rows"] if options.out.exists() else []
    by_case = {(r["set"], r["seconds"], r["preset"], r["seed"]): r for r in (*known, *rows)}
    ordered = [by_case[case] for case in sorted(by_case)]
    facts = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {"python": platform.python_version(), "jax": jax.__version__, "numpy": np.__version__},
        "criteria": {"below 300 s": MINUTE, "from 300 s": LONG},
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    body = ",\n".join("  " + json.dumps(row) for row in ordered)
    head = json.dumps(facts, indent=1)[:-2]
    options.out.write_text(f'{head},\n "rows": [\n{body}\n ]\n}}\n')
    return ordered


def main(options: Options) -> None:
    """Runs every set and seed."""
    with tempfile.TemporaryDirectory() as name:
        folder, data = Path(name), list(options.data)
        for made, recipe in GROUPS[options.group].items():
            if options.names and made not in options.names:
                continue
            np.savez_compressed(folder / f"{made}.npz", **make(recipe))
            data.append(folder / f"{made}.npz")
        version = source()

        def one(case: tuple[Path, int]) -> dict[str, Any]:
            row = run(options, *case, folder) | {"code": version}
            print(table([row]).splitlines()[1], flush=True)
            return row

        with ThreadPoolExecutor(options.jobs) as pool:
            rows = []
            for row in pool.map(one, [(path, seed) for path in data for seed in options.seeds]):
                rows.append(row)
                save(options, rows)
    print(table(rows))


if __name__ == "__main__":
    main(tyro.cli(Options))
