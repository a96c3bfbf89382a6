"""Training of the segmenter on images simulated on the fly, a new one in every place of every step, and on the user's.

Steps are compiled calls one after the other rather than a scan: see `rvaejax.training.config`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, PRNGKeyArray, Scalar

from rvaejax.nets import unet
from rvaejax.segmentation import losses
from rvaejax.segmentation.config import SegmenterConfig
from rvaejax.segmentation.network import network
from rvaejax.segmentation.pairs import PairStack, pairs_batch
from rvaejax.segmentation.scaling import robust_scale
from rvaejax.simulate.bank import shipped_bank
from rvaejax.simulate.dataset import labelled_batch
from rvaejax.training.best import Best
from rvaejax.training.cache import QUICK
from rvaejax.training.loop import FitResult, Report, fit
from rvaejax.training.state import BatchFn, LossFn

VALIDATION_SEED = 10_000_019  # no training draws from it: a seed of the same number gives another stream
VALIDATION_IMAGES = 32
PM_PER_F1 = 1e-4  # share of F1 that a position error of 1 pm is worth, where F1 decides


class Batch(NamedTuple):
    """Network input and target."""

    images: Float[Array, "n h w 1"]
    labels: Float[Array, "n h w classes"]


def simulated_batch(config: SegmenterConfig, n: int, *, key: PRNGKeyArray) -> Batch:
    """Simulated images, robustly scaled, with their labels."""
    bank = shipped_bank() if config.sheet.bank_share > 0 else None
    made = labelled_batch(n, config.sheet, config.imaging, key=key, bank=bank)
    return Batch(jax.vmap(robust_scale)(made.image)[..., None], made.labels)


def jittered(batch: Batch, spread: float, *, key: PRNGKeyArray) -> Batch:
    """The same with each image's scale and level changed at random."""
    k_scale, k_shift = jax.random.split(key)
    shape = (len(batch.images), 1, 1, 1)
    scale = jnp.exp(spread * jax.random.normal(k_scale, shape))
    return batch._replace(images=batch.images * scale + spread * jax.random.normal(k_shift, shape))


def training_batch(config: SegmenterConfig, pairs: PairStack | None, *, key: PRNGKeyArray) -> Batch:
    """Simulated images and, where there are pairs, `config.pairs_fraction` of them from these, with their labels."""
    k_simulated, k_pairs, k_jitter, k_cut = jax.random.split(key, 4)
    n = 0 if pairs is None else config.pairs_per_batch
    parts = []
    if pairs is not None:
        images, labels = pairs_batch(pairs, n, config, key=k_pairs)
        parts.append(Batch(images[..., None], labels))
    if n < config.batch_size:
        parts.append(simulated_batch(config, config.batch_size - n, key=k_simulated))
    batch = jax.tree.map(lambda *arrays: jnp.concatenate(arrays), *parts)
    return cut_short(jittered(batch, config.contrast_jitter, key=k_jitter), unet.stride(config.widths), key=k_cut)


def cut_short(batch: Batch, multiple: int, *, key: PRNGKeyArray) -> Batch:
    """Half of the images end up to `multiple` - 1 px before the array does: 0 beyond, as whole frames are padded."""
    k_which, k_rows, k_columns = jax.random.split(key, 3)
    n, h, w, classes = batch.labels.shape
    use = jax.random.bernoulli(k_which, 0.5, (n,))
    rows, columns = (jax.random.randint(k, (n, 1, 1), 0, multiple) * use[:, None, None] for k in (k_rows, k_columns))
    inside = (jnp.arange(h)[None, :, None] < h - rows) & (jnp.arange(w)[None, None, :] < w - columns)
    beyond = jnp.zeros(classes).at[0].set(1.0)
    labels = jnp.where(inside[..., None], batch.labels, beyond[None, None, None])
    return Batch(jnp.where(inside[..., None], batch.images, 0.0), labels)


class Functions(NamedTuple):
    """What the loop takes: random weights, the loss, the batches, and the loss on fixed batches."""

    init: Callable[[PRNGKeyArray], Any]
    loss: LossFn
    batch: BatchFn
    held_out_loss: Callable[[Any, Sequence[Batch]], Scalar]


