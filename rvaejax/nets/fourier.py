"""The Fourier decoder: content to the coefficients of plane waves, and their sum at any points.

    value(x, y) = sum over modes n = 0..N, m = -N..N of  Re (a0 + i a1)(n, m) exp(2 pi i (n x + m y) / P) + background

with points in units of the half window and P the period in them.
"""

from __future__ import annotations

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rvaejax.nets.config import FourierDecoder


def modes(config: FourierDecoder, size: int, axes: int = 2) -> tuple[int, Float[np.ndarray, "n m"]]:
    """Highest mode N, and the envelope (N + 1, 2 N + 1) of the coefficients of modes (0..N, -N..N).

    Along one axis the envelope is (N + 1, 1), of modes (0..N, 0).
    """
    highest = max(1, min(config.max_modes, math.ceil(config.cutoff * config.period * size)))
    across = highest if axes == 2 else 0
    fx, fy = np.meshgrid(np.arange(highest + 1), np.arange(-across, across + 1), indexing="ij")
    radius = np.hypot(fx, fy)
    envelope = np.where(radius <= highest + 0.5, np.exp(-((radius / highest) ** 2)), 0.0)
    return highest, envelope / np.sqrt((envelope**2).sum())


def fastest(config: FourierDecoder, size: int) -> float:
    """The highest angular frequency of a wave [rad per half window]."""
    return math.pi * (modes(config, size)[0] + 0.5) / config.period


class Coefficients(nn.Module):
    """A content's coefficients (..., 2, c, n, m), and the background (1, c)."""

    config: FourierDecoder
    size: int
    channels: int
    axes: int = 2

    @nn.compact
    def __call__(self, content: Float[Array, "... d"]) -> tuple[Float[Array, "... 2 c n m"], Float[Array, "1 c"]]:
        """Of contents (..., d)."""
        envelope = modes(self.config, self.size, self.axes)[1].astype(np.float32)
        shape = (2, self.channels, *envelope.shape)
        z = content
        for i in range(self.config.layers):
            h = nn.Dense(self.config.hidden)(z)
            if self.config.skip and i > 0:
                h = h + nn.Dense(self.config.hidden, use_bias=False, name=f"skip_{i}")(content)
            z = nn.tanh(h)
        a = nn.Dense(math.prod(shape), kernel_init=nn.initializers.normal(0.3 * self.config.hidden**-0.5))(z)
        if self.config.skip:
            init = nn.initializers.normal(0.3 * content.shape[-1] ** -0.5)
            name = f"skip_{self.config.layers}"
            a = a + nn.Dense(math.prod(shape), use_bias=False, kernel_init=init, name=name)(content)
        background = self.param("background", nn.initializers.zeros, (1, self.channels))
        a = a.reshape(*content.shape[:-1], *shape)
        return a * envelope.reshape((1,) * (a.ndim - 2) + envelope.shape), background


def draw(a: Float[Array, "*b 2 c n m"], turns: Float[Array, "*b 2 p"]) -> Float[Array, "*b p c"]:
    """The sum over the modes at points given in periods: two small matrix products for each example.

    Waves m and -m are taken together, as a cosine and a sine along y, which halves the products.
    """
    *batch, _, channels, n, m = a.shape
    p, middle = turns.shape[-1], m // 2
    up, down = a[..., middle:], jnp.flip(a[..., : middle + 1], -1).at[..., 0].set(0.0)
    even, odd = up + down, up - down
    real = jnp.concatenate([even[..., 0, :, :, :], -odd[..., 1, :, :, :]], -1)
    imag = jnp.concatenate([even[..., 1, :, :, :], odd[..., 0, :, :, :]], -1)
    along_y = jnp.concatenate(harmonics(turns[..., 1, :], middle), -2)
    along_x = jnp.concatenate(harmonics(turns[..., 0, :], n - 1), -2)
    weights = jnp.concatenate([real, -imag], -2)  # (..., c, 2 n, 2 (middle + 1))
    each = [((weights[..., c, :, :] @ along_y) * along_x).sum(-2) for c in range(channels)]
    return jnp.stack(each, -1).reshape(*batch, p, channels)


def basis(
    config: FourierDecoder, size: int, axes: int, points: Float[np.ndarray, "p 2"]
) -> tuple[Float[np.ndarray, " modes"], Float[np.ndarray, "modes p"]]:
    """Which of all coefficients can be other than 0, and what each of these draws at some points.

    Coefficients are numbered as they lie: those of cosines, then those of sines, of one channel.
    """
    highest, envelope = modes(config, size, axes)
    across = envelope.shape[1] // 2
    turns = points / (2 * config.period)
    fx, fy = np.meshgrid(np.arange(highest + 1), np.arange(-across, across + 1), indexing="ij")
    drawing = np.flatnonzero(envelope)
    phase = 2 * np.pi * (fx.ravel()[drawing, None] * turns[:, 0] + fy.ravel()[drawing, None] * turns[:, 1])
    waves = np.concatenate([np.cos(phase), -np.sin(phase)]).astype(np.float32)
    return np.concatenate([drawing, envelope.size + drawing]), waves


def harmonics(turns: Float[Array, "*b p"], highest: int) -> tuple[Float[Array, "*b n p"], Float[Array, "*b n p"]]:
    """Cosine and sine of 0, 1, ..., `highest` times an angle given in full turns."""
    n = np.arange(highest + 1, dtype=np.float32).reshape((1,) * (turns.ndim - 1) + (-1, 1))
    return _harmonics(turns[..., None, :], jnp.asarray(n))


@jax.custom_jvp
def _harmonics(
    turns: Float[Array, "*b 1 p"], n: Float[Array, "... n 1"]
) -> tuple[Float[Array, "*b n p"], Float[Array, "*b n p"]]:
    every = n * turns
    return _cos_turns(every), _cos_turns(every - 0.25)


@_harmonics.defjvp
def _harmonics_slope(given, tangents):
    """Each is the other's slope: nothing but what is there already."""
    cos, sin = _harmonics(*given)
    change = (2 * np.pi) * given[1] * tangents[0]
    return (cos, sin), (-sin * change, cos * change)


def _cos_turns(turns: Float[Array, "..."]) -> Float[Array, "..."]:
    """cos(2 pi turns) to 1e-8 (plus rounding of the argument), several times faster than XLA's cosine on CPUs.

    The argument is folded to [-1/4, 1/4] turns, where an odd polynomial (least squares at Chebyshev points) is enough.
    """
    t = jnp.abs(turns - jnp.round(turns)) - 0.25
    u = t * t
    return -t * (6.28318516 + u * (-41.34165491 + u * (81.60099705 + u * (-76.54962907 + u * 39.5355917))))
