"""Projected potentials: Kirkland's closed form, exact positions, thermal motion, and elements that are missing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.errors import ConfigError
from rvaejax.simulate.multislice.grid import Grid
from rvaejax.simulate.multislice.propagate import cut_slices, one_slice
from rvaejax.simulate.multislice.scattering import (
    atomic_number,
    kirkland,
    projected_potential,
    scattering_factor,
    slice_potential,
    structure_factor,
)

GRID = Grid((192, 160), (1.2, 1.0))
QUICK = {"xla_backend_optimization_level": 0}  # compile in half the time
_slice = jax.jit(slice_potential, static_argnames=("grid", "blur"), compiler_options=QUICK)
AT = np.array([[0.5031, 0.6127]])


def _potential(xy, numbers, elements, grid=GRID, *, blur=False, rms_nm=0.0):
    groups = one_slice(len(xy), elements, rms_nm=rms_nm).groups[0]
    return np.asarray(_slice(jnp.asarray(xy, jnp.float32), jnp.asarray(numbers), groups, grid, blur=blur), float)


@pytest.mark.parametrize("element", ["C", "Si", "Mo"])
def test_a_single_atom_has_the_potential_of_the_closed_form(element):
    """Away from the nucleus, where the closed form's logarithm is not cut by the pixels; replicas are added."""
    fine = Grid((480, 400), GRID.cell)
    v = _potential(AT, [atomic_number(element)], (element,), fine)
    y, x = (np.arange(n) * d for n, d in zip(fine.shape, fine.pixel, strict=True))
    shifts = [(i * 1.0, j * 1.2) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    r = [np.hypot(x[None, :] - AT[0, 0] - i, y[:, None] - AT[0, 1] - j) for i, j in shifts]
    expected = sum(projected_potential(element, each) for each in r)
    ring = (r[4] > 0.02) & (r[4] < 0.4)
    assert np.linalg.norm((v - expected)[ring]) < 0.01 * np.linalg.norm(expected[ring])


def test_the_mean_potential_is_the_forward_scattering():
    v = _potential(AT, [6], ("C",))
    a, b, c, _ = (p[6].astype(float) for p in kirkland()[:4])
    assert v.mean() * 1.2 * 1.0 == pytest.approx(0.4787765 * (a / b + c).sum(), rel=1e-4)


def test_the_structure_factor_is_the_sum_of_phases():
    rng = np.random.default_rng(0)
    xy, weight = rng.uniform(-3, 3, (30, 2)), rng.uniform(size=30)
    got = jax.jit(structure_factor, static_argnums=2)(
        jnp.asarray(xy, jnp.float32), jnp.asarray(weight, jnp.float32), GRID
    )
    ky, kx = np.fft.fftfreq(192, 1.2 / 192), np.fft.rfftfreq(160, 1.0 / 160)
    turns = ky[None, :, None] * xy[:, 1, None, None] + kx[None, None, :] * xy[:, 0, None, None]
    expected = (weight[:, None, None] * np.exp(-2j * np.pi * turns)).sum(0)
    assert np.allclose(got, expected, atol=3e-3)  # positions in float32, a hundred periods away


def test_many_atoms_are_summed_in_pieces(monkeypatch):
    rng = np.random.default_rng(1)
    xy, numbers = rng.uniform(0, 1, (23, 2)), rng.choice([0, 6, 14], 23)
    whole = _potential(xy, numbers, ("C", "Si"))
    monkeypatch.setattr("rvaejax.simulate.multislice.scattering.ATOMS_AT_ONCE", 5)
    _slice.clear_cache()
    assert np.allclose(_potential(xy, numbers, ("C", "Si")), whole, atol=1e-4 * whole.max())


def test_an_atom_moves_by_any_part_of_a_pixel():
    """A shift by whole pixels rolls the potential; half a pixel twice is one."""
    step = np.array([[GRID.pixel[1], GRID.pixel[0]]])
    v = _potential(AT, [6], ("C",))
    assert np.allclose(_potential(AT + 3 * step, [6], ("C",)), np.roll(v, (3, 3), (0, 1)), atol=2e-3 * v.max())
    halves = _potential(AT + 0.5 * step, [6], ("C",))
    assert np.abs(halves - v).max() > 0.05 * v.max()


def test_spare_rows_hold_no_atoms():
    with_spare = _potential(np.vstack([AT, [[0.2, 0.2]]]), [6, 0], ("C",))
    assert np.allclose(with_spare, _potential(AT, [6], ("C",)), atol=1e-4)


def test_the_debye_waller_factor_is_a_gaussian_blur():
    rms = 0.03
    k2 = jnp.linspace(0, 400, 50)
    factor = jax.jit(scattering_factor, compiler_options=QUICK)
    assert np.allclose(factor(6, k2, rms), factor(6, k2, 0.0) * np.exp(-2 * np.pi**2 * rms**2 * k2), atol=1e-7)
    rng = np.random.default_rng(2)
    still = np.fft.rfft2(_potential(AT, [6], ("C",)))
    moved = np.repeat(AT, 3000, 0) + rms * rng.normal(size=(3000, 2))
    mean = _potential(moved, np.full(3000, 6), ("C",)) / 3000
    blurred = _potential(AT, [6], ("C",), blur=True, rms_nm=(("C", rms), ("Si", 0.1)))
    assert np.linalg.norm(mean - blurred) < 0.04 * np.linalg.norm(blurred)
    assert np.abs(still[0, 0]) == pytest.approx(blurred.sum(), rel=1e-4)


def test_the_potential_is_differentiable_in_the_positions():
    weight = jnp.asarray(np.random.default_rng(3).normal(size=GRID.shape), jnp.float32)
    groups = one_slice(1, ("Si",), rms_nm=0.02).groups[0]

    def f(xy):
        v = slice_potential(xy, jnp.array([14]), groups, GRID, blur=True)
        return (v * weight).sum() * GRID.pixel[0] * GRID.pixel[1]

    at = jnp.asarray(AT, jnp.float32)
    grad = np.asarray(jax.jit(jax.grad(f), compiler_options=QUICK)(at))[0]
    f = jax.jit(f, compiler_options=QUICK)
    for axis in range(2):
        step = np.zeros((1, 2), np.float32)
        step[0, axis] = 1e-3
        assert grad[axis] == pytest.approx(float(f(at + step) - f(at - step)) / 2e-3, rel=0.02, abs=0.02)


@pytest.mark.parametrize("element", ["Xx", "", 0, 104, -1, "carbon"])
def test_an_element_without_parameters_is_one_clear_error(element):
    with pytest.raises(ConfigError, match="no scattering parameters for element"):
        one_slice(1, (element,))


def test_atoms_are_sorted_into_slices_and_empty_slices_are_left_out():
    z = np.array([2.0, 0.5, 0.52, 1.0, 9.0])
    slices = cut_slices(z, np.array([6, 14, 6, 6, 0]), slice_nm=0.1)
    rows = [sorted(int(r) for group in s for r in group.rows) for s in slices.groups]
    assert rows == [[1, 2], [3], [0]]
    assert np.allclose(slices.spacings, [0.49, 1.0], atol=1e-6)
    with pytest.raises(ConfigError, match="no atoms"):
        cut_slices(z, np.zeros(5, int), slice_nm=0.1)
