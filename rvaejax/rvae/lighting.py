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


def free_of(
    config: Lighting | None, points: Float[np.ndarray, "p 2"], weight: Float[np.ndarray, " p"]
) -> Callable[..., Callable[[Float[Array, "b c p"]], Float[Array, "b c p"]]]:
    """What a change of light cannot explain of a difference between an image and what is drawn.

    Args:
        config: standard deviations of the light's prior; None for one light.
        points: samples (p, 2), in all directions alike, so that offset and slopes are told apart.
        weight: pixels that each stands for.

    Returns:
        `(drawn (b, c, p), precision of a pixel (b,)) -> (differences (b, c, p) -> the same, less the light)`.
    """
    if config is None:
        return lambda drawn, precision: lambda v: v
    level = np.column_stack([np.ones(len(points)), points]).astype(np.float32)
    variances = np.asarray([config.offset, config.slope, config.slope], np.float32) ** 2 + 1e-12
    weight, norms = weight[None, None], (weight[:, None] * level**2).sum(0)

    def of(drawn, precision):
        shares = 1 / (norms[None] + 1 / (precision[:, None] * variances[None]))

        def levelled(v):
            found = ((v * weight) @ level) * shares[:, None]
            return v - found @ level.T

        own = levelled(drawn)
        whole = (own * own * weight).sum(-1) + 1 / (precision[:, None] * (config.gain**2 + 1e-12))

        def free(v):
            rest = levelled(v)
            return rest - ((rest * own * weight).sum(-1) / whole)[..., None] * own

        return free

    return of


def fits_of(
    config: Lighting | None,
    points: Float[np.ndarray, "p 2"],
    weight: Float[np.ndarray, " p"],
    precision: Float[Array, ""],
) -> tuple[Callable[[Float[Array, "b c p"]], Float[Array, "b c p"]], Callable[..., Float[Array, "..."]]]:
    """The log-likelihood in the likeliest light, from sums over an image and what is drawn; the gain is all channels'.

    Args:
        config: standard deviations of the light's prior; None for one light.
        points: samples (p, 2), in all directions alike.
        weight: pixels that each stands for.
        precision: of a pixel.

    Returns:
        level, which takes from both what offset and slopes explain; it commutes with rotations. And
        `(overlap, size) -> fit` [nat], up to what is the same for all that can be drawn of an image: `overlap` their
        weighted product, `size` that of what is drawn with itself, both levelled.
    """
    if config is None:
        return lambda v: v, lambda overlap, size: precision * (overlap - 0.5 * size)
    functions = np.column_stack([np.ones(len(points)), points]).astype(np.float32)
    norms = (weight[:, None] * functions**2).sum(0)
    basis = (functions / np.sqrt(norms)).astype(np.float32)
    variances = norms * np.asarray([config.offset, config.slope, config.slope], np.float32) ** 2
    # the square root of the projection, because both sides of a product are levelled
    share = 1 - jnp.sqrt(1 / (1 + precision * variances))
    of_gain = 1 / (precision * (config.gain**2 + 1e-12))

    def level(v: Float[Array, "b c p"]) -> Float[Array, "b c p"]:
        return v - (((v * weight[None, None]) @ basis) * share[None, None]) @ basis.T

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
