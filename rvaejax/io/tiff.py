"""TIFF images and stacks, page by page, with the pixel size that ImageJ, OME or Nion Swift wrote."""

from __future__ import annotations

import json
import logging
import re
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from rvaejax.errors import FormatError
from rvaejax.io.pixel_size import is_sensible, square, to_nm
from rvaejax.io.raw import LazyFrames, RawMovie, movie_shape, one_line, to_grey

log = logging.getLogger(__name__)

_NM_PER_RESOLUTION_UNIT = {2: 2.54e7, 3: 1e7}  # inch, centimetre


def read_tiff(path: Path) -> RawMovie:
    """A TIFF image or stack; uncompressed ones are memory-mapped, others read page by page.

    Pixel size from the Nion Swift description, else OME's, else ImageJ's, else from the resolution tags where these
    give a size that an atomically resolved image can have (72 dots per inch is a printer's word, not a microscope's).

    Raises:
        FormatError: not a TIFF file, or cut short.
        ImageError: see `rvaejax.io.raw.movie_shape`; on reading a frame, a colour image.
    """
    try:
        tif = tifffile.TiffFile(path)
    except Exception as error:
        raise FormatError(f"{path}: not a readable TIFF file ({one_line(error)}); save it again") from error
    try:
        frames = _frames(tif, path)
        return RawMovie(
            frames=frames,
            pixel_size_nm=_pixel_size(tif, str(path)),
            frame_time_s=_frame_time(tif),
            metadata=_metadata(tif),
        )
    except BaseException:
        tif.close()
        raise


def _frames(tif: tifffile.TiffFile, path: Path) -> LazyFrames:
    try:
        series = tif.series[0]
        shape, dtype, axes = tuple(series.shape), np.dtype(series.dtype), series.axes
        others = len(tif.series) - 1
    except Exception as error:
        raise FormatError(f"{path}: a TIFF file without a readable image ({one_line(error)}); save it again") from error
    if others:
        log.warning("%s: %d further image series of another size are not read", path, others)
    samples = axes.endswith("S") and len(shape) > 2
    planar = axes[-3:] == "SYX"
    size = movie_shape(shape[:-1] if samples else shape[:-3] + shape[-2:] if planar else shape, dtype, str(path))
    if series.dataoffset is not None and not samples and not planar:
        try:
            mapped = tifffile.memmap(path, series=0, mode="r").reshape(size)
        except (ValueError, OSError) as error:
            raise FormatError(f"{path}: the TIFF file is cut short ({one_line(error)}); copy it again") from error
        tif.close()
        return LazyFrames(size, lambda i: mapped[i], dtype)

    def frame(index: int) -> np.ndarray:
        page = _page(tif, path, index, len(series) // size[0])
        return to_grey(np.moveaxis(page, 0, -1) if planar else page, f"{path} frame {index}").reshape(size[1:])

    frames = LazyFrames(size, frame, dtype)
    weakref.finalize(frames, tif.close)
    return frames


def _page(tif: tifffile.TiffFile, path: Path, index: int, pages_per_frame: int) -> np.ndarray:
    keys = slice(index * pages_per_frame, (index + 1) * pages_per_frame)
    try:
        return np.squeeze(tif.asarray(key=keys, series=0))
    except Exception as error:
        # LZW, JPEG and others need a codec that tifffile does not bring; Pillow brings some of them.
        try:
            with Image.open(path) as image:
                image.seek(index)
                return np.asarray(image)
        except Exception:
            raise FormatError(
                f"{path}: frame {index} cannot be decoded ({one_line(error)}); save the stack without compression"
            ) from error


def _pixel_size(tif: tifffile.TiffFile, name: str) -> float | None:
    for source in (_nion_pixel_size, _ome_pixel_size, _imagej_pixel_size, _resolution_pixel_size):
        found = source(tif, name)
        if found is not None:
            return found
    return None


def _nion(tif: tifffile.TiffFile) -> dict[str, Any]:
    texts = [str(v) for k, v in (tif.imagej_metadata or {}).items() if str(k).lower().startswith("nion")]
    for text in [*texts, tif.pages.first.description]:
        try:
            found = json.loads(text)
        except ValueError:
            continue
        if isinstance(found, dict) and ("spatial_calibrations" in found or "dimensional_calibrations" in found):
            return found
    return {}


def _nion_pixel_size(tif: tifffile.TiffFile, name: str) -> float | None:
    found = _nion(tif)
    axes = found.get("spatial_calibrations") or found.get("dimensional_calibrations") or []
    try:
        y, x = (to_nm(float(axis["scale"]), str(axis["units"])) for axis in axes[-2:])
    except (KeyError, TypeError, ValueError):
        return None
    return square(x, y, name)


def _ome_pixel_size(tif: tifffile.TiffFile, name: str) -> float | None:
    def axis(letter: str) -> float | None:
        text = tif.ome_metadata or ""
        size = re.search(rf'\bPhysicalSize{letter}="([^"]+)"', text)
        unit = re.search(rf'\bPhysicalSize{letter}Unit="([^"]*)"', text)
        try:
            return to_nm(float(size[1]), unit[1] if unit else "µm") if size else None
        except ValueError:
            return None

    return square(axis("X"), axis("Y"), name)


def _tag(tif: tifffile.TiffFile, key: str) -> Any:
    tag = tif.pages.first.tags.get(key)  # type: ignore[union-attr]
    return None if tag is None else tag.value


def _pixels_per_unit(tif: tifffile.TiffFile) -> tuple[float, float] | None:
    """Pixels along x and y for one unit of length, whatever the unit."""
    try:
        (nx, dx), (ny, dy) = _tag(tif, "XResolution"), _tag(tif, "YResolution")
        return (nx / dx, ny / dy) if nx * dx * ny * dy > 0 else None
    except (TypeError, ValueError):
        return None


def _imagej_pixel_size(tif: tifffile.TiffFile, name: str) -> float | None:
    unit, density = (tif.imagej_metadata or {}).get("unit"), _pixels_per_unit(tif)
    if unit is None or density is None:
        return None
    return square(to_nm(1 / density[0], str(unit)), to_nm(1 / density[1], str(unit)), name)


def _resolution_pixel_size(tif: tifffile.TiffFile, name: str) -> float | None:
    density, unit = _pixels_per_unit(tif), _NM_PER_RESOLUTION_UNIT.get(int(_tag(tif, "ResolutionUnit") or 0))
    if density is None or unit is None or not is_sensible(unit / density[0]) or not is_sensible(unit / density[1]):
        return None
    return square(unit / density[0], unit / density[1], name)


def _frame_time(tif: tifffile.TiffFile) -> float | None:
    try:
        seconds = float((tif.imagej_metadata or {}).get("finterval", 0))
    except (TypeError, ValueError):
        return None
    return seconds if seconds > 0 else None


def _metadata(tif: tifffile.TiffFile) -> dict[str, Any]:
    found: dict[str, Any] = {"software": str(_tag(tif, "Software") or "")}
    found.update({f"imagej {k}": v for k, v in (tif.imagej_metadata or {}).items() if not str(k).startswith("nion")})
    found.update({f"nion {k}": v for k, v in _nion(tif).items()})
    if tif.ome_metadata:
        found["ome"] = tif.ome_metadata
    elif not tif.is_imagej and tif.pages.first.description:
        found["description"] = tif.pages.first.description
    return found
