"""The posterior of sub-images under a trained decoder, beside the encoder's."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, Key, PyTree

from rvaejax.nets.encoders import Encoded
from rvaejax.progress import progress
from rvaejax.rvae import elbo
from rvaejax.rvae.config import RVAEConfig, check_plain
from rvaejax.rvae.inputs import check_fits, compact, scaled
from rvaejax.rvae.posterior.calls import Calls, compiled, sample
from rvaejax.rvae.posterior.config import NutsConfig
from rvaejax.rvae.posterior.mixed import Sampled
from rvaejax.rvae.posterior.record import Posterior
from rvaejax.rvae.posterior.spread import lanes
from rvaejax.rvae.posterior.target import Target, target
from rvaejax.rvae.priors.circle import wrap
from rvaejax.rvae.record import TrainedRVAE
from rvaejax.training.interrupt import StopFlag
from rvaejax.types import SubImages

_GROUP = 8  # sub-images at a time, on accelerators


@functools.lru_cache(maxsize=8)
def _compiled(
    config: RVAEConfig, shape: tuple[int, int, int], nuts: NutsConfig
) -> tuple[Callable[..., Encoded], Calls]:
    """The encoder of images (b, h, w, c), and the calls for the densities of `(params, (image, Encoded))`."""
    rvae = elbo.build(config, shape)

    def of(params: PyTree, one: tuple[Float[Array, "h w c"], Encoded]) -> Target:
        return target(rvae, params, rvae.prior_params(params), *one)

    return jax.jit(rvae.encode), compiled(of, nuts)


def sample_images(
    model: TrainedRVAE,
    images: Float[np.ndarray, "n h w c"],
    nuts: NutsConfig,
    desc: str,
    should_stop: StopFlag = lambda: 0,
    *,
    keys: Key[Array, " n"],
) -> Sampled:
    """The posterior of each scaled image, as points.

    Args:
        model: a trained rVAE.
        images: in its scale.
        nuts: the chains.
        desc: what the progress bar says.
        should_stop: looked at after each compiled call.
        keys: sources of randomness.

    Raises:
        KeyboardInterrupt: `should_stop` gave the number of a signal.
    """

    def heed() -> None:
        if signum := should_stop():
            raise KeyboardInterrupt(signum)

    check_plain(model.config, "sampling of posteriors")
    encode, calls = _compiled(model.config, model.image_shape, nuts)
    parts, size = [], lanes(_GROUP)
    with progress(total=len(images), desc=desc, unit="images") as bar:
        for start in range(0, len(images), size):
            rows = np.resize(np.arange(start, min(start + size, len(images))), size)
            group = jnp.asarray(images[rows])
            of_each = group, encode(model.params, group)
            found = sample(calls, nuts, model.params, of_each, heed, keys=keys[rows])
            number = min(size, len(images) - start)
            parts.append(jax.tree.map(lambda v, n=number: np.asarray(v)[:n], found))
            bar.update(number)
    return jax.tree.map(lambda *v: np.concatenate(v), *parts)


def posterior(
    model: TrainedRVAE,
    subimages: SubImages,
    *,
    rows: Integer[np.ndarray, " n"] | None = None,
    config: NutsConfig | None = None,
    seed: int = 0,
    should_stop: StopFlag = lambda: 0,
) -> Posterior:
    """Draws of the posterior of angle, shift and content of sub-images, under the trained decoder and the priors.

    Args:
        model: a trained rVAE.
        subimages: windows of the size and channels of its training.
        rows: which of them; default: all.
        config: of the chains.
        seed: of the chains.
        should_stop: looked at every second or so; the number of a signal ends the sampling.

    Returns:
        `Posterior`: draws, what each orientation weighs, bounds of the log-evidence, and the encoder's own draws.

    Raises:
        ImageError: sub-images that do not fit the model.
        KeyboardInterrupt: `should_stop` gave the number of a signal.
    """
    check_fits(model, subimages)
    config = NutsConfig() if config is None else config
    rows = np.arange(len(subimages)) if rows is None else np.asarray(rows)
    images = scaled(compact(subimages.images[rows]), model.scaling)
    keys = jax.random.split(jax.random.key(seed), len(rows))
    return _record(model, rows, sample_images(model, images, config, "sampling posteriors", should_stop, keys=keys))


def _record(model: TrainedRVAE, rows: Integer[np.ndarray, " n"], found: Any) -> Posterior:
    order, sign = list(model.order), np.asarray(model.sign, np.float32)
    rvae = elbo.build(model.config, model.image_shape)
    prior = rvae.prior_params(model.params)["shift"]
    value = jax.jit(jax.vmap(jax.vmap(lambda u: rvae.families.shift.value(u, prior))))
    half = model.image_shape[0] / 2

    def latents(points: Float[np.ndarray, "n l d"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        shift = np.asarray(value(points[..., 1:3])) * np.float32(half)
        return np.asarray(wrap(jnp.asarray(points[..., 0]))), shift, points[..., 3:][..., order] * sign

    angle, shift, content = latents(found.points)
    encoder_angle, _, encoder_content = latents(found.bounds.draws)
    return Posterior(
        row=rows,
        angle=angle,
        shift=shift,
        content=content,
        mode_angle=np.asarray(wrap(jnp.asarray(found.mode_angle))),
        mode_weight=found.weights,
        log_evidence=found.log_evidence,
        elbo=found.bounds.elbo,
        weighted_bound=found.bounds.weighted,
        encoder_angle=encoder_angle,
        encoder_content=encoder_content,
        diverging=found.diverging,
        split=(found.split * (found.weights > 0.01)).max(1),
        effective=np.where(found.weights > 0.01, found.effective, np.inf).min(1),
    )
