"""The scanned probe: what each detector collects at each position, as a fraction of the beam.

Each position sees a window of the transmission functions around it. Positions on whole pixels share one probe, so a
flat specimen costs one Fourier transform per position; others shift the probe by the part of a pixel that is left.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from rvaejax.errors import ConfigError
from rvaejax.simulate.multislice.config import DetectorConfig
from rvaejax.simulate.multislice.grid import Grid, frequencies, next_fast_size
from rvaejax.simulate.multislice.optics import Edge, Optics, probe_spectrum, soft_disc, wavelength
from rvaejax.simulate.multislice.propagate import BAND_LIMIT, propagator, scattered_spectrum

WIDER = 3  # the probe is computed in a cell this many times as wide as its window
FADE_NM = 0.12  # rim of the window over which the probe fades


class Beam(NamedTuple):
    """What all positions of a scan share, on the pixels of the window.

    Attributes:
        probes: Fourier coefficients of the undisturbed probe at each slice, faded at the window's rim.
        unscattered: Fourier coefficients of the undisturbed probe behind the last slice.
        propagators: from each slice to the next.
        detectors: share of each scattering direction that each detector counts, over the number of pixels.
    """

    probes: Complex[Array, "slices wy wx"]
    unscattered: Complex[Array, "wy wx"]
    propagators: Complex[Array, "gaps wy wx"]
    detectors: Float[Array, "detectors wy wx"]


def window_grid(grid: Grid, window_nm: float) -> Grid:
    """Pixels of the window, of a size that transforms quickly; the whole cell for 0 or where the cell is smaller."""
    if not window_nm:
        return grid
    shape = [min(next_fast_size(window_nm / d), n) for n, d in zip(grid.shape, grid.pixel, strict=True)]
    cell = [n * d for n, d in zip(shape, grid.pixel, strict=True)]
    return Grid((shape[0], shape[1]), (cell[0], cell[1]))


def check_angles(grid: Grid, voltage_kv: float, detectors: tuple[DetectorConfig, ...], *, limited: bool) -> None:
    """Whether the sampling carries the detectors' angles.

    Raises:
        ConfigError: a detector's outer angle lies beyond what the pixels can hold.
    """
    lam = float(wavelength(voltage_kv))
    largest = (BAND_LIMIT if limited else 1.0) * grid.largest_k * lam * 1e3
    for detector in detectors:
        if detector.outer_mrad > largest:
            finest = max(grid.pixel) * largest / detector.outer_mrad
            raise ConfigError(
                f"detector {detector.name} reaches {detector.outer_mrad:g} mrad, but a potential sampling of "
                f"{max(grid.pixel):.4f} nm holds {largest:.1f} mrad: choose sampling_nm of at most {finest:.4f} "
                f"or an outer_mrad of at most {largest:.1f}"
            )


def detector_masks(
    detectors: tuple[DetectorConfig, ...], voltage_kv: Float[Array, ""] | float, grid: Grid
) -> Float[Array, "detectors ny nx"]:
    """Share of every pixel of a diffraction pattern (in FFT order) that lies on each detector."""
    ky, kx = (1e3 * wavelength(voltage_kv) * k for k in frequencies(grid))

    def disc(angle: float) -> Float[Array, "ny nx"]:
        return soft_disc(angle, ky, kx) if angle > 0 else jnp.zeros(grid.shape)

    return jnp.stack([disc(d.outer_mrad) - disc(d.inner_mrad) for d in detectors])


def make_beam(
    optics: Optics,
    detectors: tuple[DetectorConfig, ...],
    spacings: Float[Array, " gaps"],
    window: Grid,
    *,
    periodic: bool,
) -> Beam:
    """Probe, propagators and detectors on the window's pixels.

    `periodic`: the window is the whole cell. Else the probe is computed in a cell `WIDER` times as wide, cut out, and
    faded at the rim, so that its scattering ends softly there.
    """
    ny, nx = window.shape
    wider = 1 if periodic else WIDER
    wide = Grid((wider * ny, wider * nx), (wider * window.cell[0], wider * window.cell[1]))
    rim = jnp.ones(window.shape) if periodic else fade(window)
    row, column = (wider * n // 2 - n // 2 for n in window.shape)

    def cut(spectrum: Complex[Array, "my mx"]) -> Complex[Array, "ny nx"]:
        wave = jnp.fft.fftshift(jnp.fft.ifft2(spectrum))
        return jnp.fft.fft2(wave[row : row + ny, column : column + nx] * rim)

    # a wave and its intensities cannot both be cut out of a sharp aperture: the scattered part needs the wave at the
    # atoms, the rest the share of the beam in each direction
    edges: tuple[Edge, Edge] = ("normalised", "normalised") if periodic else ("wave", "intensity")
    spectrum, small = (probe_spectrum(optics, g, edge=e) for g, e in zip((wide, window), edges, strict=True))
    probes, ways = [cut(spectrum)], []
    for n in range(spacings.shape[0]):
        spectrum = spectrum * propagator(spacings[n], optics.voltage_kv, wide)
        probes.append(cut(spectrum))
        ways.append(propagator(spacings[n], optics.voltage_kv, window))
        small = small * ways[-1]
    centred = jnp.fft.fft2(jnp.fft.fftshift(jnp.fft.ifft2(small)))
    return Beam(
        probes=jnp.stack(probes),
        unscattered=centred,
        propagators=jnp.stack(ways) if ways else jnp.zeros((0, ny, nx), jnp.complex64),
        detectors=detector_masks(detectors, optics.voltage_kv, window) / (ny * nx),
    )


def fade(window: Grid) -> Float[Array, "wy wx"]:
    """1 inside, falling to 0 as a squared sine over the last `FADE_NM` at the rim."""
    sides = []
    for n, d in zip(window.shape, window.pixel, strict=True):
        to_rim = (n / 2 - np.abs(np.arange(n) - n // 2)) * d
        sides.append(jnp.asarray(np.sin(np.clip(to_rim / FADE_NM, 0, 1) * np.pi / 2) ** 2, jnp.float32))
    return sides[0][:, None] * sides[1][None, :]


def scan(
    transmissions: Complex[Array, "slices ny nx"],
    beam: Beam,
    positions: Float[Array, "n 2"],
    grid: Grid,
    window: Grid,
    *,
    on_pixels: bool,
    chunk: int = 1,
) -> Float[Array, "n detectors"]:
    """Fraction of the beam on each detector for each probe position.

    Args:
        transmissions: transmission functions of the slices over the cell.
        beam: probe, propagators and detectors on the window.
        positions: (x, y) of the probe [pixels of the cell]; the cell is periodic.
        grid: pixels of the cell.
        window: pixels of the window.
        on_pixels: whether all positions are whole pixels.
        chunk: positions computed at once.
    """
    (ny, nx), (wy, wx) = grid.shape, window.shape
    slices = transmissions.shape[0]
    padded = jnp.pad(transmissions, ((0, 0), (0, wy), (0, wx)), mode="wrap")
    centred = jnp.fft.ifft2(beam.probes)
    ky, kx = (jnp.asarray(np.fft.fftfreq(n), jnp.float32) for n in window.shape)

    def one(position: Float[Array, " 2"]) -> Float[Array, " detectors"]:
        nearest = jnp.round(position)
        probes, unscattered = centred, beam.unscattered
        if not on_pixels:
            x, y = position - nearest
            shift = jnp.exp(-2j * jnp.pi * y * ky)[:, None] * jnp.exp(-2j * jnp.pi * x * kx)[None, :]
            probes, unscattered = jnp.fft.ifft2(beam.probes * shift[None]), beam.unscattered * shift
        column, row = nearest.astype(jnp.int32)
        start = (0, (row - wy // 2) % ny, (column - wx // 2) % nx)
        here = jax.lax.dynamic_slice(padded, start, (slices, wy, wx))
        out = scattered_spectrum(probes, here, beam.propagators) + unscattered
        return jnp.tensordot(beam.detectors, out.real**2 + out.imag**2, 2)

    # recomputed in the backward pass: the waves of all positions would not fit into memory
    return jax.lax.map(jax.checkpoint(one), positions, batch_size=chunk if chunk > 1 else None)
