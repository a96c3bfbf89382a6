"""The probe: wavelengths of the textbook, Airy's disc, aberrations that displace and blur, and the detectors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.errors import ConfigError
from rvaejax.simulate.multislice.config import DetectorConfig, MicroscopeConfig, MultisliceConfig, standard_detectors
from rvaejax.simulate.multislice.grid import Grid, next_fast_size, scan_and_grid_size
from rvaejax.simulate.multislice.optics import aberration, interaction, optics, probe, soft_disc, wavelength
from rvaejax.simulate.multislice.stem import check_angles, detector_masks, make_beam, scan, window_grid

GRID = Grid((256, 240), (4.0, 3.75))
QUICK = {"xla_backend_optimization_level": 0}  # compile in half the time
_probe = jax.jit(probe, static_argnames="grid", compiler_options=QUICK)
_aberration = jax.jit(aberration, compiler_options=QUICK)


@functools.partial(jax.jit, static_argnames=("grid", "window", "detectors"), compiler_options=QUICK)
def _vacuum(at, grid, window, detectors):
    beam = make_beam(optics(MicroscopeConfig()), detectors, jnp.zeros(0), window, periodic=window == grid)
    return scan(jnp.ones((1, *grid.shape), jnp.complex64), beam, at, grid, window, on_pixels=False)


@pytest.mark.parametrize(("kv", "pm", "sigma"), [(60.0, 4.866, 11.36), (100.0, 3.701, 9.244), (200.0, 2.508, 7.288)])
def test_wavelength_and_interaction_are_the_textbooks(kv, pm, sigma):
    """Kirkland's tables: wavelength [pm] and sigma [1/(kV Angstrom)] times 10, that is rad/(kV nm)."""
    assert wavelength(kv) * 1e3 == pytest.approx(pm, abs=0.001)
    assert interaction(kv) * 1e3 == pytest.approx(sigma, rel=1e-3)


def test_the_probe_without_aberrations_is_airys_disc():
    """Full width at half maximum 0.5145 lambda / alpha, first dark ring at 0.61 lambda / alpha."""
    column = optics(MicroscopeConfig(voltage_kv=100.0, convergence_mrad=25.0))
    intensity = np.abs(np.asarray(_probe(column, GRID))) ** 2
    assert intensity.sum() == pytest.approx(1, abs=1e-5)
    line = intensity[128, 120:]
    r = np.arange(len(line)) * GRID.pixel[1]
    half = np.interp(0.5, line[:6][::-1] / line[0], r[:6][::-1])
    assert 2 * half == pytest.approx(0.5145 * 3.7014e-3 / 25e-3, rel=0.03)
    assert r[line[:9].argmin()] == pytest.approx(0.61 * 3.7014e-3 / 25e-3, abs=GRID.pixel[1])


def test_aberrations_displace_the_rays_by_their_gradient():
    """A ray at angle a lands at the gradient of chi over 2 pi: C10 a, C30 a³, C12 along its axis."""
    lam, a = 3.7014e-3, 0.02
    cases = [
        ({"defocus_nm": 10.0}, -10 * a),
        ({"c3_um": 30.0}, 3e4 * a**3),
        ({"c5_mm": 20.0}, 2e7 * a**5),
        ({"astigmatism_nm": 3.0}, 3 * a),
        ({"astigmatism_nm": 3.0, "astigmatism_angle": np.pi / 2}, -3 * a),
        ({"coma_nm": 200.0}, 200 * a**2),
    ]
    k, step = a / lam, 0.01
    for options, expected in cases:
        column = optics(MicroscopeConfig(voltage_kv=100.0, **options))
        ends = _aberration(column, jnp.zeros(2), jnp.array([k - step, k + step]))
        assert float(ends[1] - ends[0]) / (2 * step) / (2 * np.pi) == pytest.approx(expected, rel=0.01)


def test_coma_turns_with_its_angle():
    """The ray ahead of the coma's direction lands ahead."""
    ky, kx = jnp.array([5.0, 0.0]), jnp.array([0.0, 5.0])
    x = _aberration(optics(MicroscopeConfig(coma_nm=100.0)), ky, kx)
    y = _aberration(optics(MicroscopeConfig(coma_nm=100.0, coma_angle=np.pi / 2)), ky, kx)
    assert np.allclose(x, y[::-1], atol=1e-5) and abs(float(x[0])) < 1e-5 < float(x[1])


def test_a_soft_disc_has_the_discs_area():
    k = jnp.asarray(np.fft.fftfreq(64, 1 / 64), jnp.float32)
    for radius in (8.4, 17.8):
        assert float(soft_disc(radius, k, k).sum()) == pytest.approx(np.pi * radius**2, rel=0.01)


def test_without_atoms_the_bright_field_has_its_share_of_the_beam():
    """Half the convergence angle is a quarter of the beam; nothing reaches the dark field."""
    detectors = standard_detectors(30.0)
    grid = Grid((400, 400), (3.2, 3.2))
    at = jnp.array([[10.0, 20.0], [33.25, 7.5]])
    for window_nm, tolerance in ((0.0, 0.03), (1.6, 0.03)):
        out = np.asarray(_vacuum(at, grid, window_grid(grid, window_nm), detectors))
        assert np.allclose(out, [[0.25, 0.75, 0, 0]] * 2, atol=tolerance)
        assert np.allclose(out.sum(1), 1, atol=0.03) and np.abs(out[:, 2:]).max() < 1e-6


def test_neighbouring_detectors_leave_no_gap():
    pair = (DetectorConfig("a", 0.0, 60.0), DetectorConfig("b", 60.0, 120.0), DetectorConfig("both", 0.0, 120.0))
    masks = np.asarray(jax.jit(detector_masks, static_argnums=(0, 2))(pair, 100.0, Grid((200, 180), (1.6, 1.5))))
    assert np.allclose(masks[0] + masks[1], masks[2], atol=1e-6)


def test_a_sampling_too_coarse_for_a_detector_is_one_clear_error():
    with pytest.raises(ConfigError, match=r"HAADF reaches 200 mrad.*holds 185.1 mrad.*at most 0.0093"):
        check_angles(Grid((100, 100), (1.0, 1.0)), 100.0, (DetectorConfig(),), limited=False)
    check_angles(Grid((100, 100), (0.9, 0.9)), 100.0, (DetectorConfig(),), limited=False)


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (MicroscopeConfig, {"voltage_kv": 0.0}),
        (MicroscopeConfig, {"convergence_mrad": 0.0}),
        (MicroscopeConfig, {"defocus_nm": float("nan")}),
        (DetectorConfig, {"inner_mrad": 90.0, "outer_mrad": 80.0}),
        (MultisliceConfig, {"pixel_size_nm": 0.0}),
        (MultisliceConfig, {"window_nm": 0.1}),
        (MultisliceConfig, {"phonons": -1}),
    ],
)
def test_settings_that_make_no_sense_are_refused(cls, options):
    with pytest.raises(ConfigError):
        cls(**options)


def test_sizes_are_quick_to_transform_and_steps_are_whole_pixels():
    assert [next_fast_size(n) for n in (1, 97, 100, 211, 397)] == [2, 98, 100, 216, 400]
    for length in (1.7, 3.936, 8.037):
        points, pixels = scan_and_grid_size(length, 0.031, 0.0081)
        assert pixels % points == 0 and length / points <= 0.031 + 1e-9 and length / pixels <= 0.0081
        assert next_fast_size(pixels) == pixels and pixels < 1.3 * length / 0.0081
