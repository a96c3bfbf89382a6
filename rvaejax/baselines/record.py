"""A fitted baseline: the same few functions whatever the method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer, Shaped

from rvaejax.errors import ImageError
from rvaejax.types import SubImages


class Codes(NamedTuple):
    """What a baseline says of sub-images.

    Attributes:
        latents: (n, d) scores of the components, probabilities of the classes, or latents.
        label: (n,) class, or the component of the largest weight.
    """

    latents: Float[np.ndarray, "n d"]
    label: Integer[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A baseline at work.

    Attributes:
        name: of the method.
        shape: (h, w, c) of the windows that it was fitted to.
        note: what to know of it, such as a reduction that came first; "" for nothing.
        apply: `images (n, h, w, c) -> Codes`.
        decode: `latents (m, d) -> images (m, h, w, c)`.
        components: `() -> images (k, h, w, c)`: components, means of the classes, or decoded centroids.
    """

    name: str
    shape: tuple[int, int, int]
    note: str
    apply: Callable[[Shaped[np.ndarray, "n h w c"]], Codes]
    decode: Callable[[Float[np.ndarray, "m d"]], Float[np.ndarray, "m h w c"]]
    components: Callable[[], Float[np.ndarray, "k h w c"]]

    def encode(self, subimages: SubImages) -> Codes:
        """Latents and label of each sub-image.

        Raises:
            ImageError: windows of another size or number of channels.
        """
        shape = tuple(subimages.images.shape[1:])
        if shape != self.shape:
            raise ImageError(f"windows of {shape}, but {self.name} was fitted to {self.shape}: cut them the same way")
        return self.apply(subimages.images)


def flat(images: Shaped[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n p"]:
    """Images as rows of float32."""
    return np.asarray(images, np.float32).reshape(len(images), -1)


def some_rows(n: int, most: int, seed: int) -> Integer[np.ndarray, " m"]:
    """At most `most` row numbers out of n, drawn at random, ascending."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False))
