"""Displacement of atoms by fast electrons: how often an impact hands over more than a threshold energy."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

ELECTRON_EV = 510998.95  # rest energy of the electron
DALTON_EV = 931494102.4  # rest energy of one atomic mass unit
LIGHT_M_S = 299792458.0
FINE_STRUCTURE = 1 / 137.036
HARTREE_BOHR_EV_NM = 1.439964  # e²/(4 pi epsilon_0)
BARN_NM2 = 1e-10
VELOCITY_M_S = 563.0  # root mean square of a graphene atom's velocity along the beam at 300 K
ATOM = {"C": (6, 12.011), "Si": (14, 28.085)}  # atomic number, mass [u]


def largest_transfer(voltage_kv: float, mass_u: float, velocity_m_s: float = 0.0) -> float:
    """Largest energy [eV] that an electron can leave with an atom that moves along the beam with the given velocity.

    Source: Meyer et al., Phys. Rev. Lett. 108, 196102 (2012), to first order in the electron's over the atom's mass.
    """
    e, m = 1e3 * voltage_kv, mass_u * DALTON_EV
    momentum = math.sqrt(e * (e + 2 * ELECTRON_EV))
    return (2 * momentum + m * velocity_m_s / LIGHT_M_S) ** 2 / (2 * m)


def displacement_cross_section(
    threshold_ev: float, voltage_kv: float, species: str = "C", velocity_m_s: float | None = None
) -> float:
    r"""Cross section [barn] for leaving an atom with more than `threshold_ev`, averaged over its thermal velocity.

    .. math:: \sigma = 4\pi \Bigl(\frac{Z e^2}{8\pi\epsilon_0 m c^2}\Bigr)^2 \frac{1-\beta^2}{\beta^4}
        \Bigl\{ x - 1 - \beta^2 \ln x + \pi \frac{Z}{137} \beta\, [2(\sqrt{x} - 1) - \ln x] \Bigr\},
        \quad x = E_{max}/E_d

    Args:
        threshold_ev: displacement threshold.
        voltage_kv: acceleration voltage.
        species: chemical symbol.
        velocity_m_s: root mean square velocity along the beam; by default that of graphene's C at 300 K, less for a
            heavier atom; 0 for a lattice at rest.

    Source: W. A. McKinley and H. Feshbach, Phys. Rev. 74, 1759 (1948), in the form of F. Seitz and J. S. Koehler
    (1956); with thermal velocities as in Meyer et al., Phys. Rev. Lett. 108, 196102 (2012).
    """
    z, mass = ATOM[species]
    if velocity_m_s is None:
        velocity_m_s = VELOCITY_M_S * math.sqrt(ATOM["C"][1] / mass)
    if velocity_m_s == 0:
        return _mckinley_feshbach(np.array([largest_transfer(voltage_kv, mass)]), threshold_ev, voltage_kv, z).item()
    # a fine even grid: the integrand has a kink where the threshold is reached
    v = np.linspace(-6, 6, 2401)
    weight = np.exp(-(v**2) / 2)
    transfer = np.array([largest_transfer(voltage_kv, mass, velocity_m_s * u) for u in v])
    sigma = _mckinley_feshbach(transfer, threshold_ev, voltage_kv, z)
    return float((weight * sigma).sum() / weight.sum())


def _mckinley_feshbach(
    transfer: Float[np.ndarray, " v"], threshold: float, voltage_kv: float, z: int
) -> Float[np.ndarray, " v"]:
    x = np.maximum(transfer / threshold, 1.0)
    beta2 = 1 - (1 + 1e3 * voltage_kv / ELECTRON_EV) ** -2
    beta = math.sqrt(beta2)
    rutherford = 4 * math.pi * (z * HARTREE_BOHR_EV_NM / (2 * ELECTRON_EV)) ** 2 * (1 - beta2) / beta2**2
    log = np.log(x)
    bracket = x - 1 - beta2 * log + math.pi * z * FINE_STRUCTURE * beta * (2 * (np.sqrt(x) - 1) - log)
    return rutherford * bracket / BARN_NM2
