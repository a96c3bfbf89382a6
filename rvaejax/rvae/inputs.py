"""Sub-images on their way into the rVAE: what cannot be used is refused, intensities are scaled once."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Shaped

from rvaejax.errors import ImageError
from rvaejax.rvae.record import TrainedRVAE
from rvaejax.types import SubImages

FEWEST = 8
_SAMPLE = 4_000_000
_BLOCK = 4096


def check_images(subimages: SubImages) -> None:
    """Refuses what no rVAE can be trained on or applied to.

    Raises:
        ImageError: not (n, h, w, c), windows not square or of one pixel, not real numbers, or not finite.
    """
    images = subimages.images
    if images.ndim != 4:
        raise ImageError(f"sub-images of shape {images.shape}: expected (n, h, w) or (n, h, w, c)")
    n, h, w, c = images.shape
    if h != w and h != 1:
        raise ImageError(f"windows of {h} x {w} px: the rVAE turns windows, so they must be square; cut them again")
    if w < 4 or c < 1:
        raise ImageError(f"windows of {h} x {w} px with {c} channels are too small: cut at least 4 x 4 px, 1 channel")
    if images.dtype.kind not in "fiub":
        raise ImageError(f"sub-images of type {images.dtype}: expected real numbers")
    if images.dtype.kind == "f":
        for start in range(0, n, _BLOCK):
            finite = np.isfinite(images[start : start + _BLOCK]).all(axis=(1, 2, 3))
            if not finite.all():
                bad = start + int(np.argmin(finite))
                raise ImageError(f"sub-image {bad} has pixels that are not finite; leave it out or mend it")


def check_training_set(subimages: SubImages) -> None:
    """Refuses what `check_images` does, and sets that are too small or constant.

    Raises:
        ImageError: see above.
    """
    check_images(subimages)
    if len(subimages) < FEWEST:
        raise ImageError(f"{len(subimages)} sub-images are too few to train on: give at least {FEWEST}")
    images = subimages.images
    if images.min() == images.max():
        raise ImageError("all pixels of all sub-images are equal: there is nothing to learn")


def check_fits(model: TrainedRVAE, subimages: SubImages) -> None:
    """Refuses sub-images that differ in shape from those of the training.

    Raises:
        ImageError: another window size or number of channels, or see `check_images`.
    """
    check_images(subimages)
    if (shape := tuple(subimages.images.shape[1:])) != model.image_shape:
        given, trained = ("{} x {} px with {} channel(s)".format(*s) for s in (shape, model.image_shape))
        raise ImageError(f"windows of {given}, but the rVAE was trained on {trained}: cut them the same way")


def intensity_range(images: Shaped[np.ndarray, "n h w c"]) -> tuple[float, float]:
    """(lo, hi) that scaling maps to 0 and 1: (0, 1) for data that fill it, else the 0.1 and 99.9 percentiles."""
    lo, hi = float(images.min()), float(images.max())
    if lo >= 0 and 0.5 < hi <= 1:  # probabilities stay as they are; weak raw signals do not
        return 0.0, 1.0
    flat = images.reshape(-1)
    sample = flat[:: max(1, flat.size // _SAMPLE)].astype(np.float64)
    p_lo, p_hi = (float(p) for p in np.percentile(sample, (0.1, 99.9)))
    return (p_lo, p_hi) if p_hi > p_lo else (lo, hi)


def compact(images: Shaped[np.ndarray, "n h w c"]) -> Shaped[np.ndarray, "n h w c"]:
    """The same numbers in a type that every device has, not wider than needed."""
    if images.dtype in (np.uint8, np.int8, np.uint16, np.int16, np.float16, np.float32):
        return images
    return images.astype(np.uint8 if images.dtype == bool else np.float32)


def scaled(images, scaling):
    """Images (NumPy or JAX) as float32 with `scaling` = (lo, hi) mapped to (0, 1)."""
    lo, hi = scaling
    return (images.astype(np.float32) - lo) / (hi - lo)


def unscaled(images: Float[np.ndarray, "..."], scaling: tuple[float, float]) -> Float[np.ndarray, "..."]:
    """The inverse of `scaled`."""
    lo, hi = scaling
    return images * np.float32(hi - lo) + np.float32(lo)
