"""Descriptors without a network (the paper's Fig. 4): transformed windows, and the numbers of the bond graph.

Windows on a grid or about atoms become Fourier magnitudes or Radon transforms, which any baseline takes in the place
of the windows themselves: `fit(PCA(6), transformed(subimages, "fourier"))`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Float, Shaped
from scipy.sparse import csr_array

from rvaejax.analysis.copies import disc
from rvaejax.analysis.physics import site_quantities
from rvaejax.analysis.sites import MovieSites, frame_rows
from rvaejax.structure.communities import communities
from rvaejax.structure.strain import strain
from rvaejax.types import Atoms, SubImages


def transformed(subimages: SubImages, kind: Literal["fourier", "radon"]) -> SubImages:
    """The same centres with the transforms of their windows in the place of the windows.

    Args:
        subimages: square windows.
        kind: "fourier" for the logarithm of the magnitudes, which a shift of the content leaves as they are; "radon"
            for projections along as many directions as the window has pixels.
    """
    transform = fourier_magnitudes if kind == "fourier" else radon_transforms
    return replace(subimages, images=transform(subimages.images))


def fourier_magnitudes(images: Shaped[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n h w c"]:
    """log(1 + |F|) of each window, frequency 0 in the middle; the mean is taken off and a Hann window laid over first.

    The magnitudes of a real window are even, so that half of them say all.
    """
    size = images.shape[1]
    line = np.hanning(size + 2)[1:-1]
    x = np.asarray(images, np.float32)
    x = (x - x.mean((1, 2), keepdims=True)) * (line[:, None] * line[None])[None, :, :, None]
    return np.log1p(np.abs(np.fft.fftshift(np.fft.fft2(x, axes=(1, 2)), axes=(1, 2)))).astype(np.float32)


def radon_transforms(images: Shaped[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n h w c"]:
    r"""Projections of each window, without its corners: a row for each direction, a column for each place.

    .. math:: R(\theta, t) = \int f(t \cos\theta - s \sin\theta,\ t \sin\theta + s \cos\theta)\,ds

    As many directions as pixels, from 0 to pi, counter-clockwise on the displayed image; a turn of the content moves
    the rows.

    Source: J. Radon, Ber. Verh. Saechs. Akad. Wiss. 69, 262 (1917); each pixel is shared out between the two nearest
    places.
    """
    n, size, _, c = images.shape
    operator = radon_operator(size)
    flat = np.asarray(images, np.float32).transpose(1, 2, 0, 3).reshape(size * size, n * c)
    return (operator @ flat).reshape(size, size, n, c).transpose(2, 0, 1, 3)


def radon_operator(size: int) -> csr_array:
    """The matrix (directions and places, pixels) of the Radon transform of a window of `size` px."""
    middle = (size - 1) / 2
    y, x = np.mgrid[:size, :size] - middle
    inside = np.flatnonzero(disc(size))
    theta = np.pi * np.arange(size) / size
    t = np.cos(theta)[:, None] * x.ravel()[inside] - np.sin(theta)[:, None] * y.ravel()[inside] + middle
    low = np.clip(np.floor(t).astype(int), 0, size - 2)
    share = np.clip(t - low, 0, 1)
    row = np.arange(size)[:, None] * size + low
    pixel = np.broadcast_to(inside, row.shape)
    rows, columns = np.concatenate([row.ravel(), row.ravel() + 1]), np.concatenate([pixel.ravel()] * 2)
    weights = np.concatenate([(1 - share).ravel(), share.ravel()]).astype(np.float32)
    return csr_array((weights, (rows, columns)), shape=(size * size, size * size))


def graph_descriptors(atoms: Atoms, found: MovieSites, *, seed: int = 0) -> dict[str, Float[np.ndarray, " n"]]:
    """The numbers that the bond graph gives each atom, by name: `site_quantities`, strain, and its community.

    Communities are numbered from the largest of each frame. NaN where there is none, or at the frame's border.

    Args:
        atoms: of all frames.
        found: their bonds (`movie_sites`).
        seed: of the decomposition into communities.
    """
    xy = np.column_stack([atoms.x, atoms.y]) * atoms.pixel_size_nm
    deformed = strain(xy, found.pairs)
    patch, place = np.zeros(len(atoms)), np.zeros(len(atoms), int)
    of_frame = atoms.frame[found.pairs[:, 0]]
    for rows in frame_rows(atoms):
        place[rows] = np.arange(len(rows))
        patch[rows] = communities(len(rows), place[found.pairs[of_frame == atoms.frame[rows[0]]]], seed=seed)
    return {
        **site_quantities(atoms, found),
        "dilatation": deformed.dilatation,
        "shear": deformed.shear,
        "strain misfit": deformed.misfit,
        "community": patch,
    }
