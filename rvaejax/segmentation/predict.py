"""From frames to per-pixel class probabilities: resample, scale, and run the network over overlapping tiles."""

from __future__ import annotations

import dataclasses
import functools
import logging
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rvaejax.errors import ImageError
from rvaejax.io.raw import check_frame
from rvaejax.io.render import render
from rvaejax.nets import unet
from rvaejax.progress import progress
from rvaejax.segmentation.pixel_size import known_pixel_size
from rvaejax.segmentation.record import Segmenter
from rvaejax.segmentation.scaling import SMALLEST_PX, canonical_shape, prepare
from rvaejax.segmentation.weights import load_segmenter
from rvaejax.simulate.config import SPECIES, ImagingConfig
from rvaejax.types import Atoms, Maps, Movie

log = logging.getLogger(__name__)

TILE_PX = 512  # longest side that goes through the network in one piece
OVERLAP_PX = 64  # 1.3 nm: beyond this a pixel hardly sees


def tile_starts(length: int, multiple: int) -> tuple[int, list[int]]:
    """Tile side and the tiles' first pixels along an axis of `length` px; the last tile may reach beyond the end."""
    count = 1 if length <= TILE_PX else math.ceil((length - OVERLAP_PX) / (TILE_PX - OVERLAP_PX))
    side = multiple * math.ceil((length + (count - 1) * OVERLAP_PX) / count / multiple)
    return side, [i * (side - OVERLAP_PX) for i in range(count)]


