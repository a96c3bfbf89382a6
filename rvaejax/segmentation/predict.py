"""From frames to per-pixel class probabilities: resample, scale, and run the network over overlapping tiles."""

from __future__ import annotations

import dataclasses
import functools
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rvaejax.errors import ImageError, PixelSizeError
from rvaejax.io.raw import check_frame
from rvaejax.io.render import render
from rvaejax.nets import unet
from rvaejax.progress import progress
from rvaejax.segmentation.config import SegmenterConfig
from rvaejax.segmentation.pixel_size import pixel_size_from_lattice
from rvaejax.segmentation.scaling import robust_scale
from rvaejax.segmentation.train import network
from rvaejax.segmentation.weights import load_segmenter
from rvaejax.simulate.config import SPECIES, ImagingConfig
from rvaejax.types import Atoms, Maps, Movie

log = logging.getLogger(__name__)

TILE_PX = 512  # longest side that goes through the network in one piece
OVERLAP_PX = 64  # 1.3 nm: beyond this a pixel hardly sees
SMALLEST_PX = 16  # a frame must have at least this many canonical pixels
COARSEST_NM, FINEST_NM = 0.07, 0.0005  # coarser than half a C-C bond nothing is resolved


@dataclass(frozen=True)
class Segmenter:
    """A trained segmenter: its config and the weights of its network."""

    config: SegmenterConfig
    params: Any


def known_pixel_size(movie: Movie) -> tuple[float, str]:
    """The movie's pixel size [nm] and who says so: "file", "option" or, where neither does, "lattice".

    Raises:
        PixelSizeError: nobody says, or what is said cannot resolve atoms.
    """
    px, source = movie.pixel_size_nm, movie.pixel_size_source or "option"
    if px is None:
        px, source = pixel_size_from_lattice(movie), "lattice"
        if px is None:
            raise PixelSizeError(
                f"{movie.name}: the pixel size is not in the file and no graphene lattice shows in the Fourier "
                "transform; give it with --px-nm (pixel_size_nm=)"
            )
    if not FINEST_NM <= px <= COARSEST_NM:
        raise PixelSizeError(
            f"{movie.name}: a pixel size of {px:g} nm ({source}) makes no sense for atoms; "
            f"it must lie between {FINEST_NM} and {COARSEST_NM} nm"
        )
    return float(px), source


def tile_starts(length: int, multiple: int) -> tuple[int, list[int]]:
    """Tile side and the tiles' first pixels along an axis of `length` px; the last tile may reach beyond the end."""
    count = 1 if length <= TILE_PX else math.ceil((length - OVERLAP_PX) / (TILE_PX - OVERLAP_PX))
    side = multiple * math.ceil((length + (count - 1) * OVERLAP_PX) / count / multiple)
    return side, [i * (side - OVERLAP_PX) for i in range(count)]


def _keep(start: int, side: int, length: int) -> slice:
    """The pixels of an axis that a tile decides: to the middle of each overlap."""
    low = start + (OVERLAP_PX // 2 if start > 0 else 0)
    return slice(low, length if start + side >= length else start + side - OVERLAP_PX // 2)


@functools.partial(jax.jit, static_argnames=("shape",))
def prepare(frame: Float[Array, "h w"], shape: tuple[int, int]) -> Float[Array, "h2 w2"]:
    """A frame resampled to `shape` and robustly scaled; single hot pixels are cut down before they can spread."""
    low, middle, high = jnp.quantile(frame, jnp.array([0.005, 0.5, 0.995]))
    span = 3 * (high - low)
    frame = jnp.clip(frame, middle - span, middle + span)
    method = "linear" if shape[0] < frame.shape[0] else "cubic"
    return robust_scale(jax.image.resize(frame, shape, method, antialias=True))


@functools.lru_cache(maxsize=4)
def _compiled(config: SegmenterConfig) -> Any:
    _, apply = network(config)

    @jax.jit
    def run(params: Any, tile: Float[Array, "h w"]) -> Float[Array, "h w species"]:
        return jax.nn.softmax(apply(params, tile[None, :, :, None])[0], -1)[..., 1:].astype(jnp.float16)

    return run


def predict_frame(segmenter: Segmenter, image: Float[Array, "h w"]) -> Float[np.ndarray, "h w species"]:
    """Probabilities of one frame that is already at the canonical pixel and scaled.

    Each tile has the same shape, so that one compilation serves them all; where tiles overlap, each pixel comes from
    the tile in which it lies deeper.
    """
    h, w = image.shape
    multiple = unet.stride(segmenter.config.widths)
    (side_y, tops), (side_x, lefts) = tile_starts(h, multiple), tile_starts(w, multiple)
    pad = ((0, tops[-1] + side_y - h), (0, lefts[-1] + side_x - w))
    padded = jnp.pad(image, pad)  # zeros, as the convolutions see beyond a border; a mirror image would double atoms
    out = np.empty((h, w, len(segmenter.config.species)), np.float16)
    run = _compiled(segmenter.config)
    for top in tops:
        for left in lefts:
            tile = np.asarray(run(segmenter.params, padded[top : top + side_y, left : left + side_x]))
            rows, columns = _keep(top, side_y, h), _keep(left, side_x, w)
            out[rows, columns] = tile[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    return out


def canonical_shape(size: tuple[int, int], pixel_size_nm: float, canonical_nm: float) -> tuple[int, int]:
    """Shape of a frame of `size` px at the canonical pixel."""
    return round(size[0] * pixel_size_nm / canonical_nm), round(size[1] * pixel_size_nm / canonical_nm)


def frame_maps(segmenter: Segmenter, movie: Movie, pixel_size_nm: float) -> Iterator[Float[np.ndarray, "h w species"]]:
    """Probabilities of one frame after the other.

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
        segmenter: a trained segmenter; by default the one that ships with the package.

    Returns:
        Maps at the canonical pixel, channels C and Si, held in memory as float16.

    Raises:
        PixelSizeError: the pixel size is unknown or senseless.
        ImageError: a frame cannot be analysed.
    """
    px, source = known_pixel_size(movie)
    log.info("%s: pixel size %.4g nm (from the %s)", movie.name, px, source)
    if movie.atoms is not None:
        return rendered_maps(movie, px)
    if segmenter is None:
        segmenter = Segmenter(*load_segmenter())
    frames = progress(frame_maps(segmenter, movie, px), total=len(movie), desc="segmenting")
    return Maps(
        probabilities=np.stack(list(frames)),
        species=segmenter.config.species,
        pixel_size_nm=segmenter.config.pixel_size_nm,
        input_size=movie.size,
        input_pixel_size_nm=px,
        name=movie.name,
    )
