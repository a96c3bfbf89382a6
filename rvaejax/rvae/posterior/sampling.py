"""The posterior of sub-images under a trained decoder, orientation by orientation, beside the encoder's."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, Key, PyTree

from rvaejax.nets.encoders import Encoded
from rvaejax.progress import progress
from rvaejax.rvae import elbo
from rvaejax.rvae.config import RVAEConfig, check_plain
from rvaejax.rvae.inference import padded
from rvaejax.rvae.inputs import check_fits, compact, scaled
from rvaejax.rvae.posterior.bounds import Bounds, encoder_bounds
from rvaejax.rvae.posterior.config import NutsConfig
from rvaejax.rvae.posterior.evidence import Evidence, log_evidence
from rvaejax.rvae.posterior.modes import Modes, find_modes, own_basin
from rvaejax.rvae.posterior.nuts import run_chain
from rvaejax.rvae.posterior.record import Posterior
from rvaejax.rvae.posterior.target import Target, target
from rvaejax.rvae.priors.circle import wrap
from rvaejax.rvae.record import TrainedRVAE
from rvaejax.types import SubImages

_BATCH = 8  # sub-images at a time


class Sampled(NamedTuple):
    """One sub-image's posterior, as points (see `target.py`).

    Attributes:
        points: (l, n) draws, those of each orientation in the share of its weight.
        weights: (m,) of the orientations.
        mode_angle: (m,) the angle that each orientation's chain was started at [rad].
        log_evidence: log p(image) [nat].
        effective: (m,) effective numbers of the draws that the evidences are estimated from.
        diverging: share of the chains' steps that diverged.
        split: (m,) difference of the angle's mean between the halves of each chain, in its standard deviations.
        bounds: of the encoder, with its draws.
    """

    points: Float[Array, "l n"]
    weights: Float[Array, " m"]
    mode_angle: Float[Array, " m"]
    log_evidence: Float[Array, ""]
    effective: Float[Array, " m"]
    diverging: Float[Array, ""]
    split: Float[Array, " m"]
    bounds: Bounds


def sample_one(t: Target, config: NutsConfig, *, key: Key[Array, ""]) -> Sampled:
    """The posterior of one sub-image: a chain in each orientation, weighted by the evidence of its basin."""
    for_modes, for_chains, for_weights, for_draws, for_bounds = jax.random.split(key, 5)
    modes = find_modes(t, config.modes, key=for_modes)

    def one(start, root, k_chain, k_weight):
        chain = run_chain(t.log_joint, start, root, config, key=k_chain)

        def inside(point):
            return own_basin(point[0], start[0], modes)

        # the chain may have gone round the circle: back to the turn of its mode
        points = chain.points.at[:, 0].set(start[0] + wrap(chain.points[:, 0] - start[0]))
        own = jax.vmap(inside)(points).astype(points.dtype)
        scale = jnp.sqrt((root**2).sum(1))
        found = log_evidence(t.log_joint, inside, points, own, scale, config.weighing, key=k_weight)
        return points, own, found, chain.diverging.mean(), _split(points[:, 0])

    keys = (jax.random.split(k, config.modes) for k in (for_chains, for_weights))
    points, own, found, diverging, split = jax.vmap(one)(modes.points, modes.roots, *keys)
    return _mixed(points, own, found, modes, config, key=for_draws)._replace(
        diverging=(diverging * modes.there).sum() / modes.there.sum(),
        split=jnp.where(modes.there, split, 0.0),
        bounds=encoder_bounds(t, config.particles, key=for_bounds),
    )


def _split(values: Float[Array, " s"]) -> Float[Array, ""]:
    half = len(values) // 2
    return jnp.abs(values[:half].mean() - values[half:].mean()) / jnp.maximum(values.std(), 1e-12)


def _mixed(
    points: Float[Array, "m s n"],
    own: Float[Array, "m s"],
    found: Evidence,
    modes: Modes,
    config: NutsConfig,
    *,
    key: Key[Array, ""],
) -> Sampled:
    """Draws of all orientations together: as many of each as it weighs, without replacement as far as they go."""
    for_modes, for_rows = jax.random.split(key)
    log_weights = jnp.where(modes.there, found.log_value, -jnp.inf)
    total = jax.nn.logsumexp(log_weights)
    # systematic: the counts of the orientations differ from their shares by less than one
    u = (jnp.arange(config.kept) + jax.random.uniform(for_modes)) / config.kept
    weights = jnp.exp(log_weights - total)
    which = jnp.clip(jnp.searchsorted(jnp.cumsum(weights), u), 0, len(weights) - 1)
    rank = jnp.arange(config.kept) - jnp.searchsorted(which, which)  # number among its orientation's draws
    order = jnp.argsort(jax.random.uniform(for_rows, own.shape) + 2 * (1 - own), axis=1)  # own draws first, shuffled
    row = rank % jnp.maximum(own.sum(1).astype(int)[which], 1)
    drawn = points[which, order[which, row]]
    nothing: Any = None
    return Sampled(drawn, weights, modes.points[:, 0], total, found.effective, nothing, nothing, nothing)


@functools.lru_cache(maxsize=8)
def sampler(config: RVAEConfig, shape: tuple[int, int, int], nuts: NutsConfig) -> Callable[..., Sampled]:
    """`(params, scaled images (b, h, w, c), keys (b,)) -> Sampled` of each, compiled once per batch shape."""
    check_plain(config, "sampling of posteriors")
    rvae = elbo.build(config, shape)

    def apply(params: PyTree, images: Float[Array, "b h w c"], keys: Key[Array, " b"]) -> Sampled:
        prior, encoded = rvae.prior_params(params), rvae.encode(params, images)

        def one(image: Float[Array, "h w c"], q: Encoded, key: Key[Array, ""]) -> Sampled:
            return sample_one(target(rvae, params, prior, image, q), nuts, key=key)

        return jax.vmap(one)(images, encoded, keys)

    return jax.jit(apply)


def posterior(
    model: TrainedRVAE,
    subimages: SubImages,
    *,
    rows: Integer[np.ndarray, " n"] | None = None,
    config: NutsConfig | None = None,
    seed: int = 0,
) -> Posterior:
    """Draws of the posterior of angle, shift and content of sub-images, under the trained decoder and the priors.

    Args:
        model: a trained rVAE.
        subimages: windows of the size and channels of its training.
        rows: which of them; default: all.
        config: of the chains.
        seed: of the chains.

    Returns:
        `Posterior`: draws, what each orientation weighs, bounds of the log-evidence, and the encoder's own draws.

    Raises:
        ImageError: sub-images that do not fit the model.
    """
    check_fits(model, subimages)
    config = NutsConfig() if config is None else config
    rows = np.arange(len(subimages)) if rows is None else np.asarray(rows)
    apply = sampler(model.config, model.image_shape, config)
    images = scaled(compact(subimages.images[rows]), model.scaling)
    keys = jax.random.split(jax.random.key(seed), len(rows))
    parts = []
    with progress(total=len(rows), desc="sampling posteriors", unit="images") as bar:
        for start in range(0, len(rows), _BATCH):
            part = slice(start, min(start + _BATCH, len(rows)))
            number = np.resize(np.arange(part.start, part.stop), _BATCH)
            found = apply(model.params, padded(images[part], _BATCH), keys[number])
            parts.append(jax.tree.map(lambda v, n=part.stop - part.start: np.asarray(v)[:n], found))
            bar.update(part.stop - part.start)
    return _record(model, rows, jax.tree.map(lambda *v: np.concatenate(v), *parts))


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
