"""How fast multislice images are, against abTEM's multislice: same specimen, grid and probe positions, same run.

Claim: not slower than abTEM. Two figures for each specimen: like for like (the same pixels, the whole cell, the same
positions, from atoms to detected intensities), and this package's defaults (window around the probe, pixels only as
fine as the detector needs, scan steps at the Nyquist limit) for an image of the same field. abTEM gets the fewest
slices that hold the atoms, too. Both are warm: compiled and imported; the runs alternate.

Command:    python experiments/benchmarks/multislice_against_abtem.py --abtem-python PATH
Wall time:  3 minutes on 2 CPU cores, which had other work to do as well
Result:     like for like 12 times (graphene with Si) and 3.6 times (MoS2) as many positions a second as abTEM 1.0.11;
            the same image by default settings 24 and 4.2 times as fast. First calls compile for a few seconds more.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve()
KV, CONVERGENCE, DETECTOR = 100, 30.0, (80, 200)
CASES = {  # cells, pixels (x, y), probe positions (x, y)
    "graphene": {"cells": (2.0, 2.1), "grid": (336, 360), "scan": (28, 30)},
    "mos2": {"cells": (1.9, 2.2), "grid": (320, 378), "scan": (20, 21)},
}


def abtem_worker() -> None:
    """Run by abTEM's interpreter: a case as one line of JSON in, seconds and intensities as one line out."""
    import abtem
    import dask
    from ase import Atoms

    dask.config.set(scheduler="threads", num_workers=2)
    print(json.dumps({"abtem": abtem.__version__, "python": platform.python_version()}), flush=True)
    for line in sys.stdin:
        case = json.loads(line)
        start = time.perf_counter()
        atoms = Atoms(case["numbers"], positions=10 * np.array(case["positions"]), cell=10 * np.array(case["cell"]))
        atoms.pbc = True
        potential = abtem.Potential(
            atoms,
            gpts=case["grid"],
            slice_thickness=10.01 * case["slice_nm"],  # else rounding makes one slice too many
            parametrization="kirkland",
            projection="infinite",
        )
        probe = abtem.Probe(energy=1e3 * KV, semiangle_cutoff=CONVERGENCE)
        grid = abtem.GridScan((0, 0), potential.extent, gpts=case["scan"], endpoint=False)
        # of 8, 16, 32 waves at once and the default, 32 were the quickest
        image = probe.scan(potential, scan=grid, detectors=abtem.AnnularDetector(*DETECTOR), max_batch=32)
        image = image.compute(progress_bar=False)
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "image": np.asarray(image.array).T.tolist()}), flush=True)


def ours(name: str):
    """The case for abTEM, and two functions that compute images: like for like, and by default settings."""
    import jax

    from rvaejax.simulate.multislice.config import DetectorConfig, MicroscopeConfig, MultisliceConfig
    from rvaejax.simulate.multislice.grid import Grid
    from rvaejax.simulate.multislice.image import Layout, detect, stem_image
    from rvaejax.simulate.multislice.optics import optics
    from rvaejax.simulate.multislice.propagate import cut_slices
    from rvaejax.simulate.multislice.specimen import MOS2_NM, graphene, molybdenum_disulfide

    case = CASES[name]
    sheet = graphene(case["cells"], silicon=2) if name == "graphene" else molybdenum_disulfide(case["cells"])
    spacing = 1.0 if name == "graphene" else MOS2_NM[1]
    positions, numbers, cell = (np.asarray(a, float) for a in sheet)
    planes = 1 if name == "graphene" else 3
    positions[:, 2] += spacing / 2 - positions[:, 2].min()
    cell[2] = planes * spacing
    spec = {
        "positions": positions.tolist(),
        "numbers": numbers.astype(int).tolist(),
        "cell": cell.tolist(),
        "grid": case["grid"],
        "scan": case["scan"],
        "slice_nm": spacing,
    }
    grid = Grid(case["grid"][::-1], (float(cell[1]), float(cell[0])))
    layout = Layout(grid, grid, case["scan"][::-1], (1, 1))
    detectors, microscope = (DetectorConfig("HAADF", *DETECTOR),), MicroscopeConfig(KV, CONVERGENCE)
    compiled = jax.jit(detect, static_argnames=("layout", "detectors"))

    def like_for_like():
        slices = cut_slices(positions[:, 2], numbers.astype(int), slice_nm=0.1)
        out = compiled(
            positions[:, :2].astype(np.float32), sheet.numbers, slices, optics(microscope), layout, detectors
        )
        return np.asarray(out)[0]

    def by_default():
        return np.asarray(stem_image(sheet, microscope, detectors, MultisliceConfig(), key=jax.random.key(0)).images)[0]

    return spec, like_for_like, by_default


