"""Angle, kinds without labels, and kinds with ten labels each: this project beside pyroVED's iVAE, jiVAE and ssiVAE.

The rows of the table are fixed in `ROWS`, before anything is run. Each program has the same wall time, start and
compilation included; the peers then go on until their loss has not fallen by 0.1 % in `--patience` epochs, or for
`--longest` seconds; with `--only-longer` they do that alone, and what the same time gave stays as it was recorded;
with `--keep` such a training goes on from where an earlier one ended.
This project trains by its command line (`rvaejax train --max-seconds`, `rvaejax encode`), once for each row.

Command:    python experiments/benchmarks/priors_against_pyroved.py --data lattice32.npz --peer-python PYTHON
            (`images` (n, h, w), `kind`, `angle`, `symmetry` as truth for scoring; PYTHON is that of an environment with
            torch, pyroved==0.3.0) [--scorer S.py]
Wall time:  for each row and seed: `--seconds` here, and up to `--longest` for each of the peer's ways of training
Results:    experiments/benchmarks/results/priors_against_pyroved.json and .md; a row that is run anew replaces the one
            of before
Result:     3,000 graphene patches of 32 x 32 px, one seed, here by the preset `amortised`; the same time on two CPU
            cores to itself, the longer look (`--only-longer --longest 1500`) at the lowest priority beside other work,
            so that epochs and seconds of a core say more than its wall time. Angle's concentration 1.000 here after 57
            s, 0.021 for iVAE after 27 epochs (752 s of a core), when its loss had stood still for 20; neighbours' vote
            on the kind 1.000 and 0.503; leakage 0.000 and 0.592. Kinds without labels: 1.000 here after 31 s, 0.380
            for jiVAE after 71 epochs (2,638 s of a core; 0.347 after 10): its schedule and 20 more, in which its loss
            stood still. With ten labels each 1.000 after 27 s, 0.712 for ssiVAE after 28 epochs (1,177 s of a core;
            0.533 after 10), when its loss had stood still for 20
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro
import yaml
from rvae_scores import score, source
from worker_lines import worker

from rvaejax.analysis.kinds import class_accuracy

HERE = Path(__file__).parent
LABELS = 10  # of each kind
SMALL = {  # of both rows with classes; the rest is the preset `default`
    "content_dim": 1,
    "anneal_steps": 150,
    "encoder": {"orientations": 32, "hidden": 48, "harmonics": 12},
    "training": {"steps": 900, "batch_size": 32, "learning_rate": 4e-3},
}


@dataclass(frozen=True)
class Row:
    """What is compared.

    Attributes:
        task: what is asked for.
        ours: options over the preset `default`.
        peers: pyroVED's models, or ways of training one.
        scores: which of them count.
        labels: of each kind, that the training is given.
    """

    task: str
    ours: dict[str, Any]
    peers: tuple[str, ...]
    scores: tuple[str, ...]
    labels: int = 0


ROWS = (
    Row("angle and content", {}, ("iVAE",), ("angle_R", "knn_accuracy", "leakage_r2")),
    Row(
        "kinds without labels",
        SMALL | {"classes": {"kind": "Classes", "head_start": 400}},
        ("jiVAE", "jiVAE, schedule"),
        ("class_accuracy",),
    ),
    Row(
        "kinds with 10 labels each",
        SMALL | {"classes": {"kind": "Classes", "head_start": 400, "labels": "some"}},
        ("ssiVAE",),
        ("class_accuracy",),
        labels=LABELS,
    ),
)


@dataclass(frozen=True)
class Options:
    """What to run."""

    data: Path
    """Labelled sub-images."""
    peer_python: Path
    """Python of the peers' environment."""
    scorer: Path | None = None
    """Script that takes TRUTH.npz and LATENTS.npz and prints scores as JSON; default: the package's functions."""
    rows: tuple[int, ...] = (0, 1, 2)
    """Of `ROWS`, those to run."""
    programs: tuple[str, ...] = ("rvaejax", "pyroved")
    """Which."""
    seeds: tuple[int, ...] = (0,)
    """Of every training."""
    seconds: float = 60.0
    """Wall time of each."""
    longest: float = 300.0
    """Wall time after which a peer is looked at last, converged or not."""
    patience: int = 20
    """Epochs without a loss that is lower by 0.1 % after which it has."""
    only_longer: bool = False
    """Train the peers for their last look alone, so that it may be done beside other work."""
    keep: Path | None = None
    """With `only_longer`: folder in which each peer's training is saved after each epoch, and from which it goes on."""
    out: Path = HERE / "results"
    """Folder for the results."""


def known_rows(kind: np.ndarray, each: int) -> np.ndarray:
    """Numbers of the first rows of each kind."""
    return np.concatenate([np.flatnonzero(kind == k)[:each] for k in np.unique(kind)])


def scored(row: Row, options: Options, latents: Path) -> dict[str, Any]:
    """The scores of a row: of latents, or of classes on the rows without a label."""
    with np.load(options.data) as truth, np.load(latents) as found:
        kind = truth["kind"].astype(int)
        if "class_accuracy" in row.scores:
            rest = np.setdiff1d(np.arange(len(kind)), known_rows(kind, row.labels) if row.labels else [])
            classes = found["class_probability"].argmax(1) if "class_probability" in found else found["class"]
            return {"class_accuracy": class_accuracy(classes[rest], kind[rest], named=row.labels > 0)}
    return score(options.data, latents, options.scorer)


