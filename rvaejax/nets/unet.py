"""A lean U-Net as a pure function, channel-last.

Method: U-Net (Ronneberger, Fischer, Brox, MICCAI 2015), with what a CPU asks for: the first level works on 2 x 2
blocks of pixels (space to depth), levels are joined by strided convolutions and by resize + convolution, and each
convolution is followed by a normalisation over its own pixel's channels alone, so that what is predicted for a pixel
does not depend on how the image was cut into tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

Init = Callable[[PRNGKeyArray], Any]
Apply = Callable[[Any, Float[Array, "n h w c"]], Float[Array, "n h w classes"]]


def space_to_depth(x: Float[Array, "n h w c"], block: int) -> Float[Array, "n h2 w2 c2"]:
    """Blocks of pixels become channels."""
    n, h, w, c = x.shape
    x = x.reshape(n, h // block, block, w // block, block, c)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(n, h // block, w // block, block * block * c)


def depth_to_space(x: Float[Array, "n h w c"], block: int) -> Float[Array, "n h2 w2 c2"]:
    """The inverse of `space_to_depth`."""
    n, h, w, c = x.shape
    x = x.reshape(n, h, w, block, block, c // block**2)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(n, h * block, w * block, c // block**2)


class _Block(nn.Module):
    """Two 3 x 3 convolutions, each with RMS normalisation over channels and a swish."""

    features: int
    stride: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 d"]:
        for stride in (self.stride, 1):
            x = nn.Conv(self.features, (3, 3), strides=stride, padding="SAME")(x)
            x = nn.swish(nn.RMSNorm()(x))
        return x


class _UNet(nn.Module):
    widths: Sequence[int]
    classes: int
    block: int

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h w classes"]:
        x = space_to_depth(x, self.block)
        skips = []
        for level, width in enumerate(self.widths):
            x = _Block(width, stride=1 if level == 0 else 2)(x)
            skips.append(x)
        for width, skip in zip(reversed(self.widths[:-1]), reversed(skips[:-1]), strict=True):
            n, h, w, _ = skip.shape
            x = nn.Conv(width, (1, 1))(x)  # fewer channels before the resize: most of its cost
            x = jax.image.resize(x, (n, h, w, width), "nearest")
            x = _Block(width)(jnp.concatenate([x, skip], -1))
        x = nn.Conv(self.classes * self.block**2, (3, 3), padding="SAME")(x)
        return depth_to_space(x, self.block)


def build(widths: Sequence[int], classes: int, *, channels: int = 1, block: int = 2) -> tuple[Init, Apply]:
    """A U-Net as `(init, apply)`.

    Args:
        widths: features of each level, the finest first.
        classes: number of output classes.
        channels: channels of the input image.
        block: side of the pixel blocks that the first level works on.

    Returns:
        `init(key) -> params` and `apply(params, images) -> logits`, images (n, h, w, channels) with h and w multiples
        of `stride(widths, block)`, logits (n, h, w, classes).
    """
    net = _UNet(tuple(widths), classes, block)
    side = stride(widths, block)

    def init(key: PRNGKeyArray) -> Any:
        return net.init(key, jnp.zeros((1, side, side, channels)))["params"]

    def apply(params: Any, images: Float[Array, "n h w c"]) -> Float[Array, "n h w classes"]:
        logits = net.apply({"params": params}, images)
        assert isinstance(logits, jax.Array)
        return logits

    return init, apply


def stride(widths: Sequence[int], block: int = 2) -> int:
    """Images must be multiples of this many pixels."""
    return block * 2 ** (len(widths) - 1)
