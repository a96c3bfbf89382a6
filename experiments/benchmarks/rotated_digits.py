"""10,000 handwritten digits at every angle: angle and kinds, here and by AtomAI's rVAE and pyroVED's iVAE.

The digits are MNIST's: a file `images` (n, 28, 28) with `labels` (n,), the arrays `x_train` and `y_train` of the usual
mnist.npz, or the idx file of the images with that of the labels beside it. Each is turned about the window's centre by
an angle of its own, uniform on the circle; nothing is told of angles and labels. The peers' latents are looked at after
the same seconds of wall time, start included, and after `--longest`.

Scores: a is the recovered angle, t the one that was applied, R(x) = |mean of exp(i x)|. Of uniform angles the circular
correlation (Jammalamadaka and SenGupta 2001, 8.2) is R(a - t) - R(a + t). `circular_correlation` is that of all digits
together: it asks for one reference orientation of all digits, which nothing in the data gives. A decoder is free to
choose another one for each digit; `class_correlation` is the mean over the ten digits of each digit's own, and
`class_correlation_folded` takes the angles of 0, 1 and 8, which look the same after half a turn, modulo 180 degrees.
`cluster_accuracy`: a mixture of ten Gaussians on the content, best one-to-one match with the digits; `knn_accuracy`: 15
neighbours, first 75 % against last 25 %.

Command:    python experiments/benchmarks/rotated_digits.py --digits mnist.npz [--peer-python PYTHON]
            PYTHON is that of an environment with torch, atomai==0.8.1, six, pyroved==0.3.0
Wall time:  `--seconds` of each program, number of latents and seed; `--longest` for each of the peers
Results:    experiments/benchmarks/results/rotated_digits.json and .md; a case that is run anew replaces the one of
            before
Result:     10,000 MNIST digits, 2 latents, one seed, preset `amortised`, 57 s here, 52 and 50 s for the peers, 2 CPU
            cores to itself: circular correlation of each digit 0.72 (0.78 folded) and of all together 0.27 here, 0.00
            for both peers; clusters 0.51 against 0.18 and 0.20; neighbours 0.64 against 0.21 and 0.24. Each digit has
            a reference orientation of its own, as it may; 5 has the least (0.38), why is not looked into. The peers
            took 202 and 175 steps in this time (two epochs) and were not run until converged. 32 latents, beside
            little other work, 57 s here, 61 and 59 s for the peers: each digit 0.70 (0.77), together 0.07, clusters
            0.71, neighbours 0.88; AtomAI 0.00 (-0.01), 0.00, 0.24, 0.46; pyroVED 0.00 (0.15), 0.01, 0.24, 0.42. Preset
            `default`, 58 s beside other work: 2 latents 0.52 (0.67), together 0.10, clusters 0.37, neighbours 0.64; 32
            latents 0.73 (0.81), 0.25, 0.65, 0.88
"""

from __future__ import annotations

import gzip
import json
import os
import platform
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import rvae_against_peers
import tyro
import yaml
from rvae_scores import NEIGHBOURS, source
from scipy.ndimage import map_coordinates
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier

from rvaejax.analysis.kinds import class_accuracy

HERE = Path(__file__).parent
FOLDED = {0: 2, 1: 2, 8: 2}  # digits that look the same after half a turn
START = 4.0  # seconds that a peer's start takes, about; `seconds` of a result tells the whole
SCORES = ("circular_correlation", "class_correlation", "class_correlation_folded", "cluster_accuracy", "knn_accuracy")


@dataclass(frozen=True)
class Options:
    """What to run."""

    digits: Path
    """MNIST, as .npz or as idx (also .gz)."""
    labels: Path | None = None
    """Of an idx file of images, that of the labels."""
    peer_python: Path | None = None
    """Python of the peers' environment; without it, this project's rVAE alone."""
    programs: tuple[str, ...] = ("default", "amortised", "atomai", "pyroved")
    """A preset of this project, or a peer."""
    content_dims: tuple[int, ...] = (2, 32)
    """Content latents."""
    seeds: tuple[int, ...] = (0,)
    """Of every training."""
    count: int = 10_000
    """Digits, drawn at random."""
    seconds: float = 60.0
    """Wall time of each training."""
    longest: float = 60.0
    """Wall time at which the peers are looked at again; their learning rates are constant."""
    out: Path = HERE / "results" / "rotated_digits.json"
    """File of results."""


