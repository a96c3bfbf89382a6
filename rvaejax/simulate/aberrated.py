"""Spots as an imperfectly aligned microscope draws them: an aberrated probe, kept with its direction.

The wavefront over the aperture is a sum of Zernike polynomials, whose root mean square says how bad the probe is
whatever the voltage and the aperture:

    H = F{ |F^-1{ A exp(-i W) }|² },    W = rms · sum_j c_j Z_j,   sum_j c_j² = 1

and an image is the sheet, drawn with narrow Gaussians, filtered with H. Reference: Born, Wolf, Principles of Optics,
section 9.2 (polynomials); Kirkland, Advanced Computing in Electron Microscopy, chapter 3 (incoherent imaging).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from rvaejax.simulate.config import ImagingConfig
from rvaejax.simulate.draws import between
from rvaejax.simulate.imaging import gaussians
from rvaejax.simulate.multislice.grid import next_fast_size
from rvaejax.simulate.multislice.optics import soft_disc
from rvaejax.simulate.sheet import MARGIN_NM, Sheet

FIELD_NM = 1.28  # side of the square that a spot is computed on
# how often each polynomial is met: focus and the two of astigmatism most
SPREAD = (1.0, 1.0, 1.0, 0.5, 0.5, 0.4, 0.4, 0.6)


class Spot(NamedTuple):
    """An atom's image but for a Gaussian that the sheet is drawn with.

    Attributes:
        kernel: its middle at pixel n // 2, of such a height that a single atom, drawn with height 1, peaks at 1.
        drawn_nm: standard deviation of that Gaussian.
    """

    kernel: Float[Array, "n n"]
    drawn_nm: float


def zernike(x: Float[Array, "n n"], y: Float[Array, "n n"]) -> Float[Array, "8 n n"]:
    """Polynomials of root mean square 1 over the unit disc: focus, astigmatism, coma, trefoil (2 each), spherical."""
    r2 = x**2 + y**2
    return jnp.stack(
        [
            math.sqrt(3) * (2 * r2 - 1),
            math.sqrt(6) * (x**2 - y**2),
            math.sqrt(6) * 2 * x * y,
            math.sqrt(8) * (3 * r2 - 2) * x,
            math.sqrt(8) * (3 * r2 - 2) * y,
            math.sqrt(8) * (x**3 - 3 * x * y**2),
            math.sqrt(8) * (3 * x**2 * y - y**3),
            math.sqrt(5) * (6 * r2**2 - 6 * r2 + 1),
        ]
    )


def aberrated_spot(
    wavefront: Float[Array, "8"],
    cutoff_per_nm: Float[Array, ""] | float,
    sigma_nm: Float[Array, ""] | float,
    tail_nm: Float[Array, ""] | float,
    tail_weight: Float[Array, ""] | float,
    *,
    pixel_size_nm: float,
) -> Spot:
    """The image of an atom.

    Args:
        wavefront: amplitudes of the polynomials of `zernike` [rad].
        cutoff_per_nm: radius of the aperture, convergence angle over wavelength [1/nm].
        sigma_nm: the source, the atom and its thermal motion together, standard deviation; less than a pixel counts as
            a pixel.
        tail_nm: standard deviation of a halo.
        tail_weight: its weight.
        pixel_size_nm: pixel of the kernel.
    """
    n = 2 * next_fast_size(FIELD_NM / pixel_size_nm / 2)
    k = np.fft.fftfreq(n, pixel_size_nm)
    ky, kx = jnp.meshgrid(jnp.asarray(k, jnp.float32), jnp.asarray(k, jnp.float32), indexing="ij")
    x, y = kx / cutoff_per_nm, ky / cutoff_per_nm
    open_ = soft_disc(cutoff_per_nm, ky[:, 0], kx[0])  # the soft edge takes off what would wrap around
    phase = jnp.einsum("j,jyx->yx", wavefront, zernike(x, y))
    probe = jnp.abs(jnp.fft.ifft2(open_ * jnp.exp(-1j * phase))) ** 2
    transfer = jnp.fft.fft2(probe / probe.sum())
    k2 = kx**2 + ky**2

    def gaussian(variance: Float[Array, ""] | float) -> Float[Array, "n n"]:
        return jnp.exp(-2 * math.pi**2 * variance * k2)

    transfer = transfer * (1 - tail_weight + tail_weight * gaussian(tail_nm**2))
    sigma = jnp.maximum(sigma_nm, pixel_size_nm)
    whole = jnp.fft.ifft2(transfer * gaussian(sigma**2)).real
    rest = transfer * gaussian(sigma**2 - pixel_size_nm**2)
    # a drawn Gaussian, one pixel wide and 1 high, sums to 2 pi
    return Spot(_centred(rest / (2 * math.pi * whole.max()), whole, kx, ky), pixel_size_nm)


def _centred(
    spectrum: Float[Array, "n n"], whole: Float[Array, "n n"], kx: Float[Array, "n n"], ky: Float[Array, "n n"]
) -> Float[Array, "n n"]:
    """The kernel of a spectrum, moved so that the bright part of `whole` is in the middle: there an atom is seen."""
    n = len(whole)
    weight = jnp.maximum(whole, 0.0) ** 2
    turns = jnp.exp(2j * jnp.pi * jnp.arange(n) / n)
    moments = jnp.stack([weight.sum(0) @ turns, weight.sum(1) @ turns])
    dx, dy = jnp.angle(moments) / (2 * jnp.pi)  # of the period
    period = 1 / kx[0, 1]
    shifted = spectrum * jnp.exp(2j * jnp.pi * period * (kx * dx + ky * dy))
    return jnp.fft.fftshift(jnp.fft.ifft2(shifted).real)


def render_spots(
    sheet: Sheet, spot: Spot, height: Float[Array, " n"], *, size_px: int, pixel_size_nm: float
) -> Float[Array, "size size"]:
    """The sheet's noiseless image.

    Args:
        sheet: the atoms.
        spot: their images, at this pixel.
        height: of each atom's peak.
        size_px: side of the image.
        pixel_size_nm: its pixel.
    """
    beyond, reach = math.ceil(MARGIN_NM / pixel_size_nm), len(spot.kernel) // 2
    axis = (jnp.arange(size_px + 2 * beyond) - beyond) * pixel_size_nm
    drawn = gaussians(sheet.xy, jnp.where(sheet.mask, height, 0.0), spot.drawn_nm, axis, axis)
    side = next_fast_size(size_px + beyond + reach)  # what wraps around falls outside the field
    shape = (side, side)
    spectrum = jnp.fft.rfft2(drawn, shape) * jnp.fft.rfft2(spot.kernel, shape)
    first = beyond + reach
    image = jnp.roll(jnp.fft.irfft2(spectrum, shape), -first, (0, 1))
    return image[:size_px, :size_px]


def random_spot(config: ImagingConfig, *, key: PRNGKeyArray) -> Spot:
    """A spot drawn from what the config allows."""
    k = jax.random.split(key, 6)
    shape = jax.random.normal(k[0], (len(SPREAD),)) * jnp.asarray(SPREAD)
    rms = between(config.wavefront_rad, key=k[1])
    return aberrated_spot(
        rms * shape / jnp.linalg.norm(shape),
        between(config.aperture_per_nm, key=k[2]),
        between(config.spot_nm, key=k[3]),
        between(config.tail_nm, key=k[4]),
        between(config.halo, key=k[5]),
        pixel_size_nm=config.pixel_size_nm,
    )
