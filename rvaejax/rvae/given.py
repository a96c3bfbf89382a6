"""What a training is given beside images: labels and spectra, looked at only where the configuration asks for them."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer

from rvaejax.errors import ConfigError, ImageError
from rvaejax.nets.config import PolarEncoder
from rvaejax.rvae.config import GaussianShift, RVAEConfig
from rvaejax.rvae.inputs import intensity_range
from rvaejax.types import SubImages

UNLABELLED = -1


class Given(NamedTuple):
    """Labels and targets of all rows, as the loss takes them.

    Attributes:
        config: with what only the data could tell (the spectra's length).
        labels: (n,) class, -1 for none; None where the configuration asks for no labels.
        targets: (n, 1, length, 1) spectra; None where the windows themselves are drawn.
        target_scaling: (lo, hi) of the spectra, mapped to 0 and 1.
    """

    config: RVAEConfig
    labels: Integer[np.ndarray, " n"] | None = None
    targets: Float[np.ndarray, "n 1 length 1"] | None = None
    target_scaling: tuple[float, float] | None = None


def check_given(config: RVAEConfig, subimages: SubImages) -> Given:
    """Labels and targets that the configuration asks for, checked.

    Raises:
        ConfigError: rotation or scale, or an encoder of images, for signals.
        ImageError: labels or spectra are missing, of another length, or not what is asked for.
    """
    check_axes(config, tuple(int(v) for v in subimages.images.shape[1:]))
    labels = None
    if config.classes is not None and config.classes.labels != "none":
        labels = check_labels(config, subimages)
        if not (labels >= 0).any():
            raise ImageError(
                f"labels={config.classes.labels!r} is asked for, but no row is labelled: "
                f"give some rows a class 0..{config.classes.count - 1}, or set labels: none"
            )
    if config.target is None:
        return Given(config, labels)
    spectra = _spectra(config, subimages)
    target = replace(config.target, length=spectra.shape[1])
    return Given(replace(config, target=target), labels, spectra[:, None, :, None], intensity_range(spectra))


def check_axes(config: RVAEConfig, shape: tuple[int, ...]) -> None:
    """Refuses what makes no sense for signals, windows of one row.

    Raises:
        ConfigError: see above.
    """
    if shape[0] != 1:
        return
    wrong = [name for name in ("rotation", "scale") if getattr(config.pose, name)]
    if wrong:
        raise ConfigError(
            f"signals of {shape[1]} px with {wrong[0]} on: signals can only be shifted; "
            f"set pose: {{{wrong[0]}: false}}, or take --preset spectra"
        )
    if isinstance(config.encoder, PolarEncoder):
        raise ConfigError(f"signals of {shape[1]} px: PolarEncoder turns images; take MLPEncoder or ConvEncoder")
    if config.pose.shift and not isinstance(config.shift_prior, GaussianShift):
        kind = type(config.shift_prior).__name__
        raise ConfigError(f"signals of {shape[1]} px: shift_prior={kind} lies in the plane; take GaussianShift")


def check_labels(config: RVAEConfig, subimages: SubImages) -> Integer[np.ndarray, " n"]:
    """(n,) classes from 0, -1 for rows without one.

    Raises:
        ImageError: no labels, not whole numbers, outside the classes, or rows without one where all must have one.
    """
    assert config.classes is not None
    asked, count = config.classes.labels, config.classes.count
    if subimages.label is None:
        raise ImageError(
            f"labels={asked!r} is asked for, but there is no array 'label' (n,); add it, or set labels: none"
        )
    given = np.asarray(subimages.label)
    if given.dtype.kind not in "iubf":
        raise ImageError(f"label holds {given.dtype}: give whole numbers 0..{count - 1}, -1 where a row has no label")
    label = np.where(np.isnan(given), UNLABELLED, given) if given.dtype.kind == "f" else given.astype(np.int64)
    wrong = (label != np.round(label)) | (label < UNLABELLED) | (label >= count)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ImageError(
            f"label {label[row]:g} of row {row} is not one of the {count} classes 0..{count - 1}, nor -1 for none; "
            "mend it, or raise classes: count"
        )
    if asked == "all" and (label < 0).any():
        raise ImageError(
            f"{int((label < 0).sum())} rows have no label, but labels='all' needs one in each; set labels: some"
        )
    return label.astype(np.int32)


def _spectra(config: RVAEConfig, subimages: SubImages) -> Float[np.ndarray, "n length"]:
    if subimages.spectra is None:
        raise ImageError("target=Spectra is asked for, but there is no array 'spectra' (n, length) beside 'images'")
    spectra = np.asarray(subimages.spectra, np.float32)
    if spectra.ndim != 2 or len(spectra) != len(subimages) or spectra.shape[1] < 8:
        raise ImageError(
            f"spectra have shape {spectra.shape}; give one of 8 px or more for each of {len(subimages)} rows"
        )
    if not np.isfinite(spectra).all():
        raise ImageError("spectra hold values that are NaN or infinite; leave those rows out")
    wanted = config.target.length if config.target is not None else None
    if wanted is not None and wanted != spectra.shape[1]:
        raise ImageError(f"spectra of {spectra.shape[1]} px where target asks for {wanted}; set length: null")
    return spectra
