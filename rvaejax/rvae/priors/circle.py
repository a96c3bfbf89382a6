"""Densities on the circle: their integrals, samples, and means under posteriors.

The divergence of a posterior q to a density p on the circle is

    KL(q || p) = KL(q || uniform) - E_q[log p + log 2 pi],

so that only the mean of log p is needed: in closed form where there is one, else by quadrature.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from rvaejax.rvae.divergences import LOG_2PI

LogDensity = Callable[[Float[Array, "..."]], Float[Array, "..."]]

POINTS = 512  # of the quadrature over the circle
_SAMPLED = 4096  # cells of the table that angles are drawn from
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(7)


def wrap(angle: Float[Array, "..."]) -> Float[Array, "..."]:
    """The angle in (-pi, pi]."""
    return -((jnp.pi - angle) % (2 * jnp.pi) - jnp.pi)


def circle(points: int) -> Float[Array, " n"]:
    """Angles in the middles of equal cells of (-pi, pi)."""
    return 2 * jnp.pi * ((jnp.arange(points) + 0.5) / points - 0.5)


def log_integral(log_density: LogDensity, points: int = POINTS) -> Float[Array, ""]:
    """Logarithm of the integral over the circle; exact to rounding for what has no harmonics of order `points`."""
    return jax.nn.logsumexp(log_density(circle(points))) + LOG_2PI - jnp.log(points)


def sample(log_density: LogDensity, shape: tuple[int, ...], *, key: Key[Array, ""]) -> Float[Array, "..."]:
    """Draws by the inverse of the distribution function, the density being constant in each of 4096 cells."""
    mass = jax.nn.softmax(log_density(circle(_SAMPLED)))
    below = jnp.concatenate([jnp.zeros(1), jnp.cumsum(mass)])
    u = jax.random.uniform(key, shape) * below[-1]
    cell = jnp.clip(jnp.searchsorted(below, u.ravel(), side="right") - 1, 0, _SAMPLED - 1).reshape(shape)
    within = jnp.clip((u - below[cell]) / jnp.maximum(mass[cell], 1e-30), 0.0, 1.0)
    return 2 * jnp.pi * ((cell + within) / _SAMPLED - 0.5)


def mean_by_series(log_density: LogDensity, mean: Float[Array, ""], log_sd: Float[Array, ""]) -> Float[Array, ""]:
    """E[log p] under a normal wrapped onto the circle, narrow or wide: by the Fourier series of log p.

    With log p = sum over n of c_n exp(i n angle), the mean is the sum of c_n exp(i n mean - n^2 sd^2 / 2).
    """
    grid = circle(POINTS)
    c = jnp.fft.rfft(log_density(grid)) / POINTS
    n = jnp.arange(POINTS // 2 + 1, dtype=mean.dtype)
    phase = n * (mean - grid[0])
    twice = jnp.where((n == 0) | (n == POINTS // 2), 1.0, 2.0)
    damped = twice * jnp.exp(-0.5 * n**2 * jnp.exp(2 * jnp.minimum(log_sd, 10.0)))
    return (damped * (c.real * jnp.cos(phase) - c.imag * jnp.sin(phase))).sum()


def means_by_quadrature(
    log_density: LogDensity, mean: Float[Array, " k"], sd: Float[Array, " k"]
) -> Float[Array, " k"]:
    """E[log p] under narrow normals, each by Gauss and Hermite's rule of seven points."""
    weights = jnp.asarray(_WEIGHTS / _WEIGHTS.sum(), mean.dtype)
    points = mean[:, None] + sd[:, None] * jnp.asarray(_NODES, mean.dtype)[None]
    return (log_density(wrap(points)) * weights[None]).sum(1)


def log_wrapped_normal(
    angle: Float[Array, "..."], mean: Float[Array, "..."], log_sd: Float[Array, "..."], turns: int = 3
) -> Float[Array, "..."]:
    """Log-density of a normal wrapped onto the circle: the sum over whole turns where narrow, its series where wide."""
    off, log_sd = jnp.broadcast_arrays(wrap(angle - mean), log_sd)
    narrow = jnp.minimum(log_sd, 0.5)
    k = 2 * jnp.pi * jnp.arange(-turns, turns + 1, dtype=off.dtype)
    lines = off[..., None] + k.reshape((1,) * off.ndim + (-1,))
    summed = jax.nn.logsumexp(-0.5 * (lines * jnp.exp(-narrow)[..., None]) ** 2, axis=-1) - narrow - 0.5 * LOG_2PI
    wide = jnp.exp(2 * jnp.clip(log_sd, 0.5, 10.0))
    rest = sum(2 * jnp.exp(-0.5 * n**2 * wide) * jnp.cos(n * off) for n in (1, 2, 3))
    return jnp.where(log_sd < 0.5, summed, jnp.log1p(rest) - LOG_2PI)
