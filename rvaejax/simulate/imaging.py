"""Image formation: projected potential convolved with the probe, as sums of Gaussians; labels the same way.

A Gaussian is separable, so the image of n atoms is two thin matrix products, exact at any sub-pixel position.
Method: linear incoherent imaging (Kirkland, Advanced Computing in Electron Microscopy, chapter 3), with the probe as
a core and a tail.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rvaejax.simulate.sheet import Sheet

ATOMIC_NUMBER = (6, 14)  # of SPECIES


class Probe(NamedTuple):
    """An atom's image: (1 - w) of its peak in a core, w in a tail; both Gaussians [nm]."""

    core_nm: Float[Array, ""]
    tail_nm: Float[Array, ""]
    tail_weight: Float[Array, ""]


def gaussians(
    xy: Float[Array, "n 2"],
    height: Float[Array, " n"],
    sigma: Float[Array, ""] | float,
    rows: Float[Array, " h"],
    columns: Float[Array, " w"],
) -> Float[Array, "h w"]:
    """Sum of Gaussians of the given heights at `xy`, at the pixel centres `rows` and `columns` (all in one unit)."""
    gx = jnp.exp(-0.5 * ((columns[None, :] - xy[:, 0:1]) / sigma) ** 2)
    gy = jnp.exp(-0.5 * ((rows[None, :] - xy[:, 1:2]) / sigma) ** 2)
    return jnp.einsum("n,nh,nw->hw", height, gy, gx, optimize="optimal")


def pixel_centres(size_px: int, pixel_size_nm: float) -> Float[Array, " size"]:
    """Pixel centres [nm]: pixel 0 at 0."""
    return jnp.arange(size_px) * pixel_size_nm


def render(
    sheet: Sheet,
    probe: Probe,
    *,
    size_px: int,
    pixel_size_nm: float,
    z_exponent: Float[Array, ""] | float = 1.5,
    amplitude: Float[Array, " n"] | float = 1.0,
) -> Float[Array, "size size"]:
    """The sheet's noiseless image, in units of one C atom's peak.

    Args:
        sheet: the atoms.
        probe: core and tail.
        size_px: side of the image [px].
        pixel_size_nm: its pixel [nm].
        z_exponent: intensity grows as the atomic number to this power.
        amplitude: factor on each atom's intensity.
    """
    z = jnp.asarray(ATOMIC_NUMBER, jnp.float32)[sheet.species]
    height = jnp.where(sheet.mask, (z / ATOMIC_NUMBER[0]) ** z_exponent * amplitude, 0.0)
    axis = pixel_centres(size_px, pixel_size_nm)
    core = gaussians(sheet.xy, height, probe.core_nm, axis, axis)
    tail = gaussians(sheet.xy, height, probe.tail_nm, axis, axis)
    return (1 - probe.tail_weight) * core + probe.tail_weight * tail


def label_maps(
    sheet: Sheet, *, size_px: int, pixel_size_nm: float, label_nm: float, visible: Bool[Array, " n"] | None = None
) -> Float[Array, "size size classes"]:
    """Per-pixel class probabilities (background, C, Si): a Gaussian of height 1 on each atom, clipped to sum 1.

    The optimum of the cross-entropy against such labels is the label blurred by what the image leaves unknown of the
    position; so a predicted blob's centroid is the expected position, and its excess second moment the variance.
    """
    shown = sheet.mask if visible is None else sheet.mask & visible
    axis = pixel_centres(size_px, pixel_size_nm)
    maps = [
        gaussians(sheet.xy, (shown & (sheet.species == s)).astype(jnp.float32), label_nm, axis, axis)
        for s in range(len(ATOMIC_NUMBER))
    ]
    atoms = jnp.stack(maps, -1)
    atoms = atoms / jnp.maximum(atoms.sum(-1, keepdims=True), 1.0)
    return jnp.concatenate([1 - atoms.sum(-1, keepdims=True), atoms], -1)


def class_labels(maps: Float[Array, "... classes"]) -> Int[Array, "..."]:
    """The likeliest class of each pixel: 0 background, 1 C, 2 Si."""
    return maps.argmax(-1)
