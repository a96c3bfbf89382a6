"""Scattering and images: what theory demands of any specimen, and what the microscope adds."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.errors import ConfigError
from rvaejax.simulate.multislice.config import DetectorConfig, MicroscopeConfig, MultisliceConfig
from rvaejax.simulate.multislice.grid import Grid
from rvaejax.simulate.multislice.image import lay_out, resample, stem_image
from rvaejax.simulate.multislice.optics import interaction, optics, probe
from rvaejax.simulate.multislice.propagate import (
    band_limit,
    cut_slices,
    one_slice,
    propagator,
    scattered_spectrum,
    transmissions,
)
from rvaejax.simulate.multislice.scattering import slice_potential
from rvaejax.simulate.multislice.specimen import graphene, specimen
from rvaejax.simulate.multislice.stem import detector_masks, make_beam, scan, window_grid

GRID = Grid((96, 96), (0.96, 0.96))
COLUMN = optics(MicroscopeConfig(convergence_mrad=25.0, defocus_nm=2.0, astigmatism_nm=1.0, coma_nm=50.0))
QUICK = {"xla_backend_optimization_level": 0}  # compile in half the time


STATIC = ("grid", "window", "detectors", "on_pixels", "chunk")


def _traced(xy, numbers, slices, column, positions, grid, window, detectors, on_pixels=False, chunk=1):
    t = transmissions(xy, numbers, slices, column.voltage_kv, grid)
    beam = make_beam(column, detectors, jnp.asarray(slices.spacings), window, periodic=window == grid)
    return scan(t, beam, positions, grid, window, on_pixels=on_pixels, chunk=chunk)


_fractions = jax.jit(_traced, static_argnames=STATIC, compiler_options=QUICK)
DETECTORS = (DetectorConfig("all", 0.0, 120.0), DetectorConfig("dark", 60.0, 120.0))
XY = jnp.array([[0.48, 0.50], [0.60, 0.41]])
AT = jnp.array([[48.0, 50.0], [40.3, 44.9]])


def _scan(xyz, numbers, at=AT, grid=GRID, window_nm=0.0, column=COLUMN, **options):
    xyz = np.asarray(xyz)
    z = xyz[:, 2] if xyz.shape[1] == 3 else np.zeros(len(xyz))
    slices = cut_slices(z, np.asarray(numbers), slice_nm=0.05)
    window = window_grid(grid, window_nm)
    xy = jnp.asarray(xyz[:, :2], jnp.float32)
    return np.asarray(_fractions(xy, jnp.asarray(numbers), slices, column, at, grid, window, DETECTORS, **options))


def test_no_electron_is_lost():
    """A phase object takes nothing from the beam: the detector for all angles that the grid holds counts 1."""
    light, heavy = _scan(XY, [6, 6]), _scan(XY, [14, 14])
    assert np.allclose(light[:, 0], 1, atol=2e-3) and np.allclose(heavy[:, 0], 1, atol=6e-3)
    assert (heavy[:, 1] > 3 * light[:, 1]).all()


def test_a_weak_atom_scatters_as_born_says():
    """First order in v: the dark field counts |sigma FT(v probe)|²."""
    column = optics(MicroscopeConfig(voltage_kv=300.0, convergence_mrad=15.0))
    detectors = (DetectorConfig("dark", 20.0, 80.0),)
    slices = one_slice(1, ("H",))

    @functools.partial(jax.jit, compiler_options=QUICK)
    def born(xy):
        v = slice_potential(xy, jnp.array([1]), slices.groups[0], GRID, blur=False)
        scattered = jnp.abs(jnp.fft.fft2(interaction(300.0) * v * probe(column, GRID))) ** 2 / v.size
        return (scattered * detector_masks(detectors, 300.0, GRID)[0]).sum()

    got = _fractions(XY[:1], jnp.array([1]), slices, column, jnp.array([[48.0, 48.0]]), GRID, GRID, detectors)
    assert float(got[0, 0]) == pytest.approx(float(born(XY[:1])), rel=0.02)


def test_source_and_detector_can_be_exchanged():
    """Reciprocity: from q to k through the slices, as from -k to -q through them in reverse."""
    rng = np.random.default_rng(0)
    n, grid = 24, Grid((24, 24), (0.6, 0.6))
    limit = np.asarray(band_limit(grid))
    t = np.exp(1j * rng.normal(size=(3, n, n)))
    ways = jnp.stack([propagator(dz, 60.0, grid) for dz in (0.7, 2.5)])

    scattered = jax.jit(scattered_spectrum, compiler_options=QUICK)

    def amplitude(t, ways, q, k):
        spectrum = np.zeros((n, n), np.complex64)
        spectrum[q] = 1.0
        probes = [spectrum]
        for way in np.asarray(ways):
            probes.append(probes[-1] * way)
        waves = np.fft.ifft2(np.stack(probes)).astype(np.complex64)
        return complex((np.asarray(scattered(waves, t.astype(np.complex64), ways)) + probes[-1])[k])

    for q, k in [((1, 2), (22, 3)), ((0, 0), (4, 21)), ((20, 1), (2, 2))]:
        minus = [tuple((-i) % n for i in index) for index in (q, k)]
        assert limit[q] == limit[k] == 1
        there = amplitude(t, ways, q, k)
        back = amplitude(t[::-1], ways[::-1], minus[1], minus[0])
        assert there == pytest.approx(back, rel=2e-3, abs=1e-5)


def test_slices_without_atoms_change_nothing():
    """The way between two atoms in one step is that in many through vacuum."""
    apart = np.array([[0.48, 0.50, 0.1], [0.60, 0.41, 3.1]])
    slices = cut_slices(apart[:, 2], np.array([14, 14]), slice_nm=0.1)

    @functools.partial(jax.jit, static_argnames="empty", compiler_options=QUICK)
    def fractions(spacings, empty):
        t = transmissions(XY, jnp.array([14, 14]), slices, 100.0, GRID)
        t = jnp.concatenate([t[:1], *[jnp.ones_like(t[:1])] * empty, t[1:]])
        beam = make_beam(COLUMN, DETECTORS, spacings, GRID, periodic=True)
        return scan(t, beam, AT[:1], GRID, GRID, on_pixels=True)

    short = np.asarray(fractions(jnp.asarray(slices.spacings), 0))
    assert np.allclose(short, fractions(jnp.array([0.7, 1.1, 1.2]), 2), rtol=2e-4, atol=1e-6)
    assert not np.allclose(short[:, 1], _scan(XY, [14, 14])[0, 1], rtol=0.02)  # nor is it one slice


def test_the_probe_moves_by_any_part_of_a_pixel():
    """Probe and specimen shifted together see the same; on whole pixels both ways of moving agree.

    One atom of each element in one program: XLA for CPU once lost the first of them, for whole pixels only.
    """
    still = _scan(XY, [6, 14])
    moved = _scan(np.asarray(XY) + [0.0123, 0.0077], [6, 14], AT + jnp.array([[1.23, 0.77]]))
    assert np.allclose(still, moved, rtol=5e-3, atol=1e-7)
    whole = jnp.round(AT)
    assert np.allclose(_scan(XY, [6, 14], whole), _scan(XY, [6, 14], whole, on_pixels=True), rtol=1e-4, atol=1e-7)


def test_positions_in_chunks_are_positions_one_by_one():
    many = jnp.concatenate([AT, AT + 3, AT - 7, AT[:1] + 20])
    assert np.allclose(_scan(XY, [6, 14], many), _scan(XY, [6, 14], many, chunk=3), rtol=2e-5, atol=1e-8)


def test_the_gradient_in_an_atoms_position_is_that_of_finite_differences():
    slices = one_slice(2, ("C", "Si"))

    @functools.partial(jax.jit, compiler_options=QUICK)
    def dark(xy):
        out = _traced(xy, jnp.array([6, 14]), slices, COLUMN, AT, GRID, GRID, DETECTORS)
        return 1e3 * out[:, 1].sum()

    grad = np.asarray(jax.jit(jax.grad(dark.__wrapped__), compiler_options=QUICK)(XY))
    for atom in range(2):
        for axis in range(2):
            step = np.zeros((2, 2), np.float32)
            step[atom, axis] = 2e-3
            numeric = float(dark(XY + step) - dark(XY - step)) / 4e-3
            assert grad[atom, axis] == pytest.approx(numeric, rel=0.02, abs=0.02 * float(np.abs(grad).max()))


def test_a_window_sees_what_the_whole_cell_sees():
    sheet = graphene(3.0, silicon=1)
    cell = np.asarray(sheet.cell, float)
    grid = Grid((320, 320), (float(cell[1]), float(cell[0])))
    at = jnp.asarray(np.random.default_rng(0).integers(0, 320, (12, 2)), jnp.float32)
    whole = _scan(np.asarray(sheet.positions), np.asarray(sheet.numbers), at, grid, on_pixels=True)
    part = _scan(np.asarray(sheet.positions), np.asarray(sheet.numbers), at, grid, 1.6, on_pixels=True)
    assert np.abs(part - whole)[:, 1].max() < 0.02 * whole[:, 1].max()


def test_an_image_has_the_symmetry_of_its_specimen():
    """One atom under a round probe: the image of a square cell is that of any quarter turn or mirror."""
    atom = specimen(["Mo"], [[0.5, 0.5]], (1.0, 1.0))
    quick = MultisliceConfig(pixel_size_nm=0.05, window_nm=0.0)
    detectors = (DetectorConfig("dark", 40.0, 90.0), DetectorConfig("bright", 0.0, 12.0))
    image = np.asarray(stem_image(atom, MicroscopeConfig(), detectors, quick, key=jax.random.key(0)).images)
    assert image.shape == (2, 20, 20) and np.unravel_index(image[0].argmax(), (20, 20)) == (10, 10)
    inner = image[:, 1:, 1:]  # pixel 10 is the centre
    for other in (inner[:, ::-1], inner[:, :, ::-1], inner.transpose(0, 2, 1)):
        assert np.allclose(inner, other, atol=2e-3 * np.ptp(inner, axis=(1, 2)).max())


def test_resampling_keeps_what_the_scan_holds_and_blurs_it_as_a_gaussian():
    ny, nx, sigma = 12, 10, 0.04
    y, x = np.arange(ny) / ny, np.arange(nx) / nx

    def wave(y, x, factor=1.0):
        turns = 3 * y[:, None] + 2 * x[None, :]
        return 2 + factor * np.cos(2 * np.pi * turns + 0.3)

    cell = (0.6, 0.5)
    damped = np.exp(-2 * (np.pi * sigma) ** 2 * ((3 / 0.6) ** 2 + (2 / 0.5) ** 2))
    got = jax.jit(resample, static_argnums=(1, 2, 3))(
        jnp.asarray(wave(y, x), jnp.float32)[None], cell, (37, 31), 0.016, sigma
    )
    assert np.allclose(got[0], wave(np.arange(37) * 0.016 / 0.6, np.arange(31) * 0.016 / 0.5, damped), atol=1e-4)


def test_frozen_phonons_blur_an_atom_and_dose_makes_counts():
    """Displaced at random, one atom's mean image is broader and as bright in all; counts scatter by Poisson."""
    atom = specimen(["Si"], [[0.4, 0.4]], (0.8, 0.8))
    microscope, detectors = MicroscopeConfig(source_sigma_nm=0.0), (DetectorConfig("dark", 40.0, 90.0),)

    def image(seed=0, **options):
        config = MultisliceConfig(pixel_size_nm=0.02, window_nm=0.0, scan_step_nm=0.04, **options)
        return np.asarray(stem_image(atom, microscope, detectors, config, key=jax.random.key(seed)).images[0], float)

    sharp, moving = image(), image(rms_displacement_nm=(("Si", 0.025),), phonons=12)
    assert moving.max() < 0.95 * sharp.max() and moving.sum() == pytest.approx(sharp.sum(), rel=0.01)
    dose = 400 / (sharp.mean() * 0.02**2)
    noisy = image(1, electrons_per_nm2=dose)
    expected = sharp * dose * 0.02**2
    counts = noisy * dose * 0.02**2
    assert np.allclose(counts, np.round(counts), atol=1e-2)
    chi2 = ((counts - expected) ** 2 / np.maximum(expected, 1e-3))[expected > 5].mean()
    assert 0.7 < chi2 < 1.3
    assert not np.array_equal(noisy, image(2, electrons_per_nm2=dose))
    assert np.array_equal(noisy, image(1, electrons_per_nm2=dose))


