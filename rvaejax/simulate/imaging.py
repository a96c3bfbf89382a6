"""Image formation: projected potential convolved with the probe, as sums of Gaussians; labels the same way.

A Gaussian is separable, so the image of n atoms is two thin matrix products, exact at any sub-pixel position.
Method: linear incoherent imaging (Kirkland, Advanced Computing in Electron Microscopy, chapter 3); an atom's image is
taken from multislice calculations, or from a core and a tail.
"""

from __future__ import annotations

import functools
from importlib import resources
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from rvaejax.simulate.config import SPECIES
from rvaejax.simulate.sheet import Sheet

ATOMIC_NUMBER = (6, 14)  # of SPECIES


class AtomImage(NamedTuple):
    """The image of an atom of each species: a sum of Gaussians whose widths the species share.

    Attributes:
        widths_nm: (k,) standard deviations, the narrowest first.
        heights: (species, k), relative to the peak of the first species.
    """

    widths_nm: Float[Array, " k"]
    heights: Float[Array, "species k"]


class Profiles(NamedTuple):
    """Images of an atom by multislice under microscopes drawn at random; one row each (see `AtomImage`)."""

    widths_nm: Float[np.ndarray, "n k"]
    heights: Float[np.ndarray, "n species k"]


@functools.cache
def multislice_profiles() -> Profiles:
    """The table that `experiments/calibrate_imaging.py` computes, for the species of the training images."""
    with resources.as_file(resources.files("rvaejax.simulate") / "profiles.npz") as path, np.load(path) as table:
        rows = [list(table["elements"]).index(symbol) for symbol in SPECIES]
        return Profiles(table["widths_nm"], table["heights"][:, rows])


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


def atom_image(probe: Probe, z_exponent: Float[Array, ""] | float) -> AtomImage:
    """The image that a core and a tail give, its brightness growing as the atomic number to `z_exponent`."""
    z = jnp.asarray(ATOMIC_NUMBER, jnp.float32)
    weights = jnp.stack([1 - probe.tail_weight, probe.tail_weight])
    return AtomImage(
        jnp.stack([probe.core_nm, probe.tail_nm]), ((z / ATOMIC_NUMBER[0]) ** z_exponent)[:, None] * weights[None]
    )


def render_atoms(
    sheet: Sheet,
    atom: AtomImage,
    *,
    size_px: int,
    pixel_size_nm: float,
    amplitude: Float[Array, " n"] | float = 1.0,
    drag_nm: Float[Array, " 2"] | None = None,
) -> Float[Array, "size size"]:
    """The sheet's noiseless image, in units of one atom's peak of the first species.

    Args:
        sheet: the atoms.
        atom: their images.
        size_px: side of the image [px].
        pixel_size_nm: its pixel [nm].
        amplitude: factor on each atom's intensity.
        drag_nm: the narrow half of the Gaussians is drawn at this and at the opposite offset (x, y), and averaged:
            elliptical spots, as a moving specimen or astigmatism makes them.
    """
    axis = pixel_centres(size_px, pixel_size_nm)
    image = jnp.zeros((size_px, size_px))
    for k in range(atom.widths_nm.shape[0]):
        height = jnp.where(sheet.mask, atom.heights[sheet.species, k] * amplitude, 0.0)
        dragged = drag_nm is not None and k < (atom.widths_nm.shape[0] + 1) // 2
        places = [sheet.xy + drag_nm[None], sheet.xy - drag_nm[None]] if dragged else [sheet.xy]  # type: ignore[index]
        for xy in places:
            image = image + gaussians(xy, height / len(places), atom.widths_nm[k], axis, axis)
    return image


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
    atom = atom_image(probe, z_exponent)
    return render_atoms(sheet, atom, size_px=size_px, pixel_size_nm=pixel_size_nm, amplitude=amplitude)


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
