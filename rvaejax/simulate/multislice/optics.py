"""The electron wave of the probe: wavelength, aberrations, aperture.

Aberration function (Krivanek's coefficients), alpha the angle and phi the azimuth:

    chi = 2 pi / lambda [ alpha² (C10 + C12 cos 2(phi - phi12)) / 2 + alpha³ C21 cos(phi - phi21) / 3
                          + alpha⁴ C30 / 4 + alpha⁶ C50 / 6 ]

and the probe is the inverse transform of A(alpha) exp(-i chi).
Reference: Kirkland, Advanced Computing in Electron Microscopy, chapters 2, 3 and 5.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from rvaejax.simulate.multislice.config import MicroscopeConfig
from rvaejax.simulate.multislice.grid import Grid, frequencies

REST_KEV = 510.998950  # rest energy of the electron
HC_KEV_NM = 1.2398419843  # h c [keV nm]
Edge = Literal["normalised", "wave", "intensity"]


class Optics(NamedTuple):
    """Numbers of a microscope, each a scalar that may be traced: lengths in nm, angles in rad, voltage in kV."""

    voltage_kv: Float[Array, ""] | float
    convergence: Float[Array, ""] | float
    defocus: Float[Array, ""] | float
    astigmatism: Float[Array, ""] | float
    astigmatism_angle: Float[Array, ""] | float
    coma: Float[Array, ""] | float
    coma_angle: Float[Array, ""] | float
    c3: Float[Array, ""] | float
    c5: Float[Array, ""] | float


def optics(config: MicroscopeConfig) -> Optics:
    """The config's numbers in nm and rad."""
    return Optics(
        voltage_kv=config.voltage_kv,
        convergence=config.convergence_mrad * 1e-3,
        defocus=config.defocus_nm,
        astigmatism=config.astigmatism_nm,
        astigmatism_angle=config.astigmatism_angle,
        coma=config.coma_nm,
        coma_angle=config.coma_angle,
        c3=config.c3_um * 1e3,
        c5=config.c5_mm * 1e6,
    )


def wavelength(voltage_kv: Float[Array, ""] | float) -> Float[Array, ""] | float:
    """Relativistic wavelength of the electron [nm]: h c / sqrt(E (E + 2 m c²))."""
    return HC_KEV_NM / (voltage_kv * (voltage_kv + 2 * REST_KEV)) ** 0.5


def interaction(voltage_kv: Float[Array, ""] | float) -> Float[Array, ""] | float:
    """Interaction constant sigma [rad / (V nm)]: 2 pi / (lambda E) · (E + m c²) / (E + 2 m c²)."""
    ratio = (voltage_kv + REST_KEV) / (voltage_kv + 2 * REST_KEV)
    return 2 * math.pi / (wavelength(voltage_kv) * voltage_kv * 1e3) * ratio


def aberration(optics: Optics, ky: Float[Array, "*shape"], kx: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The aberration function chi [rad] at spatial frequencies (ky, kx) [1/nm]."""
    lam = wavelength(optics.voltage_kv)
    a2 = (lam * ky) ** 2 + (lam * kx) ** 2
    c2, s2 = jnp.cos(2 * jnp.asarray(optics.astigmatism_angle)), jnp.sin(2 * jnp.asarray(optics.astigmatism_angle))
    twofold = optics.astigmatism * lam**2 * (c2 * (kx**2 - ky**2) + s2 * 2 * kx * ky)
    along = lam * (jnp.cos(jnp.asarray(optics.coma_angle)) * kx + jnp.sin(jnp.asarray(optics.coma_angle)) * ky)
    path = (-optics.defocus * a2 + twofold) / 2 + optics.coma * a2 * along / 3
    return 2 * jnp.pi / lam * (path + optics.c3 * a2**2 / 4 + optics.c5 * a2**3 / 6)


def soft_disc(
    angle: Float[Array, ""] | float, alpha_y: Float[Array, " ny"], alpha_x: Float[Array, " nx"]
) -> Float[Array, "ny nx"]:
    """A disc of radius `angle` whose edge pixels count by the share that lies within; all angles in one unit.

    A hard edge on a coarse grid would make the disc's area, so the intensity, jump with the size of the cell.
    """
    steps = jnp.abs(alpha_y[1] - alpha_y[0]), jnp.abs(alpha_x[1] - alpha_x[0])
    y, x = alpha_y[:, None], alpha_x[None, :]
    r = jnp.hypot(y, x)
    safe = jnp.maximum(r, 1e-12)
    width = jnp.hypot(y / safe * steps[0], x / safe * steps[1])
    width = jnp.where(r > 0, width, jnp.maximum(*steps))
    return jnp.clip((angle - r) / width + 0.5, 0.0, 1.0)


def probe_spectrum(optics: Optics, grid: Grid, *, edge: Edge = "normalised") -> Complex[Array, "ny nx"]:
    """Fourier coefficients of the probe at the origin.

    Args:
        optics: the column.
        grid: pixels of the wave.
        edge: what the aperture's edge pixels keep. "normalised": the wave counts by the share of the pixel that is
            open, and the intensities sum to 1. "wave": the same, but scaled as for a large cell, where the edge does
            not matter. "intensity": the intensity counts by that share; the sum is 1.
    """
    ky, kx = frequencies(grid)
    lam = wavelength(optics.voltage_kv)
    share = soft_disc(optics.convergence, lam * ky, lam * kx)
    y, x = jnp.broadcast_arrays(ky[:, None], kx[None, :])
    amplitude = jnp.sqrt(share) if edge == "intensity" else share
    total = jnp.sum(share**2 if edge == "normalised" else share)
    wave = amplitude * jnp.exp(-1j * aberration(optics, y, x))
    return wave * jnp.sqrt(grid.shape[0] * grid.shape[1] / total)


def probe(optics: Optics, grid: Grid) -> Complex[Array, "ny nx"]:
    """The probe's wave at the centre of the grid (pixel n // 2 on each axis), normalised to 1."""
    return jnp.fft.fftshift(jnp.fft.ifft2(probe_spectrum(optics, grid)))