def _keep(start: int, side: int, length: int) -> slice:
    """The pixels of an axis that a tile decides: to the middle of each overlap."""
    low = start + (OVERLAP_PX // 2 if start > 0 else 0)
    return slice(low, length if start + side >= length else start + side - OVERLAP_PX // 2)


@functools.lru_cache(maxsize=4)
def _compiled(widths: tuple[int, ...], classes: int) -> Callable[..., Float[Array, "h w classes"]]:
    _, apply = unet.build(widths, classes)

    @jax.jit
    def run(params: Any, tile: Float[Array, "h w"]) -> Float[Array, "h w classes"]:
        return jax.nn.softmax(apply(params, tile[None, :, :, None])[0], -1)

    return run


@jax.jit
def combine(predicted: tuple[Float[Array, "h w classes"], ...]) -> Float[Array, "h w channels"]:
    """Mean probabilities of the species over the members and, where there are several, their disagreement.

    The disagreement is the mutual information between the class and the member, H(mean p) - mean H(p), which leaves
    out what all members agree is uncertain (Houlsby, Huszár, Ghahramani, Lengyel, arXiv:1112.5745), divided by its
    largest possible value: 0 where all say the same, 1 where each is sure of another class.
    """
    mean = jnp.stack(predicted).mean(0)
    if len(predicted) == 1:
        return mean[..., 1:].astype(jnp.float16)

    def entropy(p: Float[Array, "h w classes"]) -> Float[Array, "h w"]:
        return jax.scipy.special.entr(p).sum(-1)

    information = entropy(mean) - jnp.stack([entropy(p) for p in predicted]).mean(0)
    disagreement = jnp.clip(information / math.log(min(len(predicted), mean.shape[-1])), 0.0, 1.0)
    return jnp.concatenate([mean[..., 1:], disagreement[..., None]], -1).astype(jnp.float16)


def predict_frame(segmenter: Segmenter, image: Float[Array, "h w"]) -> Float[np.ndarray, "h w channels"]:
    """Probabilities of one frame that is already at the canonical pixel and scaled.

    Each tile has the same shape, so that one compilation serves them all; where tiles overlap, each pixel comes from
    the tile in which it lies deeper.

    Returns:
        One channel a species; for an ensemble the members' mean, and one more channel: their disagreement in [0, 1].
    """
    h, w = image.shape
    multiple = unet.stride(segmenter.config.widths)
    (side_y, tops), (side_x, lefts) = tile_starts(h, multiple), tile_starts(w, multiple)
    pad = ((0, tops[-1] + side_y - h), (0, lefts[-1] + side_x - w))
    padded = jnp.pad(image, pad)  # zeros, as the convolutions see beyond a border; a mirror image would double atoms
    out = np.empty((h, w, len(segmenter.config.species) + (len(segmenter.members) > 1)), np.float16)
    run = _compiled(segmenter.config.widths, 1 + len(segmenter.config.species))
    for top in tops:
        for left in lefts:
            piece = padded[top : top + side_y, left : left + side_x]
            tile = np.asarray(combine(tuple(run(params, piece) for params in segmenter.members)))
            rows, columns = _keep(top, side_y, h), _keep(left, side_x, w)
            out[rows, columns] = tile[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    return out


def frame_maps(segmenter: Segmenter, movie: Movie, pixel_size_nm: float) -> Iterator[Float[np.ndarray, "h w channels"]]:
    """Probabilities (and, of an ensemble, disagreement) of one frame after the other.

    Raises:
        ImageError: a frame is constant, not finite, or too small.
    """
    shape = canonical_shape(movie.size, pixel_size_nm, segmenter.config.pixel_size_nm)
    if min(shape) < SMALLEST_PX:
        raise ImageError(
            f"{movie.name}: {movie.size[1]} x {movie.size[0]} px of {pixel_size_nm:g} nm cover only "
            f"{movie.size[1] * pixel_size_nm:.2g} x {movie.size[0] * pixel_size_nm:.2g} nm; check the pixel size"
        )
    for index in range(len(movie)):
        frame = check_frame(movie.frames[index], movie.name, index)
        yield predict_frame(segmenter, prepare(jnp.asarray(frame, jnp.float32), shape))


class _RenderedMaps:
    """Maps of a movie that was rendered from coordinates, drawn when a frame is asked for."""

    def __init__(self, atoms: Atoms, size: tuple[int, int], frames: int, sigma: float) -> None:
        self.shape = (frames, *size, len(SPECIES))
        self._atoms, self._sigma = atoms, sigma

    def __getitem__(self, index: int) -> Float[np.ndarray, "h w species"]:
        here = self._atoms.select(self._atoms.frame == index)
        drawn = (here.select(here.species == symbol) for symbol in SPECIES)
        return np.stack([render(a.x, a.y, np.ones(len(a)), self._sigma, self.shape[1:3]) for a in drawn], -1)


def rendered_maps(movie: Movie, pixel_size_nm: float) -> Maps:
    """Maps of a movie of known positions, at the movie's own pixel: a blob of the label's width on each atom."""
    assert movie.atoms is not None
    atoms = dataclasses.replace(movie.atoms, pixel_size_nm=pixel_size_nm)
    sigma = ImagingConfig().label_nm / pixel_size_nm
    frames = _RenderedMaps(atoms, movie.size, len(movie), sigma)
    return Maps(frames, SPECIES, pixel_size_nm, movie.size, pixel_size_nm, movie.name, atoms)


def segment(movie: Movie, *, segmenter: Segmenter | None = None) -> Maps:
    """Probability maps of every frame of a movie.

    A movie that was rendered from a table of coordinates is not segmented again: its maps are the rendered blobs.

    Args:
        movie: frames of any size and pixel.
        segmenter: a trained segmenter (`load_segmenter`); by default the one that ships with the package.

    Returns:
        Maps at the canonical pixel, one channel a species, held in memory as float16, with the movie that they are of;
        those of an ensemble are its members' mean, with their disagreement as `uncertainty`.

    Raises:
        PixelSizeError: the pixel size is unknown or senseless.
        ImageError: a frame cannot be analysed.
    """
    px, source = known_pixel_size(movie)
    log.info("%s: pixel size %.4g nm (from the %s)", movie.name, px, source)
    if movie.atoms is not None:
        return rendered_maps(movie, px)
    frames = dataclasses.replace(movie, pixel_size_nm=px, pixel_size_source=source)
    return predict_maps(load_segmenter() if segmenter is None else segmenter, frames)


def predict_maps(segmenter: Segmenter, movie: Movie) -> Maps:
    """Probability maps of a movie whose pixel size is known; see `segment`."""
    px = movie.pixel_size_nm
    assert px is not None
    predicted = np.stack(list(progress(frame_maps(segmenter, movie, px), total=len(movie), desc="segmenting")))
    species = segmenter.config.species
    return Maps(
        probabilities=predicted[..., : len(species)],
        species=species,
        pixel_size_nm=segmenter.config.pixel_size_nm,
        input_size=movie.size,
        input_pixel_size_nm=px,
        name=movie.name,
        movie=movie,
        uncertainty=predicted[..., -1] if len(segmenter.members) > 1 else None,
    )
