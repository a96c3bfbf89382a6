"""This project's rVAE against AtomAI's and pyroVED's: time to quality, and images per second of training.

Time to quality: each program trains on the same labelled sub-images (labels and truth unseen), several seeds, one
program after the other on the same machine with the same number of threads; latents of all images are scored at
growing wall times. Seconds are of training alone: looks are not counted, and start and compilation are told apart.
The peers train once per seed, with looks on the way (their learning rate is constant); this project's schedule is
fitted to its time, so it trains anew for each look, and holds back a quarter of the images, which the peers also get.

Throughput: the preset `paper-atomai` beside AtomAI's rVAE, the same layers, batch and loss, on noise, alternating; with
the model's own arithmetic (counted in `rvae_ours.py`) over the matrix product's ceiling, measured in between. On a GPU
(found by JAX; the peers then use it, too) also 64 x 64 px, batch 512, each in float32, TF32 and bfloat16: here with the
networks' `precision`, there with torch's autocast.

Command:    python experiments/benchmarks/rvae_against_peers.py --data lattice32.npz --peer-python PYTHON --minutes 60
PYTHON is that of an environment with torch, atomai==0.8.1, six, pyroved==0.3.0. --looks, --peer-looks and --seeds
take the place of the plan that --minutes makes.
Result:     experiments/benchmarks/results/rvae_against_peers.json, and the figure beside it; both after every seed.
            Programs and throughput that are not run anew (--seeds, --presets and --peers without a value,
            --repeat-seconds 0) stay; `measured` says of each what it was measured on.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from rvae_figure import draw
from rvae_scores import score, seconds_to_quality, source, spread
from worker_lines import worker

HERE = Path(__file__).parent
NAME = "rvae_against_peers"
PEERS = ("atomai", "pyroved")
START, SCORING = 25.0, 5.0  # seconds that a program's start and a look's scores are expected to take
FRESH = {  # a worker compiles each program once: all of its trainings share a cache of their own, empty at the start
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # a GPU is shared with the peers
}
NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}


@dataclass(frozen=True)
class Options:
    """What to run."""

    data: Path
    """Sub-images with truth: images (n, h, w), angle, shift, kind, symmetry."""
    peer_python: Path
    """Python of the peers' environment."""
    scorer: Path | None = None
    """Script that takes DATA and LATENTS.npz and prints scores as JSON; default: the package's functions."""
    minutes: float = 60.0
    """Time for everything; the looks are planned to fit."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of every program."""
    presets: tuple[str, ...] = ("default",)
    """This project's presets to train."""
    peers: tuple[str, ...] = PEERS
    """The others."""
    looks: tuple[float, ...] = ()
    """Seconds of training at which to look, instead of a plan."""
    peer_looks: tuple[float, ...] = ()
    """The same for the peers; default: as ours."""
    shortest: float = 5.0
    """Shortest look of a plan [s]."""
    content_dim: int = 2
    """Content latents of every program."""
    batch: int = 100
    """The peers' batch."""
    cases: tuple[str, ...] = ()
    """Throughput: size x batch; default: 32x100, and on a GPU 64x512 as well."""
    repeats: int = 5
    """Throughput: repeats of each case."""
    repeat_seconds: float = 10.0
    """Throughput: seconds of each program in a repeat; 0 for no throughput."""
    piece: int | None = None
    """Throughput: steps per compiled call; default: 5, on a GPU 100."""
    out: Path = HERE / "results"
    """Folder for the results."""