def run_ours(row: Row, seed: int, options: Options, folder: Path) -> list[dict[str, Any]]:
    """By the command line: one training and its scores."""
    with np.load(options.data) as truth:
        images, kind = truth["images"], truth["kind"].astype(int)
    label = np.full(len(kind), -1)
    chosen = known_rows(kind, row.labels)
    label[chosen] = kind[chosen]
    data, trained, latents, given = (folder / name for name in ("data.npz", "trained", "latents.npz", "options.yaml"))
    np.savez(data, images=images, **({"label": label} if row.labels else {}))
    ours = dict(row.ours)
    if "classes" in ours:
        ours["classes"] = ours["classes"] | {"count": int(kind.max()) + 1}
    given.write_text(yaml.safe_dump(ours))
    command, began = [sys.executable, "-m", "rvaejax"], time.monotonic()
    words = ["--config", str(given)] if ours else ["--preset", "default"]
    words += ["--max-seconds", f"{options.seconds:g}", "--seed", str(seed)]
    subprocess.run([*command, "train", str(data), "--out", str(trained), *words], check=True, capture_output=True)
    seconds = time.monotonic() - began
    subprocess.run(
        [*command, "encode", str(trained), str(data), "--out", str(latents)], check=True, capture_output=True
    )
    return [{"model": "rvaejax", "at": "same time", "seconds": seconds} | scored(row, options, latents)]


def run_peers(row: Row, seed: int, options: Options, folder: Path) -> list[dict[str, Any]]:
    """Each of pyroVED's, at the same time and later."""
    with np.load(options.data) as truth:
        kind = truth["kind"].astype(int)
    known = [[int(i), int(kind[i])] for i in known_rows(kind, row.labels)]
    same = {"data": str(options.data.resolve()), "kinds": int(kind.max()) + 1, "known": known, "seed": seed}
    out = []
    # of several ways of training the last, which is the documented one, goes on
    models = row.peers[-1:] if options.only_longer else row.peers
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
    for number, model in enumerate(models):
        peer, environment = (
            [str(options.peer_python.absolute()), str(HERE / "priors_peers.py")],
            {"CUDA_VISIBLE_DEVICES": ""},
        )
        with worker(peer, environment) as (ask, ready):
            start = ready["start_seconds"]
            longest = options.longest if number == len(models) - 1 else options.seconds
            due = None if options.only_longer else options.seconds - start
            times = {"due": due, "longest": longest - start, "patience": options.patience}
            keep = options.keep and str(options.keep.absolute() / f"{model.replace(', ', '-')}-{seed}.pt")
            where = {"out": str(folder / f"peer{number}"), "keep": keep if options.only_longer else None}
            answer = ask("train", **same, **times, **where, model=model, batch=100)
        last = len(answer["looks"]) - 1
        for i, look in enumerate(answer["looks"]):
            # one that has converged before its time is up is scored for both
            for at in (["same time"] if i == 0 and due is not None else []) + (
                ["longer"] if i == last and longest > options.seconds else []
            ):
                found = scored(row, options, folder / f"peer{number}-{i}.npz")
                whole = {"seconds": look["seconds"] + start, "versions": ready["versions"], "threads": ready["threads"]}
                out.append({"model": f"pyroVED {model}", "at": at} | look | whole | found)
    return out


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: a line for each model and time, medians over the seeds."""
    lines = ["| task | model | trained for | scores |", "| --- | --- | --- | --- |"]
    cases = list(dict.fromkeys((r["task"], r["model"], r["at"]) for r in rows))
    for task, model, at in cases:
        same = [r for r in rows if (r["task"], r["model"], r["at"]) == (task, model, at)]
        names = next(row.scores for row in ROWS if row.task == task)
        values = [f"{name} {np.median([r.get(name, np.nan) for r in same]):.3f}" for name in names]
        lasted = f"{np.median([r['seconds'] for r in same]):.0f} s"
        if at == "longer":
            lasted += (
                ", until its loss stood still" if all(r["converged"] for r in same) else ", its loss still falling"
            )
        lines.append(f"| {task} | {model} | {lasted} | {', '.join(values)} |")
    return "\n".join(lines) + "\n"


def save(found: list[dict[str, Any]], options: Options) -> str:
    """Adds rows to the results; the table of all."""
    path = options.out / "priors_against_pyroved.json"
    known = json.loads(path.read_text())["rows"] if path.exists() else []
    by_case = {(r["task"], r["model"], r["at"], r["seed"]): r for r in (*known, *found)}
    order = {row.task: i for i, row in enumerate(ROWS)}
    rows = sorted(
        by_case.values(), key=lambda r: (order[r["task"]], r["model"] != "rvaejax", r["model"], r["at"] != "same time")
    )
    facts = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {"python": platform.python_version(), "jax": jax.__version__, "numpy": np.__version__},
        "data": options.data.name,
        "scores by": options.scorer.name if options.scorer else "rvaejax",
        "batch of the peers": 100,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(facts | {"rows": rows}, indent=1) + "\n")
    path.with_suffix(".md").write_text(table(rows))
    return table(rows)


def main(options: Options) -> None:
    """Runs the rows, writes results after each."""
    for row in (ROWS[i] for i in options.rows):
        for seed in options.seeds:
            for program in options.programs:
                load = os.getloadavg()[0]
                with tempfile.TemporaryDirectory() as name:
                    run = run_ours if program == "rvaejax" else run_peers
                    found = run(row, seed, options, Path(name))
                facts = {"task": row.task, "seed": seed, "load average": load, "code": source()}
                print(save([facts | one for one in found], options), flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options))
