"""How large the angle's errors are, judged by the residuals of the decoded images; no truth is needed.

The posterior's standard deviation trusts the likelihood, in which the pixels' noise is independent. Residuals of real
sub-images are not: an atom that is off its place, a neighbour the content does not know, a blurred probe leave errors
that pixels share. With u_p = (d mu_p / d angle) (x_p - mu_p) / sum over p of (d mu_p / d angle)^2, what pixel p adds to
the angle of the best fit,

    error^2 = (sum of u_p)^2  +  max over l of  sum over p, p' of  u_p u_p' exp(-|p - p'|^2 / 2 l^2):

the distance of the encoder's angle from the best fit (its amortisation gap), and the covariance of the best fit when
pixels within l of each other err together (the sandwich of White, Econometrica 48, 817, 1980, with the spatial kernel
of Conley, J. Econometrics 92, 1, 1999). The fit has taken the largest scales out of the residuals, so that the second
term falls again for large l: its largest value is a lower bound, and free of a choice.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Integer, Shaped

from rvaejax.rvae import elbo
from rvaejax.rvae.config import RVAEConfig
from rvaejax.rvae.coordinates import grid
from rvaejax.rvae.inference import drawn_from, encode_raw, padded
from rvaejax.rvae.inputs import scaled

RANGES = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)  # of the residuals' correlation [px]
WIDEST = math.pi / 6  # steps to the best fit beyond the reach of one mode mean nothing
CHI2_MEDIAN = 0.4549  # of the square of a standard normal
_BATCH = 64


class AngleMisfit(NamedTuple):
    """What is typical of the sub-images: medians, so that a few sites that the decoder cannot draw do not count.

    Attributes:
        stated: the posterior's standard deviation [rad].
        gap: distance of the encoder's angle from the best fit, as the standard deviation of a normal [rad].
        misfit: error of the best fit, by the residuals and their correlation [rad].
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

    `labels` as for `encode_raw`.
    """
    n, shape = len(images), tuple(int(s) for s in images.shape[1:])
    q = encode_raw(config, params, images, scaling, 256, labels)
    scale = q.get("scale", np.ones(n, np.float32))
    latents = (q["angle"], q["shift"] / np.float32(shape[0] / 2), drawn_from(q), scale)
    apply, parts = _moments(config, shape), []  # type: ignore[arg-type]
    for start in range(0, n, _BATCH):
        rows = slice(start, min(start + _BATCH, n))
        *own, x = (padded(v[rows], _BATCH) for v in (*latents, images))
        parts.append([np.asarray(v)[: rows.stop - start] for v in apply(params, *own, scaled(x, scaling))])
    gap, misfit = (np.concatenate(part) for part in zip(*parts, strict=True))
    stated = np.maximum(q["angle_sd"].astype(np.float64), 1e-9)
    best = np.median(misfit / stated[:, None] ** 2, axis=0).argmax()
    ratio = np.median(gap / stated**2) / CHI2_MEDIAN + np.median(misfit[:, best] / stated**2)
    typical = (np.median(stated), np.sqrt(np.median(gap) / CHI2_MEDIAN), np.sqrt(np.median(misfit[:, best])))
    return AngleMisfit(*(float(v) for v in (*typical, np.sqrt(ratio))))


@functools.lru_cache(maxsize=8)
def _moments(config: RVAEConfig, shape: tuple[int, int, int]) -> Callable[..., tuple[Array, Array]]:
    """`(params, angle, shift [half windows], content, scale, images) -> ` squared gap (b,) and misfit (b, ranges)."""
    model, size, channels = elbo.build(config, shape), shape[0], shape[2]
    away = np.abs(np.arange(size)[:, None] - np.arange(size)[None])
    kernels = np.exp(-0.5 * (away[None] / np.asarray(RANGES)[:, None, None]) ** 2).astype(np.float32)

    def one(params, angle, shift, content, scale, image):
        points, shift = grid(size) / scale, shift / scale  # content that is enlarged, seen from as much farther off
        x = image.reshape(size * size, channels)
        mean, slope = jax.jvp(lambda a: model.expect(params, x, points, a, shift, content), (angle,), (jnp.ones(()),))
        residual = x - mean
        u = (slope * residual).sum(1) / jnp.maximum((slope**2).sum(), 1e-12)
        square = u.reshape(size, size)
        smooth = jnp.einsum("lab,bc,lcd->lad", kernels, square, kernels)
        gap = jnp.clip(u.sum(), -WIDEST, WIDEST) ** 2
        return gap, jnp.minimum((smooth * square[None]).sum((1, 2)), WIDEST**2)

    return jax.jit(jax.vmap(one, in_axes=(None, 0, 0, 0, 0, 0)))