def plan(options: Options, gpu: bool) -> tuple[list[float], list[float], float]:
    """Looks of ours and of the peers [s], and the expected whole time [minutes]."""
    rows = len(throughput_rows(options, gpu))
    speed = rows * options.repeats * (2.4 * options.repeat_seconds) + 60 * (options.repeat_seconds > 0)
    programs = len(options.presets) + len(options.peers)

    def whole(looks: list[float], peer_looks: list[float]) -> float:
        scored = len(options.presets) * len(looks) + len(options.peers) * len(peer_looks)
        training = len(options.presets) * sum(looks) + len(options.peers) * max(peer_looks, default=0.0)
        return (speed + len(options.seeds) * (training + START * programs + SCORING * scored)) / 60

    def doubling(longest: float) -> list[float]:
        looks = [longest]
        while looks[0] / 2 >= options.shortest:
            looks.insert(0, looks[0] / 2)
        return looks

    ours = sorted(options.looks)
    if not (options.seeds and programs):
        return ours, sorted(options.peer_looks), whole([], [])
    if not ours:
        longest = options.shortest
        while whole(doubling(longest + 1), sorted(options.peer_looks) or doubling(longest + 1)) <= options.minutes:
            longest += 1
        ours = doubling(longest)
    peers = sorted(options.peer_looks) or ours
    return ours, peers, whole(ours, peers)


def throughput_rows(options: Options, gpu: bool) -> list[tuple[int, int, str]]:
    """(size, batch, precision) of each row."""
    cases = options.cases or (("32x100", "64x512") if gpu else ("32x100",))
    how_precise = ("float32", "tf32", "bfloat16") if gpu else ("float32",)
    sizes = [tuple(int(part) for part in case.split("x")) for case in cases]
    return [(size, batch, how) for size, batch in sizes for how in how_precise]


def throughput(options: Options, command: list[str], environment: dict[str, str], ours: Any, gpu: bool) -> Any:
    """Images per second of both programs and the ceilings, alternating."""
    rows = throughput_rows(options, gpu)
    out: dict[str, dict[str, Any]] = {}
    seconds, piece = options.repeat_seconds, options.piece or (100 if gpu else 5)
    products = {"4096x128 by 128x128": (4096, 128)} | ({"8192x8192 by 8192x8192": (8192, 8192)} if gpu else {})
    with worker(command, environment) as (atomai, ready):
        for repeat in range(options.repeats):
            for size, batch, how in rows:
                case = out.setdefault(f"{size}x{size} px, batch {batch}, {how}", {})
                same = {"size": size, "batch": batch, "seconds": seconds, "precision": how, "images": 20 * batch}
                answers = {"rvaejax": ours("throughput", **same, piece=piece), "atomai": atomai("throughput", **same)}
                for who, answer in answers.items():
                    case.setdefault(f"{who}, images per second", []).append(answer["images_per_second"])
                case.setdefault("rvaejax, GFLOP/s", []).append(answers["rvaejax"]["gflops"])
                case["FLOP per image"] = answers["rvaejax"]["flop_per_image"]
                for name, (n, inner) in products.items():
                    for who, ask in (("JAX", ours), ("torch", atomai)):
                        rate = ask("matrix", rows=n, inner=inner, precision=how, seconds=0.1 * seconds)["gflops"]
                        case.setdefault(f"{name} in {who}, GFLOP/s", []).append(rate)
                case.setdefault("memory, GB/s", []).append(ours("memory", seconds=0.05 * seconds)["gb_per_second"])
                print(
                    f"repeat {repeat}, {size}x{size}:",
                    json.dumps({k: r["images_per_second"] for k, r in answers.items()}),
                )
    for case in out.values():
        pairs = zip(case["rvaejax, images per second"], case["atomai, images per second"], strict=True)
        case["rvaejax over atomai"] = [a / b for a, b in pairs]
        for name in products:
            ceiling = zip(case["rvaejax, GFLOP/s"], case[f"{name} in JAX, GFLOP/s"], strict=True)
            case[f"share of {name}"] = [own / most for own, most in ceiling]
    return {"atomai": ready} | {
        name: {key: spread(v) if isinstance(v, list) else v for key, v in case.items()} for name, case in out.items()
    }


def our_worker(folder: Path) -> AbstractContextManager[Any]:
    """A worker of this project, with its cache of compiled programs in a folder."""
    cache = {"JAX_COMPILATION_CACHE_DIR": str(folder / "compiled")}
    return worker([sys.executable, str(HERE / "rvae_ours.py")], FRESH | cache)


