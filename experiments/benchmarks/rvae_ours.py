"""This project's rVAE as a worker of `rvae_against_peers.py`: trainings, throughput and the machine's ceilings.

Arithmetic of one training step and image, by hand (nothing is computed twice, tanh and Adam are not counted). With
P = size² pixels, C channels, H neurons, d content latents, l encoder and L decoder layers, the forward pass takes

    encoder:  P C H + (l - 1) H² + 2 (3 + d) H        multiply-adds
    decoder:  d H + P (2 H + (L - 1) H² + C H)        multiply-adds

each 2 FLOP, and the backward pass the same once for the weights and once for the inputs, but for the encoder's first
layer, whose input is the image. For 32 x 32 px, H = 128, d = 2, l = 2, L = 3: 204 MFLOP.
"""

from __future__ import annotations

import functools
import os
import platform
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np
from worker_lines import claim_output, serve

import rvaejax as rx
from rvaejax.io.subimages import read_subimages
from rvaejax.rvae.config import MLPEncoder, RVAEConfig, SpatialDecoder, preset
from rvaejax.rvae.inference import encode
from rvaejax.rvae.model import train as train_rvae
from rvaejax.training import devices
from rvaejax.training.interrupt import Interrupted
from rvaejax.training.loop import Report
from rvaejax.types import SubImages

SAME = "paper-atomai"  # the preset of AtomAI's architecture and loss
CHAIN = 16  # matrix products per compiled call
COMPILED: list[tuple[float, float]] = []  # (when it ended, how long it took) of every compilation


def listen(event: str, duration_secs: float, **_: Any) -> None:
    """Books a compilation; tracing is left in the training's time, because its events nest."""
    if event.endswith(("backend_compile_duration", "jaxpr_to_mlir_module_duration")):
        COMPILED.append((time.monotonic(), duration_secs))


def flop_per_image(config: RVAEConfig, size: int, channels: int = 1) -> float:
    """Of one training step, by the formula above; for fully connected networks."""
    assert isinstance(config.encoder, MLPEncoder) and isinstance(config.decoder, SpatialDecoder)
    p, c, d = size * size, channels, config.content_dim
    h, layers = config.encoder.hidden, config.encoder.layers
    first, encoder = p * c * h, (layers - 1) * h * h + 2 * (3 + d) * h
    h, layers = config.decoder.hidden, config.decoder.layers
    decoder = d * h + p * (2 * h + (layers - 1) * h * h + c * h)
    return 2.0 * (2 * first + 3 * (encoder + decoder))


def products(name: str) -> AbstractContextManager[Any]:
    """The precision of matrix products; float32 means all of it, also on GPUs, whose default is TF32."""
    if jax.default_backend() == "cpu" or name == "bfloat16":
        return nullcontext()
    return jax.default_matmul_precision({"float32": "highest", "tf32": "tensorfloat32"}[name])


def in_precision(config: RVAEConfig, name: str) -> RVAEConfig:
    """With networks in bfloat16, or as it is."""
    if name != "bfloat16":
        return config
    assert isinstance(config.encoder, MLPEncoder) and isinstance(config.decoder, SpatialDecoder)
    encoder, decoder = (replace(net, precision="bfloat16") for net in (config.encoder, config.decoder))
    return replace(config, encoder=encoder, decoder=decoder)


def chosen(name: str, content_dim: int) -> RVAEConfig:
    """A preset with so many content latents."""
    return replace(preset(name), content_dim=content_dim)


def warm_up(data: str, program: str, seed: int, content_dim: int) -> dict[str, Any]:
    """Compiles all that a training and an encoding need, in a training that has no time: the seconds for that."""
    begun, subimages = time.monotonic(), read_subimages(data)
    encode(train_rvae(subimages, config=chosen(program, content_dim), seed=seed, max_seconds=1), subimages)
    return {"seconds": time.monotonic() - begun}


def train(data: str, program: str, seed: int, content_dim: int, seconds: float, out: str) -> dict[str, Any]:
    """A training with a budget, to which its schedule is fitted; latents go to OUT.

    Its held-out evaluations count as training, what is left of compiling does not.
    """
    subimages, reports = read_subimages(data), []
    longer = seconds / 0.9 if seconds < 63 else seconds + 7  # `train` keeps a tenth, at most 7 s, for what follows

    def report(r: Report) -> None:
        reports.append((time.monotonic(), r.seconds))

    begun = time.monotonic()
    model = train_rvae(subimages, config=chosen(program, content_dim), seed=seed, max_seconds=longer, report=report)
    whole = time.monotonic() - begun
    loop_began, ended = reports[0][0] - reports[0][1], reports[-1][0]
    compiled = sum(took for when, took in COMPILED if loop_began <= when <= ended)
    found = encode(model, subimages)
    np.savez(out, angle=found.angle, angle_sd=found.angle_sd, shift=found.shift, content=found.content)
    return {"seconds": reports[-1][1] - compiled, "whole_seconds": whole, "steps": model.steps}


