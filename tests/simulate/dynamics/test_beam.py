"""Displacement by electrons: the closed form against the integral that it solves, and what is known of graphene."""

import numpy as np
import pytest
from scipy.integrate import quad

from rvaejax.simulate.dynamics.beam import (
    BARN_NM2,
    ELECTRON_EV,
    FINE_STRUCTURE,
    HARTREE_BOHR_EV_NM,
    displacement_cross_section,
    largest_transfer,
)


def _integral(threshold, voltage_kv, z, transfer):
    """McKinley and Feshbach's cross section over all angles at which an atom at rest gets more than `threshold`."""
    gamma = 1 + 1e3 * voltage_kv / ELECTRON_EV
    beta = np.sqrt(1 - gamma**-2)
    unit = (z * HARTREE_BOHR_EV_NM / (2 * ELECTRON_EV * gamma * beta**2)) ** 2

    def ring(theta):
        s = np.sin(theta / 2)
        mott = 1 - beta**2 * s**2 + np.pi * z * FINE_STRUCTURE * beta * s * (1 - s)
        return unit / s**4 * mott * 2 * np.pi * np.sin(theta)

    least = 2 * np.arcsin(np.sqrt(threshold / transfer))
    return quad(ring, least, np.pi)[0] / BARN_NM2


@pytest.mark.parametrize(
    ("threshold", "voltage", "species", "z", "mass"), [(15, 100, "C", 6, 12.011), (12, 300, "Si", 14, 28.085)]
)
def test_the_closed_form_is_the_integral(threshold, voltage, species, z, mass):
    expected = _integral(threshold, voltage, z, largest_transfer(voltage, mass))
    assert displacement_cross_section(threshold, voltage, species, 0.0) == pytest.approx(expected, rel=1e-6)


def test_energies_that_are_known():
    assert largest_transfer(80, 12.0) == pytest.approx(15.8, abs=0.1)  # the textbooks' 15.8 eV
    assert largest_transfer(100, 28.085) < 9 < 20 < largest_transfer(100, 12.0)
    assert largest_transfer(100, 12.0, 500.0) > largest_transfer(100, 12.0) > largest_transfer(100, 12.0, -500.0)


def test_vibrations_displace_where_a_lattice_at_rest_holds():
    """Graphene: nothing at 80 kV, and at 95 kV some hundredths of a barn although 19 eV < 21.1 eV."""
    assert displacement_cross_section(21.14, 95, "C", 0.0) == 0
    assert 0.01 < displacement_cross_section(21.14, 95) < 0.2
    assert displacement_cross_section(21.14, 80) < 1e-3


def test_it_falls_with_the_threshold_and_silicon_is_safe():
    values = [displacement_cross_section(t, 100) for t in (7, 12, 16, 20, 22)]
    assert (np.diff(values) < 0).all() and values[-1] > 0
    assert displacement_cross_section(12, 100, "Si") < 0.01
