"""Strided and transposed convolutions as matrix products: the same numbers, and many times faster to train on CPUs.

XLA has no fast way on CPUs for convolutions of a dilated input, which transposed convolutions and the gradients of
strided ones are. Cut into the kernel's taps, both are one matrix product and a few shifted copies.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

SIDE = 3  # of the kernels


def strided(x: Float[Array, "b h w c"], kernel: Float[Array, "k k c f"], stride: int) -> Float[Array, "b hs ws f"]:
    """A convolution with "SAME" padding, as `jax.lax.conv_general_dilated` has it.

    Args:
        x: images.
        kernel: its taps.
        stride: pixels from one output to the next.
    """
    k, shape = len(kernel), x.shape[1:3]
    out = [-(-side // stride) for side in shape]
    total = [max((n - 1) * stride + k - side, 0) for n, side in zip(out, shape, strict=True)]
    padded = jnp.pad(x, ((0, 0), *((t // 2, t - t // 2) for t in total), (0, 0)))
    reach = [(n - 1) * stride + 1 for n in out]
    taps = [padded[:, i : i + reach[0] : stride, j : j + reach[1] : stride] for i in range(k) for j in range(k)]
    return jnp.concatenate(taps, -1) @ kernel.reshape(-1, kernel.shape[-1])


def transposed(x: Float[Array, "b h w c"], kernel: Float[Array, "k k c f"], stride: int) -> Float[Array, "b ht wt f"]:
    """A transposed convolution with "SAME" padding, as `jax.lax.conv_transpose` has it: `stride` times the size.

    Args:
        x: images.
        kernel: its taps.
        stride: pixels of the output for one of the input.
    """
    k, c, f = len(kernel), kernel.shape[2], kernel.shape[3]
    before = k - 1 if stride > k - 1 else -(-(k + stride - 2) // 2)
    each = x @ kernel.transpose(2, 0, 1, 3).reshape(c, k * k * f)
    # each tap falls on one of stride x stride interleaved images, all of the input's size
    phases: dict[tuple[int, int], Array] = {}
    for tap in range(k * k):
        (i, row), (j, column) = (divmod(before - shift, stride) for shift in divmod(tap, k))
        moved = [(0, 0, 0), (i, -i, 0), (j, -j, 0), (0, 0, 0)]
        piece = lax.pad(each[..., tap * f : (tap + 1) * f], jnp.zeros((), x.dtype), moved)
        known = phases.get((row, column))
        phases[row, column] = piece if known is None else known + piece
    none = jnp.zeros((*x.shape[:3], f), x.dtype)
    lines = [jnp.stack([phases.get((r, q), none) for q in range(stride)], 3) for r in range(stride)]
    b, h, w = x.shape[:3]
    return jnp.stack(lines, 2).reshape(b, h * stride, w * stride, f)


class Convolution(nn.Module):
    """A 3x3 convolution with a bias, strided or transposed."""

    filters: int
    stride: int = 2
    up: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b hs ws f"]:
        """The layer's output: 1 / stride of the size, or, `up`, stride times the size."""
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (SIDE, SIDE, x.shape[-1], self.filters))
        bias = self.param("bias", nn.initializers.zeros, (self.filters,))
        return (transposed if self.up else strided)(x, kernel, self.stride) + bias[None, None, None]
