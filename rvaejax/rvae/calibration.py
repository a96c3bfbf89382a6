"""How large the angle's errors are, judged by the residuals of the decoded images; no truth is needed.

The posterior's standard deviation trusts the likelihood, in which the pixels' noise is independent. Residuals of real
sub-images are not: an atom that is off its place, a neighbour the content does not know, a blurred probe leave errors
that pixels share, and pose, content and light have fitted themselves to a part of them. Both are told by what a fit
loses without a part of the window. Around the encoder's latents, with J the slopes of what is drawn along all of them
(angle, shift, content, light), and over patches of a third of the window,

    error^2 = [(J'J)^-1 J'r]^2  +  sum over patches of  [(J'J - Jp'Jp)^-1 Jp'rp]^2,

the angle's components: the distance of the encoder's angle from the best fit, r the residual (its amortisation gap);
and the jackknife's variance of the best fit, r there the best fit's residual, and Jp, rp what lies in the patch (Efron
and Stein, Ann. Statist. 9, 586, 1981; with patches for single pixels as in Kuensch, Ann. Statist. 17, 1217, 1989). A
patch holds what errs together, an atom and its surroundings; a shorter reach takes one atom for several that agree.
The jackknife's variance errs towards too large, by n / (n - 1) where n patches matter alike.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, Shaped

from rvaejax.rvae import elbo
from rvaejax.rvae.config import RVAEConfig
from rvaejax.rvae.coordinates import grid
from rvaejax.rvae.inference import drawn_from, encode_raw, padded
from rvaejax.rvae.inputs import scaled
from rvaejax.training import devices

ACROSS = 3  # patches along a side of the window
WIDEST = math.pi / 6  # steps to the best fit beyond the reach of one mode mean nothing
_MOST = 8  # content latents whose slopes are taken; a wider content counts as known
_RIDGE = 1e-3  # of squared slopes of norm 1: latents that draw nearly the same share what they explain
_OUTLIER = 9.0  # squared errors count up to as many times the typical one
_CHI2_MEDIAN = 0.4549  # of the square of a standard normal
_BATCH = 64
_PIXELS = 1 << 18  # of all images together that are looked at; there are always enough images for a mean


class AngleMisfit(NamedTuple):
    """What is typical of the sub-images; a few sites that the decoder cannot draw do not count for more than others.

    Attributes:
        stated: the posterior's standard deviation [rad], median.
        gap: distance of the encoder's angle from the best fit, root mean square [rad].
        misfit: error of the best fit, by the residuals of patches, root mean square [rad].
        factor: what the stated standard deviation must be multiplied by to cover gap and misfit.
    """

    stated: float
    gap: float
    misfit: float
    factor: float


def angle_misfit(
    config: RVAEConfig,
    params: object,
    images: Shaped[np.ndarray, "n h w c"],
    scaling: tuple[float, float],
    labels: Integer[np.ndarray, " n"] | None = None,
) -> AngleMisfit:
    """The angle's stated standard deviation beside the error that the residuals of `images` speak of.

    `labels` as for `encode_raw`. Of windows larger than 32 x 32 px it looks at the first alone: 64 of 64 x 64 px.
    """
    n, shape = min(len(images), max(_BATCH, _PIXELS // images[0].size)), tuple(int(s) for s in images.shape[1:])
    images, labels = images[:n], None if labels is None else labels[:n]
    q = encode_raw(config, params, images, scaling, 256, labels)
    scale = q.get("scale", np.ones(n, np.float32))
    latents = (q["angle"], q["shift"] / np.float32(shape[0] / 2), drawn_from(q), scale)
    apply, mesh, parts = _errors(config, shape), devices.mesh(_BATCH), []  # type: ignore[arg-type]
    params = devices.everywhere(params, mesh)
    for start in range(0, n, _BATCH):
        rows = slice(start, min(start + _BATCH, n))
        *own, x = devices.divided(tuple(padded(v[rows], _BATCH) for v in (*latents, images)), mesh)
        parts.append([np.asarray(v)[: rows.stop - start] for v in apply(params, *own, scaled(x, scaling))])
    gap, misfit = (np.concatenate(part).astype(np.float64) for part in zip(*parts, strict=True))
    stated = np.maximum(q["angle_sd"].astype(np.float64), 1e-9)
    ratio = _typical(gap / stated**2, _CHI2_MEDIAN) + _typical(misfit / stated**2)
    typical = (np.median(stated), np.sqrt(_typical(gap, _CHI2_MEDIAN)), np.sqrt(_typical(misfit)))
    return AngleMisfit(*(float(v) for v in (*typical, np.sqrt(ratio))))


def _typical(squares: Float[np.ndarray, " n"], median: float = 1.0) -> np.floating:
    """Mean of squared errors, none beyond nine times the typical one: their median over that of their distribution."""
    return np.minimum(squares, _OUTLIER / median * np.median(squares)).mean()


def _patches(size: int) -> Integer[np.ndarray, "patches most"]:
    """Pixels of each patch of two tilings, half a patch apart; size^2 where a patch has no more."""
    place, found = (np.arange(size) + 0.5) * ACROSS / size, []
    for offset in (0.0, 0.5):
        band = np.floor(place + offset).astype(int)
        tile = (band[:, None] * (band.max() + 1) + band[None]).ravel()
        found += [np.flatnonzero(tile == one) for one in np.unique(tile)]
    most = max(len(pixels) for pixels in found)
    return np.stack([np.pad(pixels, (0, most - len(pixels)), constant_values=size * size) for pixels in found])


@functools.lru_cache(maxsize=8)
def _errors(config: RVAEConfig, shape: tuple[int, int, int]) -> Callable[..., tuple[Array, Array]]:
    """`(params, angle, shift [half windows], content, scale, images) -> ` squared gap (b,) and misfit (b,) [rad^2]."""
    model, size, channels, mesh = elbo.build(config, shape), shape[0], shape[2], devices.mesh(_BATCH)
    patches, points = _patches(size), grid(size)
    offsets = jnp.column_stack([jnp.ones(size * size), points])[:, None]
    moved, free = 2 * config.pose.shift, config.content_dim if config.content_dim <= _MOST else 0
    lit = getattr(config.likelihood, "lighting", None) is not None

    def one(params, angle, shift, content, scale, image):
        x = image.reshape(size * size, channels)
        shift = shift / scale  # content that is enlarged, seen from as much farther off
        fitted = jnp.concatenate([angle[None], shift[:moved], content[:free]])

        def expected(v):
            at = jnp.concatenate([v[1 : 1 + moved], shift[moved:]])
            z = jnp.concatenate([v[1 + moved :], content[free:]])
            return model.expect(params, x, points / scale, v[0], at, z)

        mean, along = jax.linearize(expected, fitted)
        slopes = jnp.moveaxis(jax.vmap(along)(jnp.eye(len(fitted))), 0, -1)  # (p, c, latents)
        if lit:
            light = jnp.concatenate([mean[..., None], jnp.broadcast_to(offsets, (*mean.shape, 3))], -1)
            each = jnp.eye(channels)[None, :, :, None] * light[:, :, None]  # a channel's light is its own
            slopes = jnp.concatenate([slopes, each.reshape(*mean.shape, -1)], -1)
        return _squares(slopes, x - mean, patches)

    def all_of(params, *examples):
        # one at a time: slopes of large windows together take longer to be given memory than to be worked out
        return devices.mapped(lambda example: one(params, *example), examples, mesh)

    return devices.compiled(all_of, mesh)


def _squares(
    slopes: Float[Array, "p c q"], residual: Float[Array, "p c"], patches: Integer[np.ndarray, "patches most"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Squared distance to the best fit of the first unknown, and its variance by the jackknife over both tilings."""
    norm = jnp.sqrt((slopes**2).sum((0, 1))) + 1e-12
    slopes = slopes / norm[None, None]
    whole = jnp.einsum("pca,pcb->ab", slopes, slopes) + _RIDGE * jnp.eye(len(norm))
    step = jnp.linalg.solve(whole, jnp.einsum("pca,pc->a", slopes, residual))
    left = jnp.concatenate([slopes, (residual - slopes @ step)[..., None]], -1)
    inside = jnp.pad(left, ((0, 1), (0, 0), (0, 0)))[patches].reshape(len(patches), -1, len(norm) + 1)
    products = jnp.einsum("gia,gib->gab", inside[..., :-1], inside)
    without = whole[None] - products[..., :-1]
    moves = jnp.linalg.solve(without, products[..., -1:])[:, 0, 0]
    gap = jnp.clip(step[0] / norm[0], -WIDEST, WIDEST) ** 2
    return gap, jnp.minimum(0.5 * (moves**2).sum() / norm[0] ** 2, WIDEST**2)
