"""A trained rVAE in a run's folder: `config.yaml` for what was chosen and found, an Orbax checkpoint for weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import yaml

from rvaejax.config import from_dict, to_dict
from rvaejax.errors import FormatError, MissingFileError
from rvaejax.io.files import write_text
from rvaejax.io.metrics import read_metrics
from rvaejax.rvae import elbo
from rvaejax.rvae.config import RVAEConfig
from rvaejax.rvae.record import SeedScore, TrainedRVAE

_FACTS = ("image_shape", "scaling", "order", "sign", "content_kl", "pixel_size_nm", "channels", "steps", "cut", "seed")
_LATER = {"angle_sd_factor": 1.0, "target_scaling": None}  # facts that runs of earlier versions do not hold
_TUPLES = ("image_shape", "scaling", "order", "sign", "content_kl", "channels")
_BEFORE = {"ascent": None}  # what a configuration did that was written before the option was there


def save_model(model: TrainedRVAE, run_dir: Path) -> None:
    """Writes the weights to `checkpoints/final`, and sections `rvae` and `model` into `config.yaml`.

    Other sections of an existing `config.yaml` are kept. The history goes to `metrics.jsonl` unless that exists.
    """
    from rvaejax.training import checkpoints  # Orbax is slow to import: only where weights are saved or read

    run_dir = Path(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    checkpoints.save(run_dir / "checkpoints", checkpoints.FINAL, model.params)
    path = run_dir / "config.yaml"
    sections: dict[str, Any] = (yaml.safe_load(path.read_text()) if path.exists() else None) or {}
    facts = {name: getattr(model, name) for name in (*_FACTS, *_LATER)}
    sections["rvae"] = to_dict(model.config)
    plain = {name: list(v) if isinstance(v, tuple) else v for name, v in facts.items()}
    seeds = [score._asdict() for score in model.seeds]
    sections["model"] = {**plain, "best_step": model.best_step, "seeds": seeds}
    write_text(path, yaml.safe_dump(sections, sort_keys=False))
    if not (run_dir / "metrics.jsonl").exists():
        write_text(run_dir / "metrics.jsonl", "".join(json.dumps(dict(row)) + "\n" for row in model.history))


def load_model(run_dir: Path) -> TrainedRVAE:
    """The rVAE that `save_model` wrote.

    Raises:
        MissingFileError: the folder holds no trained rVAE.
        FormatError: its files do not belong together.
    """
    from rvaejax.training import checkpoints

    run_dir = Path(run_dir)
    path = run_dir / "config.yaml"
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file; give the folder of a finished training")
    try:
        sections = yaml.safe_load(path.read_text())
        found, written = sections["model"], sections["rvae"]
        facts: dict[str, Any] = {name: tuple(found[name]) if name in _TUPLES else found[name] for name in _FACTS}
        facts |= {name: found.get(name, default) for name, default in _LATER.items()}
        facts["target_scaling"] = None if facts["target_scaling"] is None else tuple(facts["target_scaling"])
        facts["best_step"] = found.get("best_step")
        facts["seeds"] = tuple(SeedScore(**score) for score in found.get("seeds", ()))
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise FormatError(f"{path}: holds no trained rVAE; was the training stopped before its end?") from error
    if written.get("ascent"):
        written["ascent"] = {"remembered": 0, **written["ascent"]}  # before an ascent had it, there was none
    config = from_dict(RVAEConfig, {**_BEFORE, **written})
    like = jax.eval_shape(lambda key: elbo.build(config, facts["image_shape"]).init(key=key), jax.random.key(0))
    params = checkpoints.restore(run_dir / "checkpoints", checkpoints.FINAL, like)
    history = tuple(read_metrics(run_dir / "metrics.jsonl"))
    return TrainedRVAE(config=config, params=params, history=history, **facts)
