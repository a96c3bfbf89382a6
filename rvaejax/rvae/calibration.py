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
from jaxtyping import Array, Float, Shaped

from rvaejax.rvae import elbo
from rvaejax.rvae.config import RVAEConfig
from rvaejax.rvae.coordinates import grid

RANGES = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)  # of the residuals' correlation [px]
WIDEST = math.pi / 6  # steps to the best fit beyond the reach of one mode mean nothing
_BATCH = 64


class AngleMisfit(NamedTuple):
    """Root mean squares over the sub-images [rad].

    Attributes:
        stated: the posterior's standard deviation.
        gap: distance of the encoder's angle from the best fit.
        misfit: error of the best fit, by the residuals and their correlation.
    """

    stated: float
    gap: float
    misfit: float

    @property
    def factor(self) -> float:
        """What the stated standard deviation must be multiplied by to cover gap and misfit."""
        return math.hypot(self.gap, self.misfit) / max(self.stated, 1e-12)


def angle_misfit(
    config: RVAEConfig,
    params: object,
    images: Shaped[np.ndarray, "n h w c"],
    scaling: tuple[float, float],
) -> AngleMisfit:
    """The angle's stated standard deviation beside the error that the residuals of `images` speak of."""
    apply = _moments(config, tuple(int(s) for s in images.shape[1:]))  # type: ignore[arg-type]
    lo, hi = scaling
    sums, n = [], len(images)
    for start in range(0, n, _BATCH):
        rows = images[start : start + _BATCH]
        x = (np.resize(rows, (_BATCH, *rows.shape[1:])).astype(np.float32) - lo) / np.float32(hi - lo)
        sums.append([np.asarray(v)[: len(rows)].sum(0) for v in apply(params, x)])
    stated, gap, misfit = (np.sum(part, axis=0) / n for part in zip(*sums, strict=True))
    return AngleMisfit(*(float(np.sqrt(v)) for v in (stated, gap, misfit.max())))


@functools.lru_cache(maxsize=8)
def _moments(config: RVAEConfig, shape: tuple[int, int, int]) -> Callable[..., tuple[Array, Array, Array]]:
    """`(params, scaled images) -> ` stated variance (b,), squared gap (b,), squared misfit (b, ranges)."""
    model, size, channels = elbo.build(config, shape), shape[0], shape[2]
    away = np.abs(np.arange(size)[:, None] - np.arange(size)[None])
    kernels = np.exp(-0.5 * (away[None] / np.asarray(RANGES)[:, None, None]) ** 2).astype(np.float32)

    def one(params, q_angle, shift, content, image: Float[Array, "p c"]):
        summary = model.angle.summary(q_angle)
        draw = functools.partial(model.decode, params, grid(size))
        mean, slope = jax.jvp(lambda a: draw(a, shift, content), (summary.angle,), (jnp.ones(()),))
        u = (slope * (image - mean)).sum(1) / jnp.maximum((slope**2).sum(), 1e-12)
        square = u.reshape(size, size)
        smooth = jnp.einsum("lab,bc,lcd->lad", kernels, square, kernels)
        gap = jnp.clip(u.sum(), -WIDEST, WIDEST) ** 2
        return summary.sd**2, gap, jnp.minimum((smooth * square[None]).sum((1, 2)), WIDEST**2)

    @jax.jit
    def apply(params, images):
        q = model.encode(params, images)
        flat = images.reshape(len(images), size * size, channels)
        shift = config.shift_scale * q.shift.mean
        return jax.vmap(one, in_axes=(None, 0, 0, 0, 0))(params, q.angle, shift, q.content.mean, flat)

    return apply