def read_digits(path: Path, labels: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, h, w) from 0 to 1 and labels (n,)."""
    if path.suffix == ".npz":
        with np.load(path) as file:
            names = ("x_train", "y_train") if "x_train" in file else ("images", "labels")
            images, label = (file[name] for name in names)
    else:
        images, label = _read_idx(path), _read_idx(labels or Path(str(path).replace("images-idx3", "labels-idx1")))
    return images.astype(np.float32) / (255 if images.max() > 1 else 1), label.astype(int)


def _read_idx(path: Path) -> np.ndarray:
    data = (gzip.open if path.suffix == ".gz" else open)(path, "rb").read()
    dims = struct.unpack_from(f">{data[3]}i", data, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(dims)


def turned(images: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """(n, h, w) images turned counter-clockwise about their centre, by cubic splines."""
    middle = (images.shape[1] - 1) / 2
    y, x = (line - middle for line in np.mgrid[: images.shape[1], : images.shape[2]])
    out = np.empty_like(images)
    for i, (image, a) in enumerate(zip(images, angle, strict=True)):
        # what is drawn at a point of the turned image lay, y pointing down, at the point turned back
        at = (x * np.sin(a) + y * np.cos(a) + middle, x * np.cos(a) - y * np.sin(a) + middle)
        out[i] = map_coordinates(image, at, order=3, mode="constant")
    return np.clip(out, 0, 1)


def correlation(found: np.ndarray, true: np.ndarray, fold: int = 1) -> float:
    """Circular correlation of angles of which the true ones are uniform."""
    minus, plus = (abs(np.exp(1j * fold * (found + sign * true)).mean()) for sign in (-1, 1))
    return float(minus - plus)


def scores(truth: dict[str, np.ndarray], latents: Path) -> dict[str, Any]:
    """All scores of a file of latents; see above."""
    with np.load(latents) as file:
        angle, content = np.asarray(file["angle"], float), np.asarray(file["content"], float)
    kind, true, kinds = truth["kind"], truth["angle"], np.unique(truth["kind"])
    own, folded = (
        [correlation(angle[kind == k], true[kind == k], fold.get(int(k), 1)) for k in kinds] for fold in ({}, FOLDED)
    )
    z = (content - content.mean(0)) / content.std()
    cut = int(0.75 * len(kind))
    mixture = GaussianMixture(len(kinds), n_init=3, random_state=0, reg_covar=1e-3).fit_predict(z)
    return {
        "circular_correlation": correlation(angle, true),
        "class_correlation": float(np.mean(own)),
        "class_correlation_folded": float(np.mean(folded)),
        "cluster_accuracy": class_accuracy(mixture, kind),
        "knn_accuracy": float(KNeighborsClassifier(NEIGHBOURS).fit(z[:cut], kind[:cut]).score(z[cut:], kind[cut:])),
        "of each digit": [round(v, 3) for v in own],
        "of each digit, folded": [round(v, 3) for v in folded],
    }


def run_ours(preset: str, dim: int, seed: int, data: Path, seconds: float, folder: Path) -> list[dict[str, Any]]:
    """By the command line: where the latents are, and when."""
    trained, latents, given = folder / "trained", folder / "ours.npz", folder / "options.yaml"
    given.write_text(yaml.safe_dump({"content_dim": dim}))
    command, began = [sys.executable, "-m", "rvaejax"], time.monotonic()
    words = ["--preset", preset, "--config", str(given), "--max-seconds", f"{seconds:g}", "--seed", str(seed)]
    subprocess.run([*command, "train", str(data), "--out", str(trained), *words], check=True, capture_output=True)
    took = time.monotonic() - began
    subprocess.run(
        [*command, "encode", str(trained), str(data), "--out", str(latents)], check=True, capture_output=True
    )
    return [{"due": seconds, "seconds": took, "latents": latents}]


def run_peer(program: str, dim: int, seed: int, data: Path, options: Options, folder: Path) -> list[dict[str, Any]]:
    """One training of a peer, with two looks."""
    asked = rvae_against_peers.Options(data=data, peer_python=options.peer_python, content_dim=dim)
    dues = sorted({options.seconds, options.longest})
    looks = [due - START for due in dues]
    run = rvae_against_peers.train_peer(asked, program, seed, looks, folder, rvae_against_peers.NO_GPU)
    return [
        {"due": due, "seconds": look["seconds"] + run["start_seconds"], "latents": folder / f"look_{i}.npz"}
        | {"steps": look["steps"], "versions": run["versions"]}
        for i, (due, look) in enumerate(zip(dues, run["looks"], strict=False))
    ]


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown, a line for each."""
    lines = ["| latents | program | trained for | " + " | ".join(s.replace("_", " ") for s in SCORES) + " |"]
    lines.append("| --- " * (3 + len(SCORES)) + "|")
    for r in rows:
        values = " | ".join(f"{r[name]:.3f}" for name in SCORES)
        lines.append(f"| {r['latents']} | {r['program']} | {r['seconds']:.0f} s | {values} |")
    return "\n".join(lines) + "\n"


def save(found: list[dict[str, Any]], options: Options) -> str:
    """Adds rows to the results; the table of all."""
    known = json.loads(options.out.read_text())["rows"] if options.out.exists() else []
    by_case = {(r["latents"], r["program"], r["due"], r["seed"]): r for r in (*known, *found)}
    rows = [by_case[case] for case in sorted(by_case)]
    facts = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {"python": platform.python_version(), "jax": jax.__version__, "numpy": np.__version__},
        "digits": options.count,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(facts | {"rows": rows}, indent=1) + "\n")
    options.out.with_suffix(".md").write_text(table(rows))
    return table(rows)


def main(options: Options) -> None:
    """Turns the digits, trains everything on them, scores, writes results after each."""
    images, kind = read_digits(options.digits, options.labels)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(images))[: options.count]
    images, kind, angle = images[order], kind[order], rng.uniform(-np.pi, np.pi, len(order))
    peers = [p for p in options.programs if p in rvae_against_peers.PEERS]
    presets = [p for p in options.programs if p not in peers]
    with tempfile.TemporaryDirectory() as name:
        data = Path(name) / "digits.npz"
        np.savez(data, images=turned(images, angle))
        for dim in options.content_dims:
            for seed in options.seeds:
                for program in (*presets, *(peers if options.peer_python else ())):
                    folder = Path(tempfile.mkdtemp(dir=name))
                    load = os.getloadavg()[0]
                    if program in peers:
                        looks = run_peer(program, dim, seed, data, options, folder)
                    else:
                        looks = run_ours(program, dim, seed, data, options.seconds, folder)
                    facts = {"program": program, "seed": seed, "load average": load, "code": source()}
                    rows = [
                        look | facts | scores({"kind": kind, "angle": angle}, look["latents"]) | {"latents": dim}
                        for look in looks
                    ]
                    print(save(rows, options), flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options))