def test_a_scan_takes_whole_pixels_of_the_potential_and_no_more_points_than_it_needs():
    layout = lay_out((3.936, 3.835), MicroscopeConfig(), (DetectorConfig(),), MultisliceConfig(), limited=False)
    assert all(n % s == 0 for n, s in zip(layout.grid.shape, layout.scan_shape, strict=True))
    step = max(side / n for side, n in zip(layout.grid.cell, layout.scan_shape, strict=True))
    assert 0.9 * 3.7014e-3 / (4 * 30e-3) < step <= 3.7014e-3 / (4 * 30e-3)
    assert layout.image_shape == (239, 246) and max(layout.window.cell) < 1.7


@pytest.mark.parametrize("sampling", [0.02, 0.011])
def test_a_potential_too_coarse_for_a_detector_is_one_clear_error(sampling):
    with pytest.raises(ConfigError, match=r"HAADF reaches 200 mrad, .*: choose sampling_nm of at most 0\.009"):
        config = MultisliceConfig(sampling_nm=sampling)
        stem_image(graphene(1.0), MicroscopeConfig(), (DetectorConfig(),), config, key=jax.random.key(0))
    with pytest.raises(ConfigError, match="at least one detector"):
        stem_image(graphene(1.0), MicroscopeConfig(), (), key=jax.random.key(0))