def train_ours(options: Options, program: str, seed: int, looks: list[float], folder: Path) -> dict[str, Any]:
    """A training for each look, and its scores."""
    same = {"data": str(options.data.resolve()), "program": program, "seed": seed, "content_dim": options.content_dim}
    with our_worker(folder) as (ask, ready):
        run = {**ready, "seed": seed, "compile_seconds": ask("warm_up", **same)["seconds"], "looks": []}
        for i, due in enumerate(looks):
            answer = ask("train", **same, seconds=due, out=str(folder / f"look_{i}.npz"))
            run["looks"].append({"due": due, **answer})
    return run


def train_peer(
    options: Options, program: str, seed: int, looks: list[float], folder: Path, environment: dict[str, str]
) -> dict[str, Any]:
    """One training with looks on the way."""
    same = {"data": str(options.data.resolve()), "seed": seed, "content_dim": options.content_dim}
    with worker(peer_command(options, program), environment) as (ask, ready):
        answer = ask("train", **same, batch=options.batch, looks=looks, out=str(folder))
    return {**ready, "seed": seed, "compile_seconds": 0.0, **answer}


def peer_command(options: Options, program: str) -> list[str]:
    """What starts a peer's worker."""
    return [str(options.peer_python.absolute()), str(HERE / "rvae_peers.py"), program]


def scored(run: dict[str, Any], options: Options, folder: Path) -> dict[str, Any]:
    """The run with scores at every look."""
    for i, look in enumerate(run["looks"]):
        look |= score(options.data, folder / f"look_{i}.npz", options.scorer)
    return {**run, "seconds_to_quality": seconds_to_quality(run["looks"])}


def save(result: dict[str, Any], out: Path) -> None:
    """Numbers and figure, as far as they are."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{NAME}.json").write_text(json.dumps(result, indent=1) + "\n")
    draw(result, out / f"{NAME}.png")


def described(options: Options, ready: dict[str, Any]) -> dict[str, Any]:
    """What was measured, on what, with what."""
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, threads of each program: {ready['threads']}",
        "device": ready["device"],
        "code": source(),
        "data": {"name": options.data.name, "images": list(np.load(options.data)["images"].shape)},
        "scores by": options.scorer.name if options.scorer else "rvaejax",
        "load average at the start": os.getloadavg(),
        "settings": {k: v for k, v in asdict(options).items() if not isinstance(v, Path)},
        "rvaejax": ready,
    }


def main(options: Options) -> None:
    """Measures, writes numbers and figure."""
    with tempfile.TemporaryDirectory() as name, our_worker(Path(name)) as (ours, ready):
        gpu, kept = ready["platform"] != "cpu", options.out / f"{NAME}.json"
        environment = {} if gpu else NO_GPU
        looks, peer_looks, minutes = plan(options, gpu)
        print(f"looks at {looks} s, the peers at {peer_looks} s; about {minutes:.0f} minutes", flush=True)
        result = json.loads(kept.read_text()) if kept.exists() else {"measured": {}, "quality": {}}
        machine = described(options, ready)
        if options.repeat_seconds > 0:
            result["throughput"] = throughput(options, peer_command(options, "atomai"), environment, ours, gpu)
            result["measured"]["throughput"] = machine
            save(result, options.out)
    runs: dict[str, list[Any]] = result["quality"]
    for program in (*options.presets, *options.peers) if options.seeds else ():
        runs[program], result["measured"][program] = [], machine
    for seed in options.seeds:
        for program in (*options.presets, *options.peers):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                if program in options.peers:
                    run = train_peer(options, program, seed, peer_looks, folder, environment)
                else:
                    run = train_ours(options, program, seed, looks, folder)
                runs[program].append(scored(run, options, folder))
            print(program, seed, json.dumps(runs[program][-1]["looks"][-1]), flush=True)
        save(result, options.out)


if __name__ == "__main__":
    main(tyro.cli(Options))
