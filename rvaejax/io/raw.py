"""What every reader hands on, and the checks that all formats share: numbers of axes, types, colour.

A reader looks at a file's header only; the pixels are read when a frame is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from rvaejax.errors import FormatError, ImageError
from rvaejax.types import EMPTY, Atoms, Frames


class RawMovie(NamedTuple):
    """A movie as its file has it, before the pixel size is settled.

    Attributes:
        frames: (t, h, w), read lazily.
        pixel_size_nm: size of a pixel [nm] that the file states, or None.
        frame_time_s: seconds from one frame to the next, or None.
        dose: (t,) electrons per nm² and frame, or None.
        metadata: what else the file says.
        atoms: positions, where the file is a table of them.
    """

    frames: Frames
    pixel_size_nm: float | None = None
    frame_time_s: float | None = None
    dose: Float[np.ndarray, " t"] | None = None
    metadata: Mapping[str, Any] = EMPTY
    atoms: Atoms | None = None


class LazyFrames:
    """Frames that `read(i)` fetches one at a time.

    Args:
        shape: (t, h, w), or (t, h, w, c).
        read: frame number to its (h, w) pixels.
        dtype: of the pixels as stored.
    """

    def __init__(self, shape: tuple[int, ...], read: Callable[[int], np.ndarray], dtype: Any = None) -> None:
        self.shape: tuple[int, ...] = shape
        self.dtype = None if dtype is None else np.dtype(dtype)
        self._read = read

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> np.ndarray:
        number = int(index)
        if not -len(self) <= number < len(self):
            raise IndexError(f"frame {number} of {len(self)}")
        return self._read(number % len(self))


def one_line(error: BaseException) -> str:
    """The first line of an error's message, or its type where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def movie_shape(shape: tuple[int, ...], dtype: np.dtype, name: str) -> tuple[int, int, int]:
    """(t, h, w) of an array of images; (h, w) is one frame, and so is a colour image (h, w, 3 or 4).

    Raises:
        ImageError: the array is empty, complex or not of numbers, or has neither 2 nor 3 axes.
    """
    if dtype.kind not in "biuf":
        kind = "complex" if dtype.kind == "c" else str(dtype)
        raise ImageError(f"{name}: pixels are {kind}; give real or integer intensities (for complex data, the modulus)")
    if len(shape) not in (2, 3):
        raise ImageError(
            f"{name}: an array with {len(shape)} axes, {shape}; give one image (h, w) or a movie of frames (t, h, w)"
        )
    if 0 in shape:
        raise ImageError(f"{name}: an empty array, {shape}; give at least one frame with pixels")
    if is_colour(shape):
        return 1, shape[0], shape[1]
    return (1, *shape) if len(shape) == 2 else shape  # type: ignore[return-value]


def is_colour(shape: tuple[int, ...]) -> bool:
    """Whether the array is one image with 3 or 4 channels last, rather than a movie of frames 3 px wide."""
    return len(shape) == 3 and shape[2] in (3, 4) and shape[1] > 4


def array_frames(array: Shaped[np.ndarray, "*axes"], name: str) -> LazyFrames:
    """Frames of an array (h, w), (t, h, w) or, where all channels are the same, (h, w, 3 or 4).

    Raises:
        ImageError: see `movie_shape` and `to_grey`.
    """
    shape = movie_shape(array.shape, array.dtype, name)
    if is_colour(array.shape):
        grey = to_grey(np.asarray(array), name)
        return LazyFrames(shape, lambda _: grey, array.dtype)
    if array.ndim == 2:
        return LazyFrames(shape, lambda _: array, array.dtype)
    return LazyFrames(shape, lambda i: array[i], array.dtype)


def to_grey(image: Shaped[np.ndarray, "h w ..."], name: str, tolerance: float = 0.0) -> Shaped[np.ndarray, "h w"]:
    """The one channel of a grey image that is stored with several, (h, w) or (h, w, 1 to 4; the even one is alpha).

    Args:
        image: pixels with the channels last; a second or fourth channel is opacity, which must be constant.
        name: file name for the error.
        tolerance: largest difference between channels that still is grey (lossy formats round).

    Raises:
        ImageError: the channels differ (a colour image), or the opacity varies.
    """
    if image.ndim == 2:
        return image
    if image.shape[-1] in (2, 4) and np.ptp(image[..., -1].astype(np.float64)) > 0:
        raise ImageError(f"{name}: the opacity (alpha channel) varies; save the image without transparency")
    colours = image[..., :-1] if image.shape[-1] in (2, 4) else image
    spread = np.ptp(colours.astype(np.float64), axis=-1)
    if spread.max() > tolerance:
        raise ImageError(
            f"{name}: a colour image ({int(np.sum(spread > tolerance))} coloured pixels); give the grey-scale original"
        )
    return colours[..., 0]


def check_frame(frame: Shaped[np.ndarray, "*axes"], name: str, index: int) -> Float[np.ndarray, "h w"]:
    """The frame as float32, if it can be analysed.

    Args:
        frame: (h, w) intensities.
        name: file or movie name, for the error.
        index: frame number, for the error.

    Raises:
        ImageError: not 2-D, pixels that are NaN or infinite (also as float32), or the same value everywhere.
    """
    where = f"{name}: frame {index}"
    if frame.ndim != 2:
        raise ImageError(f"{where} has {frame.ndim} axes, {frame.shape}; a frame is (h, w)")
    if frame.size == 0:
        raise ImageError(f"{where} has no pixels")
    with np.errstate(over="ignore"):
        pixels = np.asarray(frame, dtype=np.float32)
    bad = int(pixels.size - np.isfinite(pixels).sum())
    if bad:
        raise ImageError(f"{where} has {bad} pixels that are NaN or infinite; replace or crop them")
    if pixels.min() == pixels.max():
        raise ImageError(f"{where} has the same value, {pixels.flat[0]:g}, in every pixel; leave this frame out")
    return pixels


def scalar(value: Any, what: str, name: str) -> float:
    """One number out of a file's scalar, one-element array or string.

    Raises:
        FormatError: it is not one number.
    """
    try:
        return float(np.asarray(value).item())
    except (TypeError, ValueError) as error:
        raise FormatError(f"{name}: {what} is not a number ({value!r})") from error
