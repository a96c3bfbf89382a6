"""The light in which a sub-image was taken: gain, offset and slope of each channel, fitted in closed form.

x = (1 + g) mu + o + s . r + noise,    g, o, s normal around 0,

r in half windows. Beam current, detector and the tails of what lies outside differ from window to window and say
nothing about the site; a content latent would be spent on them, because they touch every pixel. The best g, o and s of
a window given what is drawn is a ridge regression; that it is the best makes its derivative vanish, and none is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rvaejax.rvae.families import Lighting

_WRITTEN_OUT = 4  # unknowns of a system up to which its solution is written out


class Matched(NamedTuple):
    """What is drawn, in the light of an image.

    Attributes:
        drawn: expected pixels.
        penalty: minus the logarithm of the light's prior density, up to its constant [nat].
    """

    drawn: Float[Array, "p c"]
    penalty: Float[Array, ""]


def matched(
    config: Lighting,
    x: Float[Array, "p c"],
    drawn: Float[Array, "p c"],
    points: Float[Array, "p 2"],
    variance: Float[Array, ""],
) -> Matched:
    """What is drawn under the likeliest gain, offset and slope of each channel.

    Args:
        config: standard deviations of the light's prior.
        x: pixels of an image.
        drawn: what the decoder expects there.
        points: where they are [half windows].
        variance: of a pixel, over the number of pixels that each of these stands for.
    """
    sds = jnp.asarray([config.gain, config.offset, config.slope, config.slope], x.dtype)

    def channel(x, drawn):
        terms = sds[None] * jnp.column_stack([drawn, jnp.ones_like(drawn), points])
        normal = terms.T @ terms + variance * jnp.eye(len(sds), dtype=x.dtype)
        light = jax.lax.stop_gradient(_eliminated(normal, terms.T @ (x - drawn)))
        return drawn + terms @ light, 0.5 * (light**2).sum()

    lit, penalties = jax.vmap(channel, in_axes=1, out_axes=(1, 0))(x, drawn)
    return Matched(lit, penalties.sum())


class RingLight(NamedTuple):
    """What light does to windows in coefficients whose products are inner products (`nets/rings.py`).

    Attributes:
        config: standard deviations of the light's prior; None for one light.
        functions: (3, q) an offset of 1 and slopes of 1 a half window, orthogonal.
    """

    config: Lighting | None
    functions: Float[np.ndarray, "3 q"]

    def _norms(self) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
        """Squared norms of the functions, and prior variances of their factors."""
        assert self.config is not None
        c, norms = self.config, (self.functions**2).sum(1)
        return norms, np.asarray([c.offset, c.slope, c.slope], np.float32) ** 2

    def free(
        self, drawn: Float[Array, "b c q"], precision: Float[Array, " b"]
    ) -> Callable[[Float[Array, "b c q"]], Float[Array, "b c q"]]:
        """Takes from a difference between images and what is drawn of them what a change of light can explain.

        Args:
            drawn: what a gain multiplies.
            precision: of a pixel.
        """
        if self.config is None:
            return lambda v: v
        norms, variances = self._norms()
        shares = 1 / (norms[None] + 1 / (precision[:, None] * (variances + 1e-12)[None]))

        def levelled(v):
            return v - ((v @ self.functions.T) * shares[:, None]) @ self.functions

        own = levelled(drawn)
        whole = (drawn * own).sum(-1) + 1 / (precision[:, None] * (self.config.gain**2 + 1e-12))

        def free(v):
            rest = levelled(v)
            return rest - ((rest * drawn).sum(-1) / whole)[..., None] * own

        return free

    def fits(
        self, precision: Float[Array, ""]
    ) -> tuple[Callable[[Float[Array, "b c q"]], Float[Array, "b c q"]], Callable[..., Float[Array, "..."]]]:
        """The log-likelihood in the likeliest light, from products of images and what is drawn.

        The gain is that of all channels.

        Args:
            precision: of a pixel.

        Returns:
            level, which takes from both what offset and slopes explain; it commutes with rotations. And
            `(overlap, size) -> fit` [nat], up to what is the same for all that can be drawn of an image: `overlap`
            their product, `size` that of what is drawn with itself, both levelled.
        """
        if self.config is None:
            return lambda v: v, lambda overlap, size: precision * (overlap - 0.5 * size)
        norms, variances = self._norms()
        # the square root of the projection, because both sides of a product are levelled
        shares = (1 - jnp.sqrt(1 / (1 + precision * norms * variances))) / norms
        of_gain = 1 / (precision * (self.config.gain**2 + 1e-12))

        def level(v):
            return v - ((v @ self.functions.T) * shares[None, None]) @ self.functions

        def fit(overlap, size):
            return precision * (overlap - 0.5 * size + 0.5 * (overlap - size) ** 2 / (size + of_gain))

        return level, fit


def solve(a: Float[Array, "b n n"], b: Float[Array, "b n"]) -> Float[Array, "b n"]:
    """Solutions of positive definite systems."""
    if b.shape[-1] > _WRITTEN_OUT:
        return jnp.linalg.solve(a, b[..., None])[..., 0]
    return jax.vmap(_eliminated)(a, b)


def _eliminated(a: Float[Array, "n n"], b: Float[Array, " n"]) -> Float[Array, " n"]:
    """The solution of a small positive definite system by elimination, written out: batched, it fuses into one loop."""
    rows = [jnp.concatenate([a[i], b[i : i + 1]]) for i in range(len(b))]
    for i in range(len(rows)):
        rows[i] = rows[i] / rows[i][i]
        rows = [row if j == i else row - row[i] * rows[i] for j, row in enumerate(rows)]
    return jnp.stack([row[-1] for row in rows])
