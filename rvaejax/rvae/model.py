"""Training of an rVAE on sub-images; `encode`, `decode`, `save_model` and `load_model` are here by name too."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Integer, PyTree, Shaped

from rvaejax.progress import progress
from rvaejax.rvae import ascent, posteriors, schedules
from rvaejax.rvae.batches import keep_labelled, loop_data, rows_of
from rvaejax.rvae.calibration import angle_misfit
from rvaejax.rvae.config import RVAEConfig
from rvaejax.rvae.config import preset as preset_config
from rvaejax.rvae.given import check_given
from rvaejax.rvae.heldout import held_out_terms
from rvaejax.rvae.inference import content_facts, decode, encode, encode_raw
from rvaejax.rvae.inputs import check_training_set, compact, intensity_range, scaled
from rvaejax.rvae.priors.probe import check_priors
from rvaejax.rvae.record import SeedScore, TrainedRVAE
from rvaejax.rvae.reporting import metrics_row, reporter
from rvaejax.rvae.seeds import Evaluate, best_member, check_seeds, evaluation, side_by_side, stack
from rvaejax.rvae.steps import for_this_machine, functions
from rvaejax.rvae.storage import load_model, save_model
from rvaejax.training import devices
from rvaejax.training.cache import QUICK
from rvaejax.training.loop import Report, fit
from rvaejax.training.state import BatchFn, LossFn
from rvaejax.types import SubImages

__all__ = ["TrainedRVAE", "decode", "encode", "load_model", "save_model", "split_rows", "train"]

log = logging.getLogger(__name__)

_SAMPLE = 1024  # rows that the held-out ELBO and the content's order are taken from
_FOR_SCALES = 256  # rows that set the scale of the encoder's features at the start
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
    seeds: int = 1,
    inference: Literal["elbo", "svi"] | None = None,
    steps: int | None = None,
    max_seconds: float | None = None,
    started: float | None = None,
    checkpoint_dir: Path | None = None,
    resume: bool = False,
    metrics_path: Path | None = None,
    report: Callable[[Report], None] | None = None,
    should_stop: Callable[[], int] = lambda: 0,
) -> TrainedRVAE:
    """Trains an rVAE; looks at the images only, never at frames or positions, nor, unless it is told to, at labels.

    `config.classes` says whether labels are looked at, `config.target` whether spectra are; see `rvae/variants.py`.

    Where `config.training.patience` is set, the training ends when as many evaluations have passed without a better
    held-out ELBO, and the weights of the best one are kept (of several seeds: of the moment when the best was best).

    Args:
        subimages: windows to learn from; a share of `config.training.holdout` is held out for testing.
        preset: name of a preset; `config`, where given, is used instead.
        config: a whole configuration.
        seed: of the weights, the split and the training.
        seeds: trainings side by side, on the same split, from this seed and those that follow it; the one with the
            highest held-out ELBO is kept, and its `seeds` tell how far the others agree with it.
        inference: how the ELBO is estimated, instead of the configuration's: "elbo", or "svi" by NumPyro.
        steps: optimiser steps, instead of the configuration's.
        max_seconds: time budget; the schedule is shortened to end within it.
        started: `time.monotonic()` from which the budget counts; default: now.
        checkpoint_dir: folder for the training's states; None to save none.
        resume: continue from the last state there.
        metrics_path: JSON-lines file for the metrics.
        report: called between the compiled pieces of the training.
        should_stop: looked at between the pieces; the number of a signal, or 0.

    Raises:
        ConfigError: there is no such preset, the pose makes no sense for signals, or nothing is held out to tell the
            best seed or step by.
        ImageError: the sub-images cannot be trained on, or labels or spectra are missing or not as asked for.
        Interrupted: `should_stop` said so.
    """
    began = time.monotonic() if started is None else started
    config = preset_config(preset) if config is None else config
    if inference is not None:
        config = replace(config, inference=inference)
    if steps is not None:
        config = replace(config, training=replace(config.training, steps=steps))
    check_training_set(subimages)
    given = check_given(config, subimages)
    config = given.config
    check_priors(config, tuple(int(v) for v in subimages.images.shape[1:]))  # type: ignore[arg-type]
    images, scaling = compact(subimages.images), intensity_range(subimages.images)
    rows, held = keep_labelled(given, *split_rows(len(images), config.training.holdout, seed))
    check_seeds(config, seeds, len(held))
    if len(rows) < config.training.batch_size:
        log.info(
            "%d sub-images to train on (%d more are held out) are fewer than a batch of %d: batches repeat them",
            len(rows),
            len(held),
            config.training.batch_size,
        )
    sample = rows_of(images, given, held[:_SAMPLE])
    start = _start(config, images[rows[:_SAMPLE]], sample, scaling, seed, seeds)
    with progress(total=config.training.steps, desc="training", unit="steps") as bar:
        result = fit(
            start.loss,
            start.params,
            loop_data(rows_of(images, given, rows), scaling),
            for_this_machine(config),
            key=start.key,
            batch_fn=start.batch,
            evaluate=start.evaluate,
            score=None if config.training.patience is None else _elbo,
            checkpoint_dir=checkpoint_dir,
            resume=resume,
            deadline=None
            if max_seconds is None
            else began + max_seconds - schedules.reserve(max_seconds, images[0].size),
            report=reporter(bar, metrics_path, resume, report),
            should_stop=should_stop,
            mesh=devices.mesh(config.training.batch_size),
        )
    params = result.state.kept if result.best is None else result.best.params
    scores: tuple[SeedScore, ...] = ()
    if start.evaluate is not None and seeds > 1:
        params, scores = best_member(
            config, params, start.evaluate, sample["images"], scaling, seed, seeds, sample.get("labels")
        )
    params = _remembering(config, params, images, rows, scaling)
    judged = rows_of(images, given, (held if len(held) else rows)[:_JUDGED])
    factor, turned = 1.0, posteriors.dims(config, images.shape[1:]).angle
    if turned:
        factor = angle_misfit(config, params, judged["images"], scaling, judged.get("labels")).factor
    typical = rows_of(images, given, rows[:_SAMPLE])
    order, sign, content_kl = content_facts(config, params, typical["images"], scaling, typical.get("labels"))
    return TrainedRVAE(
        config=config,
        params=params,
        image_shape=images.shape[1:],
        scaling=scaling,
        order=order,
        sign=sign,
        content_kl=content_kl,
        pixel_size_nm=subimages.pixel_size_nm,
        channels=tuple(subimages.channels),
        history=tuple(metrics_row(r) for r in result.history),
        steps=int(result.state.step),
        cut=result.cut,
        seed=seed,
        angle_sd_factor=factor,
        best_step=None if result.best is None else result.best.step,
        seeds=scores,
        target_scaling=given.target_scaling,
    )


def _remembering(
    config: RVAEConfig,
    params: PyTree,
    images: Shaped[np.ndarray, "n h w c"],
    rows: Integer[np.ndarray, " a"],
    scaling: tuple[float, float],
) -> PyTree:
    """Parameters that remember contents of rows throughout the training set, where the ascent remembers any."""
    if "remembered" not in params:
        return params
    some = rows[np.linspace(0, len(rows) - 1, min(len(rows), len(params["remembered"]))).astype(int)]
    return ascent.remember(params, encode_raw(config, params, images[some], scaling, 256)["content"])


class _Start(NamedTuple):
    """What the loop begins with: for one seed, or for several side by side."""

    params: PyTree
    key: jax.Array
    loss: LossFn
    batch: BatchFn
    evaluate: Evaluate | None


def _start(
    config: RVAEConfig,
    seen: Shaped[np.ndarray, "m h w c"],
    held_out: dict[str, Shaped[np.ndarray, "n ..."]],
    scaling: tuple[float, float],
    seed: int,
    seeds: int,
) -> _Start:
    model, loss_fn, batch_fn = functions(config, held_out["images"].shape[1:])
    quick = QUICK if jax.default_backend() == "cpu" else None
    init = jax.jit(lambda key, images: model.init(key=key, images=images), compiler_options=quick)
    params, keys = [], []
    sample = scaled(seen[:_FOR_SCALES], scaling)
    evaluate = None
    for number in range(seed, seed + seeds):
        for_init, for_training, for_test = jax.random.split(jax.random.key(number), 3)
        params.append(init(for_init, sample))
        keys.append(for_training)
        if number == seed and len(held_out["images"]):
            evaluate = held_out_terms(config, model, held_out, scaling, for_test)
    if seeds == 1:
        return _Start(params[0], keys[0], loss_fn, batch_fn, evaluate)
    loss_fn, batch_fn = side_by_side(loss_fn, batch_fn, config, seeds)
    all_evaluated = None if evaluate is None else evaluation(evaluate, seed, seeds)
    return _Start(stack(params), jnp.stack(keys), loss_fn, batch_fn, all_evaluated)


def _elbo(metrics: dict[str, float]) -> float:
    return metrics["elbo"]
