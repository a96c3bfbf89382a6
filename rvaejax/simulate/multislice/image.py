"""From a specimen and a microscope to the image of each detector.

An image of a scanned probe holds no frequencies beyond 2 alpha / lambda. So the scan takes steps of lambda / (4 alpha)
and the image is interpolated, without loss, to the pixels wanted; the source's size is a factor on the way.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rvaejax.errors import ConfigError
from rvaejax.simulate.multislice.config import DetectorConfig, MicroscopeConfig, MultisliceConfig
from rvaejax.simulate.multislice.grid import Grid, scan_and_grid_size
from rvaejax.simulate.multislice.optics import Optics, optics, wavelength
from rvaejax.simulate.multislice.propagate import BAND_LIMIT, Slices, cut_slices, rms_of, transmissions
from rvaejax.simulate.multislice.scattering import kirkland
from rvaejax.simulate.multislice.specimen import Specimen
from rvaejax.simulate.multislice.stem import check_angles, make_beam, scan, window_grid

MEMORY_PIXELS = 1 << 24  # pixels of all waves that an accelerator works on at once


class StemImage(NamedTuple):
    """What the detectors saw.

    Attributes:
        images: fraction of the beam; with a dose, counts over the electrons per pixel.
        pixel_size_nm: size of a pixel [nm]; pixel (0, 0) is centred on the cell's corner.
    """

    images: Float[Array, "detectors height width"]
    pixel_size_nm: float


@dataclass(frozen=True)
class Layout:
    """Sizes that are fixed when the calculation is compiled.

    Attributes:
        grid: pixels of the potential.
        window: pixels of the waves.
        scan_shape: (rows, columns) of probe positions over the cell; each step is a whole number of pixels.
        image_shape: (height, width) of the image [px].
    """

    grid: Grid
    window: Grid
    scan_shape: tuple[int, int]
    image_shape: tuple[int, int]


def coarsest_sampling(microscope: MicroscopeConfig, detectors: Sequence[DetectorConfig], *, limited: bool) -> float:
    """Largest pixel [nm] that carries all that reaches the detectors.

    The potential scatters to the outermost angle from every angle of the probe; what a product wraps round must fall
    outside the detectors (one slice) or outside the band limit (several, `limited`).
    """
    widest = max(detector.outer_mrad for detector in detectors) + microscope.convergence_mrad
    return float(wavelength(microscope.voltage_kv)) / (2e-3 * widest) * (BAND_LIMIT if limited else 1.0)


def lay_out(
    cell_nm: Sequence[float],
    microscope: MicroscopeConfig,
    detectors: tuple[DetectorConfig, ...],
    config: MultisliceConfig,
    *,
    limited: bool,
) -> Layout:
    """Grid, window and scan for a cell of (x, y) sides `cell_nm`; `limited`: there are several slices.

    Raises:
        ConfigError: there is no detector, or the sampling is too coarse for one.
    """
    if not detectors:
        raise ConfigError("give at least one detector")
    sampling = config.sampling_nm or coarsest_sampling(microscope, detectors, limited=limited)
    nyquist = float(wavelength(microscope.voltage_kv)) / (4e-3 * microscope.convergence_mrad)
    step = config.scan_step_nm or nyquist
    sides = float(cell_nm[1]), float(cell_nm[0])
    (rows, ny), (columns, nx) = (scan_and_grid_size(side, step, sampling) for side in sides)
    grid = Grid((ny, nx), sides)
    check_angles(grid, microscope.voltage_kv, detectors, limited=limited)
    height, width = (max(1, int(side / config.pixel_size_nm + 1e-4)) for side in sides)
    return Layout(grid, window_grid(grid, config.window_nm), (rows, columns), (height, width))


def detect(
    xy: Float[Array, "n 2"],
    numbers: Int[Array, " n"],
    slices: Slices,
    optics: Optics,
    layout: Layout,
    detectors: tuple[DetectorConfig, ...],
    *,
    blur: bool = False,
    chunk: int = 1,
) -> Float[Array, "detectors rows columns"]:
    """Fraction of the beam on each detector over the scan, for atoms at rest; differentiable in `xy` and `optics`."""
    grid, window = layout.grid, layout.window
    t = transmissions(xy, numbers, slices, optics.voltage_kv, grid, blur=blur)
    beam = make_beam(optics, detectors, jnp.asarray(slices.spacings), window, periodic=window == grid)
    y, x = (np.arange(n) * (pixels // n) for n, pixels in zip(layout.scan_shape, grid.shape, strict=True))
    positions = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2).astype(np.float32)
    out = scan(t, beam, jnp.asarray(positions), grid, window, on_pixels=True, chunk=chunk)
    return out.T.reshape(len(detectors), *layout.scan_shape)


def resample(
    images: Float[Array, "detectors rows columns"],
    cell_nm: tuple[float, float],
    shape: tuple[int, int],
    pixel_size_nm: float,
    sigma_nm: Float[Array, ""] | float = 0.0,
) -> Float[Array, "detectors height width"]:
    """Periodic images on a finer (or coarser) raster, by their Fourier series, blurred by a Gaussian on the way.

    Args:
        images: samples over a cell of (height, width) `cell_nm`.
        cell_nm: the cell.
        shape: pixels wanted, from the cell's corner on.
        pixel_size_nm: their size.
        sigma_nm: standard deviation of the blur.
    """
    spectrum = jnp.fft.fft2(images) / (images.shape[1] * images.shape[2])
    waves = []
    for n, wanted, side in zip(images.shape[1:], shape, cell_nm, strict=True):
        order = np.fft.fftfreq(n, 1 / n)
        turns = np.outer(np.arange(wanted) * pixel_size_nm / side, order) % 1
        damped = jnp.exp(-2 * (jnp.pi * jnp.asarray(order / side, jnp.float32) * sigma_nm) ** 2)
        waves.append(jnp.exp(2j * jnp.pi * jnp.asarray(turns, jnp.float32)) * damped[None, :])
    return jnp.einsum("hk,dkl,wl->dhw", waves[0], spectrum, waves[1], optimize="optimal").real


@functools.partial(jax.jit, static_argnames=("layout", "detectors", "config"))
def render(
    positions: Float[Array, "n 3"],
    numbers: Int[Array, " n"],
    slices: Slices,
    optics: Optics,
    source_sigma_nm: Float[Array, ""] | float,
    layout: Layout,
    detectors: tuple[DetectorConfig, ...],
    config: MultisliceConfig,
    *,
    key: PRNGKeyArray,
) -> Float[Array, "detectors height width"]:
    """The images: average over frozen phonons, source size, dose. The compiled part of `stem_image`."""
    k_phonon, k_noise = jax.random.split(key)
    chunk = config.chunk or _chunk(layout, len(slices.groups))
    xy = positions[:, :2]

    def at_rest(xy: Float[Array, "n 2"]) -> Float[Array, "detectors rows columns"]:
        still = config.rms_displacement_nm == 0 or config.phonons > 0
        return detect(xy, numbers, slices, optics, layout, detectors, blur=not still, chunk=chunk)

    if config.phonons:
        rms = _displacements(config)[numbers][:, None]
        keys = jax.random.split(k_phonon, config.phonons)
        image = jax.lax.map(lambda k: at_rest(xy + rms * jax.random.normal(k, xy.shape)), keys).mean(0)
    else:
        image = at_rest(xy)
    image = resample(image, layout.grid.cell, layout.image_shape, config.pixel_size_nm, source_sigma_nm)
    if config.electrons_per_nm2:
        electrons = config.electrons_per_nm2 * config.pixel_size_nm**2
        image = jax.random.poisson(k_noise, jnp.maximum(image, 0.0) * electrons).astype(jnp.float32) / electrons
    return image


def _displacements(config: MultisliceConfig) -> Float[Array, " elements"]:
    """Thermal displacement by atomic number [nm]."""
    return jnp.asarray([rms_of(z, config.rms_displacement_nm) for z in range(len(kirkland().symbols))], jnp.float32)


def _chunk(layout: Layout, slices: int) -> int:
    """Positions at once: one on a CPU, whose caches are small; as many as fit on an accelerator."""
    if jax.default_backend() == "cpu":
        return 1
    return max(1, MEMORY_PIXELS // (layout.window.shape[0] * layout.window.shape[1] * slices))


def stem_image(
    specimen: Specimen,
    microscope: MicroscopeConfig,
    detectors: Sequence[DetectorConfig],
    config: MultisliceConfig | None = None,
    *,
    key: PRNGKeyArray,
) -> StemImage:
    """Images of a specimen by multislice, from the cell's corner on, as many whole pixels as the cell holds.

    Args:
        specimen: the atoms; its arrays are concrete (see `render` for what may be traced).
        microscope: the column.
        detectors: the detectors.
        config: how finely to compute, thermal motion, dose; None for the defaults.
        key: draws displacements and noise; has no effect without either.

    Returns:
        The images, float32, and their pixel size.

    Raises:
        ConfigError: an element without scattering parameters, no atoms, or a sampling too coarse for a detector.
    """
    config = config or MultisliceConfig()
    z, numbers = np.asarray(specimen.positions)[:, 2], np.asarray(specimen.numbers)
    slices = cut_slices(z, numbers, slice_nm=config.slice_nm, rms_nm=config.rms_displacement_nm)
    cell = np.asarray(specimen.cell, float)
    layout = lay_out(cell.tolist(), microscope, tuple(detectors), config, limited=len(slices.groups) > 1)
    images = render(
        specimen.positions,
        specimen.numbers,
        slices,
        optics(microscope),
        microscope.source_sigma_nm,
        layout,
        tuple(detectors),
        config,
        key=key,
    )
    return StemImage(images, config.pixel_size_nm)
