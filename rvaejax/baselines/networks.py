"""The paper's convolutional autoencoder and a VAE without pose, trained by the package's own loop."""

from __future__ import annotations

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rvaejax.baselines.config import ConvAutoencoder, PlainVAE
from rvaejax.baselines.record import Codes, Fitted
from rvaejax.nets.autoencoders import Autoencoder, convolutional, fully_connected
from rvaejax.progress import progress
from rvaejax.rvae.divergences import kl_normal
from rvaejax.rvae.inference import padded
from rvaejax.rvae.inputs import check_training_set, compact, intensity_range, scaled, unscaled
from rvaejax.rvae.likelihoods import log_unit_gaussian
from rvaejax.training.loop import Report
from rvaejax.training.loop import fit as train
from rvaejax.types import SubImages

BATCH = 256


@functools.lru_cache(maxsize=8)
def _built(config: ConvAutoencoder | PlainVAE, shape: tuple[int, int, int]) -> Autoencoder:
    if isinstance(config, ConvAutoencoder):
        return convolutional(shape, filters=config.filters, latents=config.latents)
    return fully_connected(shape, hidden=config.hidden, latents=config.latents)


@functools.lru_cache(maxsize=8)
def _loss(config: ConvAutoencoder | PlainVAE, shape: tuple[int, int, int]):
    """Mean squared error, or the negative evidence lower bound with half the squared error summed over pixels."""
    net = _built(config, shape)

    def squared_error(params, batch, key):
        x = scaled(batch["images"], batch["scaling"])
        drawn = net.decode.apply(params["decoder"], net.encode.apply(params["encoder"], x).mean)
        return ((x - drawn) ** 2).mean(), {}

    def negative_elbo(params, batch, key):
        x = scaled(batch["images"], batch["scaling"])
        q = net.encode.apply(params["encoder"], x)
        z = q.mean + jnp.exp(q.log_sd) * jax.random.normal(key, q.mean.shape)
        fitted = log_unit_gaussian(x, net.decode.apply(params["decoder"], z)).sum((1, 2, 3)).mean()
        divergence = kl_normal(*q).sum(1).mean()
        return divergence - fitted, {"log_likelihood": fitted, "kl": divergence}

    return squared_error if isinstance(config, ConvAutoencoder) else negative_elbo


@functools.lru_cache(maxsize=8)
def _batches(size: int):
    def draw(data, *, key, step):
        rows = jax.random.randint(key, (size,), 0, len(data["images"]))
        return {**data, "images": data["images"][rows]}

    return draw


def fit_network(config: ConvAutoencoder | PlainVAE, subimages: SubImages, *, seed: int) -> Fitted:
    """Trains a baseline that is a network; components are the images decoded on a grid of its first two latents.

    Raises:
        ImageError: the sub-images cannot be trained on.
    """
    check_training_set(subimages)
    images, scaling = compact(subimages.images), intensity_range(subimages.images)
    shape = images.shape[1:]
    net, convolutions = _built(config, shape), isinstance(config, ConvAutoencoder)
    for_encoder, for_decoder, for_training = jax.random.split(jax.random.key(seed), 3)
    params = {"encoder": net.encode.init(key=for_encoder), "decoder": net.decode.init(key=for_decoder)}
    options = config.training
    if convolutions and jax.default_backend() == "cpu":
        options = replace(options, scan=False)  # convolutions inside a scan are many times slower on CPUs
    with progress(total=options.steps, desc="training", unit="steps") as bar:

        def report(r: Report) -> None:
            bar.update(r.step - bar.n)

        result = train(
            _loss(config, shape),
            params,
            {"images": images, "scaling": np.asarray(scaling, np.float32)},
            options,
            key=for_training,
            batch_fn=_batches(options.batch_size),
            report=report,
        )
    params = result.state.kept
    encode = jax.jit(lambda x: net.encode.apply(params["encoder"], scaled(x, scaling)).mean)
    draw = jax.jit(lambda z: net.decode.apply(params["decoder"], z))

    def apply(images: np.ndarray) -> Codes:
        latents = _in_batches(encode, compact(images))
        return Codes(latents, np.abs(latents / np.maximum(latents.std(0), 1e-9)).argmax(1))

    def decode(latents: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "m h w c"]:
        return unscaled(_in_batches(draw, np.asarray(latents, np.float32)), scaling)

    grid = latent_grid(apply(images).latents)
    name = "convolutional AE" if convolutions else "VAE"
    return Fitted(name, shape, f"{int(result.state.step)} steps", apply, decode, lambda: decode(grid))


def latent_grid(latents: Float[np.ndarray, "n d"], points: int = 3) -> Float[np.ndarray, "k d"]:
    """A grid over the first two latents from their 5th to their 95th percentile, the others at their medians."""
    d = latents.shape[1]
    lines = [np.percentile(latents[:, i], np.linspace(5, 95, points)) for i in range(min(d, 2))]
    mesh = np.stack(np.meshgrid(*lines, indexing="xy"), axis=-1).reshape(-1, len(lines))
    out = np.tile(np.median(latents, axis=0), (len(mesh), 1))
    out[:, : len(lines)] = mesh
    return out.astype(np.float32)


def _in_batches(apply, rows: np.ndarray) -> np.ndarray:
    """A compiled function on batches of one size; the last one is filled up."""
    parts = [
        np.asarray(apply(padded(rows[start : start + BATCH], BATCH)))[: len(rows) - start]
        for start in range(0, len(rows), BATCH)
    ]
    return np.concatenate(parts)
