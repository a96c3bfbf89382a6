"""Training of an rVAE on sub-images; `encode`, `decode`, `save_model` and `load_model` are here by name too."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Integer, PyTree, Shaped

from rvaejax.io.files import write_text
from rvaejax.io.metrics import read_metrics
from rvaejax.progress import progress
from rvaejax.rvae import elbo
from rvaejax.rvae.calibration import angle_misfit
from rvaejax.rvae.config import RVAEConfig
from rvaejax.rvae.config import preset as preset_config
from rvaejax.rvae.inference import content_facts, decode, encode
from rvaejax.rvae.inputs import check_training_set, compact, intensity_range, scaled
from rvaejax.rvae.record import TrainedRVAE
from rvaejax.rvae.storage import load_model, save_model
from rvaejax.training.loop import Report, fit
from rvaejax.training.state import BatchFn, LossFn, random_rows
from rvaejax.types import SubImages

__all__ = ["TrainedRVAE", "decode", "encode", "load_model", "save_model", "split_rows", "train"]

_RESERVE_SECONDS = 5.0  # for what follows the last step: order and sign of the content, encoding, saving
_SAMPLE = 1024  # rows that the held-out ELBO and the content's order are taken from
_JUDGED = 256  # rows that the angle's standard deviation is judged by


def split_rows(n: int, holdout: float, seed: int) -> tuple[Integer[np.ndarray, " a"], Integer[np.ndarray, " b"]]:
    """Row numbers (training, held out) of n sub-images; depends on nothing else."""
    rows = np.random.default_rng([seed, n]).permutation(n)
    held = int(round(holdout * n))
    return np.sort(rows[held:]), rows[:held]


def train(
    subimages: SubImages,
    *,
    preset: str = "default",
    config: RVAEConfig | None = None,
    seed: int = 0,
    steps: int | None = None,
    max_seconds: float | None = None,
    started: float | None = None,
    checkpoint_dir: Path | None = None,
    resume: bool = False,
    metrics_path: Path | None = None,
    report: Callable[[Report], None] | None = None,
    should_stop: Callable[[], int] = lambda: 0,
) -> TrainedRVAE:
    """Trains an rVAE; looks at the images only, never at labels, frames or positions.

    Args:
        subimages: windows to learn from; a share of `config.training.holdout` is held out for testing.
        preset: name of a preset; `config`, where given, is used instead.
        config: a whole configuration.
        seed: of the weights, the split and the training.
        steps: optimiser steps, instead of the configuration's.
        max_seconds: time budget; the schedule is shortened to end within it.
        started: `time.monotonic()` from which the budget counts; default: now.
        checkpoint_dir: folder for the training's states; None to save none.
        resume: continue from the last state there.
        metrics_path: JSON-lines file for the metrics.
        report: called between the compiled pieces of the training.
        should_stop: looked at between the pieces; the number of a signal, or 0.

    Raises:
        ConfigError: there is no such preset.
        ImageError: the sub-images cannot be trained on.
        Interrupted: `should_stop` said so.
    """
    began = time.monotonic() if started is None else started
    config = preset_config(preset) if config is None else config
    if steps is not None:
        config = replace(config, training=replace(config.training, steps=steps))
    check_training_set(subimages)
    images, scaling = compact(subimages.images), intensity_range(subimages.images)
    rows, held = split_rows(len(images), config.training.holdout, seed)
    model, loss_fn, batch_fn = _functions(config, images.shape[1:])
    for_init, for_training, for_test = jax.random.split(jax.random.key(seed), 3)
    with progress(total=config.training.steps, desc="training", unit="steps") as bar:
        result = fit(
            loss_fn,
            jax.jit(lambda key: model.init(key=key))(for_init),
            {"images": images[rows], "scaling": np.asarray(scaling, np.float32)},
            config.training,
            key=for_training,
            batch_fn=batch_fn,
            evaluate=_evaluation(model, images[held[:_SAMPLE]], scaling, for_test) if len(held) else None,
            checkpoint_dir=checkpoint_dir,
            resume=resume,
            deadline=None if max_seconds is None else began + max_seconds - min(_RESERVE_SECONDS, 0.1 * max_seconds),
            report=_reporter(bar, metrics_path, resume, report),
            should_stop=should_stop,
        )
    judged = held if len(held) else rows
    misfit = angle_misfit(config, result.state.params, images[judged[:_JUDGED]], scaling)
    order, sign, content_kl = content_facts(config, result.state.params, images[rows[:_SAMPLE]], scaling)
    return TrainedRVAE(
        config=config,
        params=result.state.params,
        image_shape=images.shape[1:],
        scaling=scaling,
        order=order,
        sign=sign,
        content_kl=content_kl,
        pixel_size_nm=subimages.pixel_size_nm,
        channels=tuple(subimages.channels),
        history=tuple(_row(r) for r in result.history),
        steps=int(result.state.step),
        cut=result.cut,
        seed=seed,
        angle_sd_factor=misfit.factor,
    )


@functools.lru_cache(maxsize=8)
def _functions(config: RVAEConfig, shape: tuple[int, int, int]) -> tuple[elbo.RVAE, LossFn, BatchFn]:
    """The rVAE and its loss and batches for the loop; the same objects each time, so that they compile once."""
    model, draw_rows = elbo.build(config, shape), random_rows(config.training.batch_size)

    def batch_fn(data, *, key, step):
        return {**data, "images": draw_rows(data["images"], key=key, step=step), "step": step}

    def loss_fn(params, batch, key):
        return model.loss(params, scaled(batch["images"], batch["scaling"]), batch["step"], key=key)

    return model, loss_fn, batch_fn


def _row(report: Report) -> dict[str, float]:
    return {"step": report.step, "seconds": round(report.seconds, 3), **report.metrics}


def _evaluation(
    model: elbo.RVAE, images: Shaped[np.ndarray, "n h w c"], scaling: tuple[float, float], key: jax.Array
) -> Callable[[PyTree], dict[str, float]]:
    """The terms of the ELBO on held-out images, on all pixels, with the same randomness every time."""
    device_images = jnp.asarray(images)

    def _one(params, image, key):
        return jax.tree.map(lambda v: v[0], model.terms(params, scaled(image[None], scaling), key=key, pixels=None))

    @jax.jit
    def terms(params, batch):
        # In small batches: with all pixels, the activations of all images at once would take gigabytes.
        # Folded, not split: the same key serves every evaluation, so that they can be compared.
        keyed = (batch, jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(len(batch))))
        t = jax.lax.map(lambda b: _one(params, *b), keyed, batch_size=32)
        return {"elbo": elbo.elbo(t).mean(), **{name: value.mean() for name, value in t._asdict().items()}}

    return lambda params: {name: float(value) for name, value in terms(params, device_images).items()}


def _reporter(
    bar, path: Path | None, resume: bool, report: Callable[[Report], None] | None
) -> Callable[[Report], None]:
    """Moves the bar, appends to the metrics' file, and passes the report on."""
    state: dict[str, int] = {"calls": 0}

    def tell(r: Report) -> None:
        bar.total = r.horizon
        bar.update(r.step - bar.n)
        if path is not None:
            if not state["calls"]:
                _keep_before(path, r.step if resume else 0)
            with path.open("a") as file:
                file.write(json.dumps(_row(r)) + "\n")
        state["calls"] += 1
        if report is not None:
            report(r)

    return tell


def _keep_before(path: Path, step: int) -> None:
    """Drops rows from `step` on: a resumed training writes them again."""
    write_text(path, "".join(json.dumps(row) + "\n" for row in read_metrics(path) if row["step"] < step))
