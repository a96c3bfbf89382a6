"""Training of the segmenter on images simulated on the fly: a new image in every place of every step."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from rvaejax.nets import unet
from rvaejax.segmentation.config import SegmenterConfig
from rvaejax.segmentation.scaling import robust_scale
from rvaejax.simulate.dataset import labelled_batch


class Batch(NamedTuple):
    """Network input and target."""

    images: Float[Array, "n h w 1"]
    labels: Float[Array, "n h w classes"]


class SegmenterState(NamedTuple):
    """Weights, their running average, the optimiser's state."""

    params: Any
    average: Any
    optimizer: optax.OptState


def network(config: SegmenterConfig) -> tuple[unet.Init, unet.Apply]:
    """The U-Net as `(init, apply)`; classes are the background and the species."""
    return unet.build(config.widths, 1 + len(config.species))


def training_batch(config: SegmenterConfig, *, key: PRNGKeyArray) -> Batch:
    """Simulated images as the network sees them, with their labels."""
    k_image, k_scale, k_shift = jax.random.split(key, 3)
    made = labelled_batch(config.batch_size, config.sheet, config.imaging, key=k_image)
    scale = jnp.exp(config.contrast_jitter * jax.random.normal(k_scale, (config.batch_size, 1, 1)))
    shift = config.contrast_jitter * jax.random.normal(k_shift, (config.batch_size, 1, 1))
    return Batch((jax.vmap(robust_scale)(made.image) * scale + shift)[..., None], made.labels)


def cross_entropy(logits: Float[Array, "h w classes"], labels: Float[Array, "h w classes"]) -> Float[Array, ""]:
    """Mean over pixels of -sum p log q."""
    return optax.softmax_cross_entropy(logits, labels).mean()


def optimizer(config: SegmenterConfig) -> optax.GradientTransformation:
    """Adam with a short warm-up and a cosine decay."""
    warm = min(100, config.steps // 10 + 1)
    rate = optax.warmup_cosine_decay_schedule(
        0.1 * config.learning_rate, config.learning_rate, warm, max(config.steps, warm + 1), 0.01 * config.learning_rate
    )
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))


def train_segmenter(
    config: SegmenterConfig,
    *,
    seed: int,
    start: Any = None,
    log: Callable[[dict[str, float], Any], None] = lambda metrics, params: None,
    log_every: int = 50,
) -> Any:
    """Weights of a segmenter trained from scratch, or from the weights `start`.

    Steps run one by one rather than in a scan: XLA's CPU convolutions are many times slower inside a loop (measured
    here 17 times), and a step takes a quarter of a second anyway.

    Args:
        config: network, training images, optimiser.
        seed: the one source of randomness.
        start: weights to go on from; None for random ones.
        log: called every `log_every` steps with metrics and the averaged weights.
        log_every: steps between calls.
    """
    init, apply = network(config)
    tx = optimizer(config)
    key = jax.random.key(seed)
    params = init(jax.random.fold_in(key, 0)) if start is None else jax.tree.map(jnp.array, start)
    state = SegmenterState(params, jax.tree.map(jnp.copy, params), tx.init(params))

    def loss_fn(params: Any, batch: Batch) -> Float[Array, ""]:
        return jax.vmap(cross_entropy)(apply(params, batch.images), batch.labels).mean()

    @jax.jit
    def make(step: Array) -> Batch:
        return training_batch(config, key=jax.random.fold_in(jax.random.fold_in(key, 1), step))

    def update(state: SegmenterState, batch: Batch) -> tuple[SegmenterState, Float[Array, ""]]:
        loss, grads = jax.value_and_grad(loss_fn)(state.params, batch)
        updates, opt = tx.update(grads, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        average = optax.incremental_update(params, state.average, 1 - config.average)
        return SegmenterState(params, average, opt), loss

    step_fn = jax.jit(update, donate_argnums=0)
    began, total, logged = time.monotonic(), 0.0, 0
    for step in range(config.steps):
        state, loss = step_fn(state, make(jnp.asarray(step)))
        total += float(loss)
        if (step + 1) % log_every == 0 or step + 1 == config.steps:
            loss_mean = total / (step + 1 - logged)
            log({"step": step + 1, "loss": loss_mean, "seconds": time.monotonic() - began}, state.average)
            total, logged = 0.0, step + 1
    return state.average
