"""Through the specimen: transmission functions, Fresnel propagation, and the wave behind the last slice.

    psi_{n+1} = P_n * [t_n psi_n],   t_n = exp(i sigma v_n),   P_n(k) = exp(-i pi lambda dz_n k²)

Only slices that hold atoms are there: the way between two of them is one propagation, however far apart they lie, and
nothing is propagated after the last one, since a diffraction pattern's intensities do not change in vacuum.
Reference: Cowley and Moodie, Acta Cryst. 10, 609 (1957); Kirkland, Advanced Computing in Electron Microscopy, ch. 6.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from rvaejax.errors import ConfigError
from rvaejax.simulate.multislice.grid import Grid, squared_k
from rvaejax.simulate.multislice.optics import interaction, wavelength
from rvaejax.simulate.multislice.scattering import Group, atomic_number, slice_potential

BAND_LIMIT = 2 / 3  # of the Nyquist frequency: a product of two such waves wraps round only beyond the limit


class Slices(NamedTuple):
    """Which atoms lie in which slice, and how far the slices are apart; slices without atoms are left out.

    Attributes:
        groups: for each slice its atoms by element.
        spacings: (slices - 1,) way from each slice to the next [nm].
    """

    groups: tuple[tuple[Group, ...], ...]
    spacings: Float[np.ndarray, " gaps"]


def rms_of(number: int, rms_nm: float | tuple[tuple[str, float], ...]) -> float:
    """Thermal displacement of an element [nm] out of one number for all or pairs of symbol and number."""
    if isinstance(rms_nm, int | float):
        return float(rms_nm)
    return next((float(value) for element, value in rms_nm if atomic_number(element) == number), 0.0)


def cut_slices(
    z: Float[np.ndarray, " n"],
    numbers: Int[np.ndarray, " n"],
    *,
    slice_nm: float,
    rms_nm: float | tuple[tuple[str, float], ...] = 0.0,
) -> Slices:
    """Sorts atoms into slices by z [nm]: from the first on, all within `slice_nm` share a slice. On the host.

    A flat sheet is one slice. A slice lies at its atoms' mean z.

    Raises:
        ConfigError: an element has no scattering parameters, or there is no atom.
    """
    z, numbers = np.asarray(z, float), np.asarray(numbers)
    here = np.flatnonzero(numbers != 0)
    if not len(here):
        raise ConfigError("the specimen holds no atoms: give it some")
    here = here[np.argsort(z[here], kind="stable")]
    groups, heights = [], []
    while len(here):
        rows = here[z[here] < z[here[0]] + slice_nm]
        elements = [atomic_number(int(number)) for number in np.unique(numbers[rows])]
        groups.append(tuple(_group(number, rms_nm, rows[numbers[rows] == number]) for number in elements))
        heights.append(z[rows].mean())
        here = here[len(rows) :]
    return Slices(tuple(groups), np.diff(heights).astype(np.float32))


def one_slice(
    atoms: int, elements: tuple[str | int, ...], *, rms_nm: float | tuple[tuple[str, float], ...] = 0.0
) -> Slices:
    """All rows of a flat specimen in one slice; which element each row is may be traced.

    Raises:
        ConfigError: an element has no scattering parameters.
    """
    rows = np.arange(atoms)
    groups = tuple(_group(atomic_number(element), rms_nm, rows) for element in elements)
    return Slices((groups,), np.zeros(0, np.float32))


def _group(number: int, rms_nm: float | tuple[tuple[str, float], ...], rows: Int[np.ndarray, " m"]) -> Group:
    rms = jnp.float32(rms_of(number, rms_nm))
    return Group(jnp.int32(number), rms, jnp.asarray(rows, jnp.int32))


def refined(grid: Grid, factor: int = 2) -> Grid:
    """The same cell with `factor` times as many pixels along each axis."""
    return Grid((factor * grid.shape[0], factor * grid.shape[1]), grid.cell)


def crop_spectrum(spectrum: Complex[Array, "my mx"], shape: tuple[int, int]) -> Complex[Array, "ny nx"]:
    """The low frequencies of an FFT, as the FFT of fewer pixels; values of the field are kept."""
    rows, columns = (np.fft.fftfreq(n, 1 / n).astype(int) % m for n, m in zip(shape, spectrum.shape, strict=True))
    scale = shape[0] * shape[1] / (spectrum.shape[0] * spectrum.shape[1])
    return spectrum[rows][:, columns] * scale


def band_limit(grid: Grid) -> Float[Array, "ny nx"]:
    """1 within two thirds of the Nyquist frequency, 0 beyond."""
    return (squared_k(grid) <= (BAND_LIMIT * grid.largest_k) ** 2).astype(jnp.float32)


def transmission(
    potential: Float[Array, "my mx"], voltage_kv: Float[Array, ""] | float, grid: Grid, *, limited: bool
) -> Complex[Array, "ny nx"]:
    """exp(i sigma v) on the pixels of `grid`.

    Args:
        potential: projected potential [V nm], on as many pixels or on a finer grid (then aliasing of the exponential
            stays out).
        voltage_kv: acceleration voltage [kV].
        grid: the pixels wanted.
        limited: whether frequencies beyond two thirds of Nyquist are taken out, as waves that will be propagated need.
    """
    t = jnp.exp(1j * interaction(voltage_kv) * potential)
    if not limited and potential.shape == grid.shape:
        return t
    spectrum = crop_spectrum(jnp.fft.fft2(t), grid.shape)
    return jnp.fft.ifft2(spectrum * band_limit(grid) if limited else spectrum)


def propagator(
    spacing_nm: Float[Array, ""] | float, voltage_kv: Float[Array, ""] | float, grid: Grid
) -> Complex[Array, "ny nx"]:
    """Fresnel propagator over `spacing_nm`, with the band limit against aliasing."""
    phase = -jnp.pi * wavelength(voltage_kv) * spacing_nm * squared_k(grid)
    return jnp.exp(1j * phase) * band_limit(grid)


def transmissions(
    xy: Float[Array, "n 2"],
    numbers: Int[Array, " n"],
    slices: Slices,
    voltage_kv: Float[Array, ""] | float,
    grid: Grid,
    *,
    blur: bool = False,
) -> Complex[Array, "slices ny nx"]:
    """Transmission functions of all slices over the whole cell; several slices are band limited."""
    fine = refined(grid)
    limited = len(slices.groups) > 1
    return jnp.stack(
        [
            transmission(slice_potential(xy, numbers, groups, fine, blur=blur), voltage_kv, grid, limited=limited)
            for groups in slices.groups
        ]
    )


def scattered_spectrum(
    probes: Complex[Array, "slices ny nx"],
    transmitted: Complex[Array, "slices ny nx"],
    propagators: Complex[Array, "gaps ny nx"],
) -> Complex[Array, "ny nx"]:
    """Fourier coefficients of what the specimen adds to the wave behind its last slice.

    The wave is the undisturbed probe and a rest, psi_n = p_n + s_n. The probe's own way through vacuum is known, so
    only the rest is propagated: s_{n+1} = P_n * [t_n s_n + (t_n - 1) p_n]. It is the same sum, and what lies far from
    the atoms is exactly the probe. Each gap costs two transforms, the end one.

    Args:
        probes: the undisturbed probe at each slice.
        transmitted: transmission functions.
        propagators: from each slice to the next.
    """
    spectrum = jnp.fft.fft2(probes[0] * (transmitted[0] - 1))
    for n in range(propagators.shape[0]):
        rest = jnp.fft.ifft2(spectrum * propagators[n])
        spectrum = jnp.fft.fft2(rest * transmitted[n + 1] + probes[n + 1] * (transmitted[n + 1] - 1))
    return spectrum