@functools.lru_cache(maxsize=4)
def functions(config: SegmenterConfig) -> Functions:
    """The same objects each time for the same config, so that they compile once."""
    init, apply = network(config)
    per_example = losses.build(config.loss, config.loss_weights, config.focal_gamma)

    def loss_fn(params: Any, batch: Batch, key: PRNGKeyArray) -> tuple[Scalar, dict[str, Scalar]]:
        return jax.vmap(per_example)(apply(params, batch.images), batch.labels).mean(), {}

    def batch_fn(data: PairStack | None, *, key: PRNGKeyArray, step: Integer[Array, ""]) -> Batch:
        return training_batch(config, data, key=key)

    @jax.jit
    def one(params: Any, batch: Batch) -> Scalar:
        return jax.vmap(per_example)(apply(params, batch.images), batch.labels).mean()

    def held_out_loss(params: Any, batches: Sequence[Batch]) -> Scalar:
        return jnp.stack([one(params, batch) for batch in batches]).mean()

    return Functions(jax.jit(init, compiler_options=QUICK), loss_fn, batch_fn, held_out_loss)


def score(config: SegmenterConfig) -> Callable[[dict[str, float]], float]:
    """Held-out metrics to the number that decides which weights are kept, higher is better."""

    def of(metrics: dict[str, float]) -> float:
        if config.validation.monitor == "loss" or "f1" not in metrics:
            return -metrics["loss"]
        error = metrics.get("rmse_pm", math.nan)
        return metrics["f1"] - PM_PER_F1 * (0.0 if math.isnan(error) else error)

    return of


def train_segmenter(
    config: SegmenterConfig,
    *,
    seed: int,
    start: Any = None,
    pairs: PairStack | None = None,
    held_out_pairs: PairStack | None = None,
    evaluate: Callable[[Any], dict[str, float]] = lambda params: {},
    better: Callable[[Best], None] = lambda best: None,
    checkpoint_dir: Path | None = None,
    resume: bool = False,
    deadline: float | None = None,
    report: Callable[[Report], None] = lambda report: None,
    should_stop: Callable[[], int] = lambda: 0,
) -> FitResult:
    """Trains one network; `result.best.params` are the weights to keep.

    Args:
        config: network, training images, optimiser.
        seed: of the weights and of the images.
        start: weights to go on from; None for random ones.
        pairs: the user's own images, mixed with simulated ones; None for simulated ones alone.
        held_out_pairs: such that it does not learn from.
        evaluate: weights to held-out metrics, to which the loss on fixed held-out images is added; `f1` and `rmse_pm`
            among them decide which weights are best where the config says so.
        better: called with the best weights each time that there are better ones.
        checkpoint_dir: see `rvaejax.training.loop.fit`, also for what follows.
        resume: go on from the last state there.
        deadline: `time.monotonic()` by which to be done.
        report: called after every piece of the training.
        should_stop: looked at after every piece.

    Raises:
        ConfigError: the loss is not finite.
        Interrupted: `should_stop` said so; the state was saved first.
    """
    used = functions(config)
    for_init, for_training = jax.random.split(jax.random.key(seed))
    params = used.init(for_init) if start is None else start
    keys = jax.random.split(jax.random.key(VALIDATION_SEED), math.ceil(VALIDATION_IMAGES / config.batch_size))
    make = jax.jit(used.batch)  # the same function as in training, so that it is compiled once
    fixed = [make(held_out_pairs, key=key, step=jnp.asarray(0, jnp.int32)) for key in keys]

    def held_out(params: Any) -> dict[str, float]:
        return {"loss": float(used.held_out_loss(params, fixed)), **evaluate(params)}

    return fit(
        used.loss,
        params,
        pairs,
        config.training,
        key=for_training,
        batch_fn=used.batch,
        evaluate=held_out,
        score=score(config),
        better=better,
        checkpoint_dir=checkpoint_dir,
        resume=resume,
        deadline=deadline,
        report=report,
        should_stop=should_stop,
    )