def timed(function):
    """Seconds and result."""
    start = time.perf_counter()
    out = function()
    return time.perf_counter() - start, out


def compare(name: str, worker: subprocess.Popen, repeats: int) -> dict:
    """One specimen: alternates both programs and compares the medians."""
    from rvaejax.simulate.multislice.config import DetectorConfig, MicroscopeConfig, MultisliceConfig
    from rvaejax.simulate.multislice.image import lay_out

    spec, like_for_like, by_default = ours(name)
    first = timed(like_for_like)[0], timed(by_default)[0]
    seconds = {"abtem": [], "like_for_like": [], "default": []}
    for _ in range(repeats + 1):  # the first warms abTEM up
        worker.stdin.write(json.dumps(spec) + "\n")
        worker.stdin.flush()
        answer = json.loads(worker.stdout.readline())
        seconds["abtem"].append(answer["seconds"])
        taken, image = timed(like_for_like)
        seconds["like_for_like"].append(taken)
        seconds["default"].append(timed(by_default)[0])
    median = {key: float(np.median(values[1:])) for key, values in seconds.items()}
    positions = int(np.prod(spec["scan"]))
    detectors = (DetectorConfig("HAADF", *DETECTOR),)
    layout = lay_out(
        spec["cell"], MicroscopeConfig(KV, CONVERGENCE), detectors, MultisliceConfig(), limited=name != "graphene"
    )
    needed = int(np.prod(layout.scan_shape))
    other = np.array(answer["image"])
    return {
        "grid": spec["grid"],
        "positions": positions,
        "abtem_ms_per_position": 1e3 * median["abtem"] / positions,
        "rvaejax_ms_per_position": 1e3 * median["like_for_like"] / positions,
        "like_for_like_speedup": median["abtem"] / median["like_for_like"],
        "default_positions": needed,
        "default_image_seconds": median["default"],
        "abtem_same_image_seconds": median["abtem"] / positions * needed,
        "default_speedup": median["abtem"] / positions * needed / median["default"],
        "first_call_seconds": first,
        "correlation": float(np.corrcoef(image.ravel(), other.ravel())[0, 1]),
        "mean_ratio": float(image.mean() / other.mean()),
    }


def main() -> None:
    """Runs the benchmark and writes its figures."""
    import jax
    import tyro

    def options(abtem_python: str, repeats: int = 3, out: Path = HERE.parent / "results" / f"{HERE.stem}.json"):
        """Speed of multislice against abTEM's; `abtem_python`: an interpreter that has abTEM."""
        return abtem_python, repeats, out

    python, repeats, out = tyro.cli(options)
    worker = subprocess.Popen(
        [python, str(HERE), "--worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE.parent
    )
    versions = json.loads(worker.stdout.readline())
    result = {
        "versions": {**versions, "jax": jax.__version__, "rvaejax_python": platform.python_version()},
        "cpu_cores": len(os.sched_getaffinity(0)),
        "repeats": repeats,
        "cases": {name: compare(name, worker, repeats) for name in CASES},
    }
    worker.stdin.close()
    worker.wait()
    text = json.dumps(result, indent=2)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    abtem_worker() if "--worker" in sys.argv else main()
