"""Local lattice orientation and crystallinity of each atom of a honeycomb sheet."""

from __future__ import annotations

import numpy as np
from jaxtyping import Complex, Float, Int
from scipy.sparse import csr_array

from rvaejax.structure.bonds import coordination, displacement


def bond_order(
    xy: Float[np.ndarray, "n 2"], pairs: Int[np.ndarray, "b 2"], box: Float[np.ndarray, " 2"] | None = None
) -> Complex[np.ndarray, " n"]:
    r"""Bond-orientational order parameter of each atom's bonds, three-fold as a honeycomb site is.

    .. math:: \psi_3 = \tfrac13 \sum_{j} e^{3 i \varphi_j}

    The sum runs over the bonds, whatever their number: two bonds at 120 degrees give 2/3, so an edge is never fully
    ordered, and a fourth bond lowers it.

    Args:
        xy: positions [nm], x to the right, y down; angles are counter-clockwise as displayed.
        pairs: bonds.
        box: sides of a periodic box [nm].

    Source: the order parameter psi_n of D. R. Nelson and B. I. Halperin, Phys. Rev. B 19, 2457 (1979), with n = 3.
    """
    d = displacement(xy, pairs, box)
    # along the other direction every odd multiple of the angle changes sign
    wave = np.exp(3j * np.arctan2(-d[:, 1], d[:, 0]))
    total = np.zeros(len(xy), complex)
    np.add.at(total, pairs[:, 0], wave)
    np.add.at(total, pairs[:, 1], -wave)
    return total / np.maximum(coordination(len(xy), pairs), 3)


def orientation(
    xy: Float[np.ndarray, "n 2"], pairs: Int[np.ndarray, "b 2"], box: Float[np.ndarray, " 2"] | None = None
) -> Float[np.ndarray, " n"]:
    """Direction of each atom's three bonds [rad, modulo 2 pi / 3], counter-clockwise as displayed.

    The two sublattices of one crystal differ by pi / 3. NaN where an atom has not three bonds.
    """
    angle = np.angle(bond_order(xy, pairs, box)) / 3
    return np.where(coordination(len(xy), pairs) == 3, angle, np.nan)


def crystallinity(
    xy: Float[np.ndarray, "n 2"],
    pairs: Int[np.ndarray, "b 2"],
    counts: Int[np.ndarray, "n sizes"],
    box: Float[np.ndarray, " 2"] | None = None,
) -> Float[np.ndarray, " n"]:
    r"""How crystalline each atom's surroundings are, from 0 to 1; 1 in perfect graphene at any angle.

    .. math:: c_i = \langle a h \rangle_i, \qquad
              a_i = \max(0, -\mathrm{Re}\,\psi_i \overline{\langle\psi\rangle_{j \sim i}}), \qquad
              h_i = \tfrac12 (f_i + \langle f \rangle_{j \sim i})

    a is the correlation of an atom's bond-orientational order with that of its bonded neighbours, which on a
    honeycomb is the opposite one; it falls with bent bonds, edges, and turns of the lattice. f is the share of
    hexagons among the three rings around an atom; it falls near pentagons, heptagons, vacancies and edges. The angle
    brackets average over an atom and its bonded neighbours, so that c falls off smoothly over about 0.3 nm.

    Args:
        xy: positions [nm].
        pairs: bonds.
        counts: `ring_sizes` of each atom.
        box: sides of a periodic box [nm].

    Source: Nelson and Halperin's correlation of bond orientations, restricted to bonded pairs as in P. R. ten Wolde,
    M. J. Ruiz-Montero, D. Frenkel, J. Chem. Phys. 104, 9932 (1996); the ring count is that of a disordered network.
    """
    n = len(xy)
    psi = bond_order(xy, pairs, box)
    # at least three neighbours are expected: a missing one counts as disorder
    weight = 1.0 / np.maximum(coordination(n, pairs), 3)
    i, j = np.concatenate([pairs, pairs[:, ::-1]]).T
    bonded = csr_array((weight[i], (i, j)), shape=(n, n))
    alike = np.clip(-(psi * np.conj(bonded @ psi)).real, 0, 1)
    hexagons = np.minimum(counts[:, 6] / 3, 1)
    local = alike * (hexagons + bonded @ hexagons) / 2
    return (local + bonded @ local) / 2