def noise(size: int, count: int) -> SubImages:
    """Sub-images of noise: what they show does not matter to the speed."""
    images = np.random.default_rng(0).random((count, size, size, 1), dtype=np.float32)
    zeros = np.zeros(count)
    return SubImages(images, zeros.astype(int), zeros, zeros, np.full(count, ""), zeros.astype(int))


@functools.lru_cache(maxsize=1)
def same_noise(size: int, count: int) -> SubImages:
    """The same for every repeat."""
    return noise(size, count)


def throughput(size: int, batch: int, seconds: float, precision: str, images: int, piece: int) -> dict[str, Any]:
    """Images per second of training of AtomAI's architecture, from the end of the first compiled piece on."""
    config = in_precision(preset(SAME), precision)
    training = replace(config.training, batch_size=batch, holdout=0.0, steps=10_000_000, piece=piece)
    config, stamps = replace(config, training=training), []

    def report(r: Report) -> None:
        stamps.append((time.monotonic(), r.step))

    def should_stop() -> int:
        return int(len(stamps) > 1 and stamps[-1][0] - stamps[0][0] >= seconds)

    with products(precision):
        try:
            train_rvae(same_noise(size, images), config=config, seed=0, report=report, should_stop=should_stop)
        except Interrupted:
            pass
    (begun, first), (ended, last) = stamps[0], stamps[-1]
    rate = batch * (last - first) / (ended - begun)
    flop = flop_per_image(config, size)
    return {"images_per_second": rate, "steps": last - first, "gflops": 1e-9 * flop * rate, "flop_per_image": flop}


@functools.partial(jax.jit, static_argnames="precision")
def _chain(x: jax.Array, w: jax.Array, precision: str) -> jax.Array:
    """`CHAIN` matrix products; `precision` makes a program for each."""
    del precision
    for _ in range(CHAIN):
        x = x @ w
    return x


def _rate(call: Callable[[], Any], seconds: float) -> float:
    """Median of calls per second, after the first."""
    jax.block_until_ready(call())
    took: list[float] = []
    stop = time.monotonic() + seconds
    while not took or time.monotonic() < stop:
        begun = time.monotonic()
        jax.block_until_ready(call())
        took.append(time.monotonic() - begun)
    return 1 / float(np.median(took))


def matrix(rows: int, inner: int, precision: str, seconds: float) -> dict[str, Any]:
    """GFLOP/s of products (rows, inner) by (inner, inner), one after the other: shared by all cores, or by parts."""
    rng = np.random.default_rng(0)
    kind = jnp.bfloat16 if precision == "bfloat16" else jnp.float32
    x = jnp.asarray(rng.standard_normal((rows, inner), dtype=np.float32), kind)
    w = jnp.asarray(rng.standard_normal((inner, inner), dtype=np.float32) / np.float32(inner) ** 0.5, kind)
    rates = []
    with products(precision):
        for mesh in {None, devices.mesh(rows)}:
            own, all_of = devices.divided(x, mesh), devices.everywhere(w, mesh)
            rates.append(_rate(functools.partial(_chain, own, all_of, precision), seconds))
    return {"gflops": 2e-9 * CHAIN * rows * inner * inner * max(rates)}


def memory(seconds: float, megabytes: int = 256) -> dict[str, Any]:
    """GB/s of reading a large array and writing another."""
    x = jnp.zeros(megabytes * 250_000, jnp.float32)
    add = jax.jit(lambda v: v + 1)
    return {"gb_per_second": 2e-9 * x.nbytes * _rate(lambda: add(x), seconds)}


def main() -> None:
    """Serves."""
    answers = claim_output()
    jax.monitoring.register_event_duration_secs_listener(listen)
    device = jax.devices()[0]
    ready = {
        "program": "rvaejax",
        "versions": {"rvaejax": rx.__version__, "jax": jax.__version__, "python": platform.python_version()},
        "threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "device": device.device_kind,
        "platform": device.platform,
    }
    offers: dict[str, Callable[..., dict[str, Any]]] = {
        "warm_up": warm_up,
        "train": train,
        "throughput": throughput,
        "matrix": matrix,
        "memory": memory,
    }
    serve(answers, ready, offers)


if __name__ == "__main__":
    rx.use_every_core()
    main()
