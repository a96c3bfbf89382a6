"""Probe, potential and images against abTEM 1.0, whose results are kept in data/abtem.npz.

How the arrays were made is written in experiments/abtem_oracle.py. Graphene with two Si atoms and MoS2, their atoms
displaced at random; 100 kV, 30 mrad.
"""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.simulate.multislice.config import DetectorConfig, MicroscopeConfig, MultisliceConfig
from rvaejax.simulate.multislice.grid import Grid
from rvaejax.simulate.multislice.image import lay_out
from rvaejax.simulate.multislice.optics import optics, probe_spectrum
from rvaejax.simulate.multislice.propagate import cut_slices, transmissions
from rvaejax.simulate.multislice.scattering import slice_potential
from rvaejax.simulate.multislice.stem import make_beam, scan

MICROSCOPE = MicroscopeConfig(voltage_kv=100.0, convergence_mrad=30.0)
QUICK = {"xla_backend_optimization_level": 0}


@pytest.fixture(scope="module")
def abtem():
    with np.load(Path(__file__).parent / "data" / "abtem.npz") as stored:
        return {name: stored[name] for name in stored}


class Case:
    """One specimen of the oracle."""

    def __init__(self, abtem, name):
        self.positions, self.numbers = abtem[f"{name}_positions"], abtem[f"{name}_numbers"]
        width, height = (float(side) for side in abtem[f"{name}_cell"][:2])
        self.cell = height, width
        self.grid = Grid(tuple(int(n) for n in abtem[f"{name}_grid"]), self.cell)
        self.potential, self.images = abtem[f"{name}_potential"].astype(float), abtem[f"{name}_images"]
        self.slices = cut_slices(self.positions[:, 2], self.numbers, slice_nm=0.1)
        self.detectors = tuple(DetectorConfig(str(a), *(float(x) for x in a)) for a in abtem["detectors"])

    def scan(self, grid, window, every):
        """(detectors, positions) of this package and of abTEM at every few positions of abTEM's scan."""
        rows, columns = (np.arange(0, n, every) for n in self.images.shape[1:])
        y = rows * grid.shape[0] / self.images.shape[1]
        x = columns * grid.shape[1] / self.images.shape[2]
        at = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2).astype(np.float32)
        out = _fractions(
            jnp.asarray(self.positions[:, :2]),
            jnp.asarray(self.numbers),
            self.slices,
            jnp.asarray(at),
            grid,
            window,
            self.detectors,
        )
        return np.asarray(out, float).T, self.images[:, rows][:, :, columns].reshape(len(self.detectors), -1)


@functools.partial(jax.jit, static_argnames=("grid", "window", "detectors"), compiler_options=QUICK)
def _fractions(xy, numbers, slices, at, grid, window, detectors):
    column = optics(MICROSCOPE)
    t = transmissions(xy, numbers, slices, column.voltage_kv, grid)
    beam = make_beam(column, detectors, jnp.asarray(slices.spacings), window, periodic=window == grid)
    return scan(t, beam, at, grid, window, on_pixels=False)


@pytest.mark.parametrize(
    ("name", "aberrations"),
    [
        ("none", {}),
        (
            "all",
            {
                "defocus_nm": 4.0,
                "astigmatism_nm": 1.5,
                "astigmatism_angle": 0.4,
                "coma_nm": 60.0,
                "coma_angle": 1.1,
                "c3_um": 2.0,
                "c5_mm": 3.0,
            },
        ),
    ],
)
def test_the_probe_is_abtems(abtem, name, aberrations):
    grid = Case(abtem, "mos2").grid
    order = np.arange(-20, 21)
    column = optics(MicroscopeConfig(100.0, 30.0, **aberrations))
    spectrum = np.asarray(jax.jit(probe_spectrum, static_argnums=1, compiler_options=QUICK)(column, grid))
    got = spectrum[order][:, order] / np.sqrt(grid.shape[0] * grid.shape[1])
    assert np.linalg.norm(got - abtem[f"probe_{name}"]) < 1e-4 * np.linalg.norm(abtem[f"probe_{name}"])


@pytest.mark.parametrize("name", ["graphene", "mos2"])
def test_the_potential_is_abtems(abtem, name):
    case = Case(abtem, name)
    coarse = Grid(case.potential.shape, case.cell)
    xy, numbers = jnp.asarray(case.positions[:, :2]), jnp.asarray(case.numbers)
    potential = jax.jit(slice_potential, static_argnames=("grid", "blur"), compiler_options=QUICK)
    got = sum(np.asarray(potential(xy, numbers, groups, coarse, blur=False)) for groups in case.slices.groups)
    assert np.linalg.norm(got - case.potential) < 0.01 * np.linalg.norm(case.potential)


@pytest.mark.parametrize(("name", "every"), [("graphene", 3), ("mos2", 5)])
@pytest.mark.parametrize("settings", ["same grid", "defaults"])
def test_images_are_abtems(abtem, name, every, settings):
    """Correlation, absolute intensity and, for graphene, the ratio of Si to C; bright field on the same grid only.

    In a window the bright field is known up to the window's angular resolution, 2 mrad.
    """
    case = Case(abtem, name)
    grid = window = case.grid
    if settings == "defaults":
        limited = len(case.slices.groups) > 1
        layout = lay_out(case.cell[::-1], MICROSCOPE, case.detectors, MultisliceConfig(), limited=limited)
        grid, window = layout.grid, layout.window
        assert window != grid
    got, expected = case.scan(grid, window, every)
    for i, detector in enumerate(case.detectors):
        dark = detector.inner_mrad > MICROSCOPE.convergence_mrad
        if dark or settings == "same grid":
            assert np.corrcoef(got[i], expected[i])[0, 1] > 0.995
        if dark:
            assert got[i].mean() == pytest.approx(expected[i].mean(), rel=0.03)
            assert got[i].max() == pytest.approx(expected[i].max(), rel=0.03)
        else:
            assert np.allclose(got[i], expected[i], rtol=0.05)


def test_silicon_over_carbon_is_abtems(abtem):
    """Intensity of the Si atoms over that of C atoms away from them, at the scan's nearest positions."""
    case = Case(abtem, "graphene")
    layout = lay_out(case.cell[::-1], MICROSCOPE, case.detectors, MultisliceConfig(), limited=False)
    got, expected = case.scan(layout.grid, layout.window, 1)
    shape = case.images.shape[1:]
    rows, columns = (
        np.round(case.positions[:, axis] / side * n).astype(int) % n
        for axis, side, n in zip((1, 0), case.cell, shape, strict=True)
    )
    at = rows * shape[1] + columns
    si = case.numbers == 14
    away = ~si & (np.linalg.norm(case.positions[:, None] - case.positions[si][None], axis=-1) > 0.4).all(1)
    for i in (2, 3):
        ratios = [image[i, at[si]].mean() / image[i, at[away]].mean() for image in (got, expected)]
        assert ratios[0] == pytest.approx(ratios[1], rel=0.03) and ratios[0] > 3
