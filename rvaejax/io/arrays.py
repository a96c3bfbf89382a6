"""NumPy files: .npy as a memory map, .npz with the pixel size, frame time and dose beside the frames."""

from __future__ import annotations

import logging
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from rvaejax.errors import FormatError, PixelSizeError
from rvaejax.io.raw import LazyFrames, RawMovie, array_frames, is_colour, movie_shape, one_line, scalar, to_grey

log = logging.getLogger(__name__)

FRAME_KEYS = ("frames", "movie", "images", "image")
LARGEST_METADATA = 1_000_000
"""Other arrays of an .npz with more elements than this are named in the metadata, not read."""


def read_npy(path: Path) -> RawMovie:
    """One array (h, w) or (t, h, w), memory-mapped.

    Raises:
        FormatError: not an .npy file, cut short, or one that holds pickled objects.
        ImageError: see `rvaejax.io.raw.movie_shape`.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise FormatError(
            f"{path}: not a readable .npy file ({one_line(error)}); save a plain array with numpy.save"
        ) from error
    return RawMovie(array_frames(array, str(path)))


class NpzArrays:
    """The arrays of an .npz file: shapes and types from their headers; read when asked for; never unpickled.

    Raises:
        FormatError: not an .npz file, or cut short.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.headers: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
        try:
            with zipfile.ZipFile(path) as archive:
                for member in archive.namelist():
                    if member.endswith(".npy"):
                        with archive.open(member) as handle:
                            self.headers[member.removesuffix(".npy")] = _header(handle)
        except (zipfile.BadZipFile, ValueError, OSError, EOFError) as error:
            raise _unreadable(path, error) from error

    def __contains__(self, key: str) -> bool:
        return key in self.headers

    def __getitem__(self, key: str) -> np.ndarray:
        shape, dtype = self.headers[key]
        if dtype.hasobject:
            raise FormatError(f"{self.path}: array {key!r} holds pickled objects, which are never read; save numbers")
        try:
            with np.load(self.path, allow_pickle=False) as arrays:
                return arrays[key]
        except (zipfile.BadZipFile, zipfile.zlib.error, ValueError, OSError, EOFError) as error:  # type: ignore[attr-defined]
            raise _unreadable(self.path, error) from error


def read_npz(path: Path) -> RawMovie:
    """The array `frames`, `movie`, `images`, `image` or the only one with 2 or 3 axes, and what is said of it.

    Pixel size from `pixel_size_nm`, else `px_nm`, else `scan_size_pm` or `scan_size_nm` (of each frame) divided by
    the width. `scale` multiplies the intensities; `frame_time_s` and `dose` (electrons per nm² and frame) are kept.
    The whole array is read with the first frame that is asked for: a zip archive has no pages.

    Raises:
        FormatError: not an .npz file, no such array, or one with pickled objects.
        ImageError: see `rvaejax.io.raw.movie_shape`.
        PixelSizeError: the frames differ in their scan size.
    """
    arrays = NpzArrays(path)
    key = _frame_key(arrays)
    shape, dtype = arrays.headers[key]
    if dtype.hasobject:
        arrays[key]  # raises, naming the array
    size = movie_shape(shape, dtype, f"{path} ({key})")
    factor = scalar(arrays["scale"], "scale", str(path)) if "scale" in arrays else None
    return RawMovie(
        frames=_npz_frames(arrays, key, size, factor),
        pixel_size_nm=_npz_pixel_size(arrays, size[2]),
        frame_time_s=scalar(arrays["frame_time_s"], "frame_time_s", str(path)) if "frame_time_s" in arrays else None,
        dose=_dose(arrays, size[0]),
        metadata=_npz_metadata(arrays, key),
    )


def _header(handle: Any) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(handle)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(handle)
    else:  # (3, 0) differs from (2, 0) only in the encoding of field names
        shape, _, dtype = np.lib.format.read_array_header_2_0(handle)
    return shape, dtype


def _unreadable(path: Path, error: BaseException) -> FormatError:
    return FormatError(f"{path}: not a readable .npz file ({one_line(error)}); save the arrays with numpy.savez")


def _frame_key(arrays: NpzArrays) -> str:
    for key in FRAME_KEYS:
        if key in arrays:
            return key
    images = [key for key, (shape, dtype) in arrays.headers.items() if len(shape) in (2, 3) and dtype.kind in "biufcO"]
    if len(images) == 1:
        return images[0]
    others = [key for key, (shape, _) in arrays.headers.items() if len(shape)]
    if not images and len(others) == 1:
        return others[0]  # so that the error says what is wrong with the only array there is
    raise FormatError(
        f"{arrays.path}: which array holds the frames? It has {', '.join(sorted(arrays.headers)) or 'none'}; "
        f"name it 'frames'"
    )


def _npz_frames(arrays: NpzArrays, key: str, size: tuple[int, int, int], factor: float | None) -> LazyFrames:
    cache: list[np.ndarray] = []

    def frame(index: int) -> np.ndarray:
        if not cache:
            array = arrays[key]
            if is_colour(array.shape):
                array = to_grey(array, str(arrays.path))
            cache.append(array.reshape(size))
        pixels = cache[0][index]
        return pixels if factor is None else (pixels * factor).astype(np.float32)

    return LazyFrames(size, frame, arrays.headers[key][1] if factor is None else np.float32)


def _npz_pixel_size(arrays: NpzArrays, width: int) -> float | None:
    for key in ("pixel_size_nm", "px_nm"):
        if key in arrays:
            return scalar(arrays[key], key, str(arrays.path))
    for key, nm in (("scan_size_pm", 1e-3), ("scan_size_nm", 1.0)):
        if key in arrays:
            sizes = np.atleast_1d(arrays[key]).astype(np.float64).ravel() * nm / width
            if np.ptp(sizes) > 0.02 * abs(sizes.mean()):
                raise PixelSizeError(
                    f"{arrays.path}: the frames differ in {key}; split them into one file per scan size"
                )
            return float(sizes.mean())
    return None


def _dose(arrays: NpzArrays, frames: int) -> np.ndarray | None:
    if "dose" not in arrays:
        return None
    dose = np.asarray(arrays["dose"], dtype=np.float64)
    if dose.shape not in ((), (1,), (frames,)):
        raise FormatError(f"{arrays.path}: dose has shape {dose.shape}; give one number or one for each frame")
    return np.broadcast_to(dose, (frames,)).copy()


def _npz_metadata(arrays: NpzArrays, frames: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, (shape, dtype) in arrays.headers.items():
        if key == frames:
            continue
        if dtype.hasobject:
            log.warning("%s: array %r holds pickled objects and is not read", arrays.path, key)
        elif int(np.prod(shape)) > LARGEST_METADATA:
            found[key] = f"array {shape} {dtype}, not read"
        else:
            found[key] = arrays[key].item() if shape == () else arrays[key]
    return found
