"""Pixel sizes: units, what makes sense, and who is believed."""

from __future__ import annotations

import logging
import math

from rvaejax.errors import PixelSizeError

log = logging.getLogger(__name__)

SENSIBLE_NM = (0.0005, 0.5)
"""A pixel of an atomically resolved image lies between 0.5 pm and the distance between lattice planes [nm]."""

_NM_PER_UNIT = {
    "pm": 1e-3,
    "a": 0.1,
    "å": 0.1,
    "angstrom": 0.1,
    "ångström": 0.1,
    "nm": 1.0,
    "nanometer": 1.0,
    "nanometre": 1.0,
    "um": 1e3,
    "µm": 1e3,  # micro sign
    "μm": 1e3,  # Greek mu
    "micron": 1e3,
    "microns": 1e3,
    "micrometer": 1e3,
    "micrometre": 1e3,
    "mm": 1e6,
    "cm": 1e7,
    "m": 1e9,
}


def to_nm(value: float, unit: str) -> float | None:
    """A length in nm; None where the unit is not one of length ("pixel", "1/nm", "")."""
    text = unit.strip().replace("\\u00B5", "µ").replace("\\u00C5", "Å").lower()
    factor = _NM_PER_UNIT.get(text)
    return None if factor is None else value * factor


def is_sensible(pixel_size_nm: float) -> bool:
    """Whether a pixel size [nm] can be that of an atomically resolved image."""
    return math.isfinite(pixel_size_nm) and SENSIBLE_NM[0] <= pixel_size_nm <= SENSIBLE_NM[1]


def settle(in_file: float | None, option: float | None, name: str) -> tuple[float | None, str]:
    """The pixel size to use [nm] and who said so: "option", "file", or "" where nobody did.

    Where both speak the option wins; a difference of more than 2 % is logged as a warning. NaN in a file says nothing.

    Raises:
        PixelSizeError: the size that would be used makes no sense.
    """
    low, high = SENSIBLE_NM
    if in_file is not None and math.isnan(in_file):
        in_file = None
    if option is not None:
        if not is_sensible(option):
            raise PixelSizeError(
                f"{name}: a pixel size of {option:g} nm was asked for, which makes no sense; "
                f"give one between {low:g} and {high:g} nm"
            )
        if in_file is not None and abs(option - in_file) > 0.02 * abs(option):
            log.warning("%s: pixel size %g nm as given, although the file says %g nm", name, option, in_file)
        return float(option), "option"
    if in_file is None:
        return None, ""
    if not is_sensible(in_file):
        raise PixelSizeError(
            f"{name}: the file says a pixel is {in_file:g} nm, which makes no sense (between {low:g} and {high:g} nm "
            "does); give the true pixel size (--px-nm, pixel_size_nm)"
        )
    return float(in_file), "file"


def square(x_nm: float | None, y_nm: float | None, name: str) -> float | None:
    """One pixel size [nm] from those along x and y; pixels that are not square are logged as a warning."""
    if x_nm is None or y_nm is None:
        return x_nm if y_nm is None else y_nm
    if abs(x_nm - y_nm) > 0.02 * abs(x_nm):
        log.warning("%s: pixels are not square (%g nm by %g nm); their mean is used", name, x_nm, y_nm)
    return 0.5 * (x_nm + y_nm)
