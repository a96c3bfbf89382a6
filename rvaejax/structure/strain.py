"""Strain of a honeycomb sheet at each atom: the affine map from the ideal lattice to its surroundings."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from rvaejax.structure.bonds import coordination, neighbour_table

LATTICE_NM = 0.246  # of graphene


class Strain(NamedTuple):
    """The deformation around each atom; NaN where it has not three bonded neighbours with three bonds each.

    Attributes:
        tensor: (n, 2, 2) symmetric, in the axes x to the right and y down; 0 in the ideal lattice.
        angle: (n,) orientation of the lattice's rows [rad, modulo pi / 3], counter-clockwise as displayed.
        misfit: (n,) root mean square of what no affine map explains, over the lattice constant.
    """

    tensor: Float[np.ndarray, "n 2 2"]
    angle: Float[np.ndarray, " n"]
    misfit: Float[np.ndarray, " n"]

    @property
    def dilatation(self) -> Float[np.ndarray, " n"]:
        """(n,) relative change of the area, to first order: the trace."""
        return np.trace(self.tensor, axis1=1, axis2=2)

    @property
    def shear(self) -> Float[np.ndarray, " n"]:
        """(n,) largest shear: half the difference of the principal strains."""
        t = self.tensor
        return np.hypot((t[:, 0, 0] - t[:, 1, 1]) / 2, t[:, 0, 1])


def strain(
    xy: Float[np.ndarray, "n 2"],
    pairs: Int[np.ndarray, "b 2"],
    box: Float[np.ndarray, " 2"] | None = None,
    lattice_nm: float = LATTICE_NM,
) -> Strain:
    r"""Strain from the six second neighbours, which are lattice vectors away, unlike the first.

    .. math:: F = \arg\min \sum_j |d_j - F e_j|^2 = \sum_j d_j e_j^T \Big(\sum_j e_j e_j^T\Big)^{-1},
              \qquad F = V R, \qquad \varepsilon = V - 1

    d are the vectors to the second neighbours, e those of the ideal lattice, V the stretch after the rotation R.

    Args:
        xy: positions [nm], x to the right, y down.
        pairs: bonds.
        box: sides of a periodic box [nm].
        lattice_nm: lattice constant of the ideal sheet [nm].

    Source: the local affine fit of M. L. Falk and J. S. Langer, Phys. Rev. E 57, 7192 (1998).
    """
    d, whole = _second_neighbours(xy, pairs, box)
    phi = np.arctan2(-d[..., 1], d[..., 0])
    start = np.angle(np.exp(6j * phi).mean(1)) / 6
    place = np.round((phi - start[:, None]) / (np.pi / 3)).astype(int) % 6
    whole &= (np.sort(place, axis=1) == np.arange(6)).all(1)  # one in each of the six directions
    ideal = start[:, None] + place * np.pi / 3
    e = lattice_nm * np.stack([np.cos(ideal), -np.sin(ideal)], axis=-1)
    f = np.einsum("njx,njy->nxy", d, e) / (3 * lattice_nm**2)  # six ideal vectors: sum e e^T = 3 a² 1
    f = np.where(whole[:, None, None], f, np.eye(2))
    u, s, vt = np.linalg.svd(f)
    stretch = np.einsum("nxk,nk,nyk->nxy", u, s, u)
    turn = u @ vt
    misfit = np.sqrt(((d - np.einsum("nxy,njy->njx", f, e)) ** 2).sum(-1).mean(1)) / lattice_nm
    angle = np.mod(start - np.arctan2(turn[:, 1, 0], turn[:, 0, 0]), np.pi / 3)  # y points down
    tensor = np.where(whole[:, None, None], stretch - np.eye(2), np.nan)
    return Strain(tensor, np.where(whole, angle, np.nan), np.where(whole, misfit, np.nan))


def _second_neighbours(
    xy: np.ndarray, pairs: np.ndarray, box: np.ndarray | None
) -> tuple[Float[np.ndarray, "n 6 2"], np.ndarray]:
    """Vectors to the six atoms two bonds away, and which atoms have them."""
    n = len(xy)
    number = coordination(n, pairs)
    first = neighbour_table(n, pairs, 3)
    whole = (number == 3) & (number[first] == 3).all(1)
    second = first[first].reshape(n, 9)
    own = second == np.arange(n)[:, None]
    whole &= own.sum(1) == 3
    # each neighbour's own neighbours without the atom itself
    order = np.argsort(own, axis=1, kind="stable")[:, :6]
    d = xy[np.take_along_axis(second, order, axis=1)] - xy[:, None]
    return (d if box is None else d - box * np.round(d / box)), whole
