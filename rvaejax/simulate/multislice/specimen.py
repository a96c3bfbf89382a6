"""What lies under the beam: atoms in a periodic cell, and builders for sheets. Lengths in nm; the beam runs along z."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from rvaejax.errors import ConfigError
from rvaejax.simulate.config import LATTICE_NM, SPECIES
from rvaejax.simulate.multislice.scattering import atomic_number
from rvaejax.simulate.sheet import Sheet

VACUUM_NM = 1.0  # height of the cell of a flat sheet; nothing is computed in it
# lattice constant, half the distance of the two chalcogen planes: Wilson and Yoffe, Adv. Phys. 18, 193 (1969)
MOS2_NM = (0.3160, 0.1586)
WS2_NM = (0.3154, 0.1575)
BORON_NITRIDE_NM = 0.2504  # lattice constant: Lynch and Drickamer, J. Chem. Phys. 44, 181 (1966)


class Specimen(NamedTuple):
    """Atoms in a cell that repeats along x and y.

    Attributes:
        positions: (x, y, z) [nm], x to the right, y down, z along the beam.
        numbers: atomic numbers; 0 is no atom (arrays of fixed length may have spare rows).
        cell: (x, y, z) sides of the cell [nm].
    """

    positions: Float[Array, "n 3"]
    numbers: Int[Array, " n"]
    cell: Float[Array, " 3"]


def specimen(
    elements: Sequence[str | int] | Int[np.ndarray, " n"],
    positions: Float[np.ndarray, "n 3"] | Float[np.ndarray, "n 2"] | Sequence[Sequence[float]],
    cell: Sequence[float] | Float[np.ndarray, " k"] | None = None,
    *,
    pad_nm: float = 0.0,
) -> Specimen:
    """Any atoms as a specimen.

    Args:
        elements: chemical symbols or atomic numbers.
        positions: (x, y, z) or, for a flat sheet, (x, y) [nm].
        cell: sides of the cell [nm]; None for the atoms' bounding box.
        pad_nm: vacuum added on each side along x and y, for specimens that do not repeat.

    Raises:
        ConfigError: an element has no scattering parameters, the arrays do not fit, or the cell has no extent.
    """
    xyz = np.asarray(positions, np.float64)
    numbers = np.array([atomic_number(element) for element in elements], np.int32)
    if xyz.ndim != 2 or xyz.shape[1] not in (2, 3) or len(xyz) != len(numbers) or not len(numbers):
        raise ConfigError(f"{len(numbers)} elements need as many rows of x, y (z), got positions of shape {xyz.shape}")
    if not np.isfinite(xyz).all():
        raise ConfigError("the positions of a specimen must be finite numbers")
    if xyz.shape[1] == 2:
        xyz = np.column_stack([xyz, np.full(len(xyz), VACUUM_NM / 2)])
    if cell is None:
        low = xyz.min(0)
        sides, xyz = xyz.max(0) - low + [0, 0, VACUUM_NM], xyz - low
    else:
        sides = np.asarray([*cell, VACUUM_NM][:3], np.float64)
    pad = np.array([pad_nm, pad_nm, 0.0])
    if not (sides + 2 * pad > 0).all():
        raise ConfigError(f"the cell {(sides + 2 * pad).tolist()} nm has no extent: give cell= or pad_nm=")
    return Specimen(
        jnp.asarray(xyz + pad, jnp.float32), jnp.asarray(numbers), jnp.asarray(sides + 2 * pad, jnp.float32)
    )


def hexagonal(
    elements: Sequence[str], motif: Float[np.ndarray, "m 3"], lattice_nm: float, size_nm: float | tuple[float, float]
) -> Specimen:
    """A sheet of a hexagonal crystal in a right-angled cell of about `size_nm` (width, height) that repeats.

    Args:
        elements: symbols of the primitive cell's atoms.
        motif: their (u, v) along the two lattice vectors (1, 0) and (1/2, sqrt(3)/2), and their z [nm].
        lattice_nm: lattice constant.
        size_nm: size wanted; rounded to whole cells of a × a sqrt(3), at least one.
    """
    width, height = (size_nm, size_nm) if isinstance(size_nm, int | float) else size_nm
    a, b = lattice_nm, lattice_nm * math.sqrt(3)
    nx, ny = max(1, round(width / a)), max(1, round(height / b))
    uv, z = motif[:, :2], motif[:, 2]
    in_cell = uv @ np.array([[a, 0.0], [a / 2, b / 2]])
    centred = np.array([[0.0, 0.0], [a / 2, b / 2]])  # the right-angled cell holds two primitive ones
    both = (in_cell[None] + centred[:, None]).reshape(-1, 2) % [a - 1e-9, b - 1e-9]
    corners = np.stack(np.meshgrid(np.arange(nx) * a, np.arange(ny) * b), -1).reshape(-1, 1, 2)
    xy = (corners + both[None]).reshape(-1, 2)
    repeats = len(corners) * 2
    zs = np.tile(z, repeats) - z.min() + VACUUM_NM / 2
    return specimen(list(elements) * repeats, np.column_stack([xy, zs]), (nx * a, ny * b, VACUUM_NM + np.ptp(z)))


def graphene(size_nm: float | tuple[float, float], *, silicon: int = 0, lattice_nm: float = LATTICE_NM) -> Specimen:
    """A near-square cell of graphene, with `silicon` atoms replaced, as far from each other as a raster of them."""
    sheet = hexagonal(("C", "C"), np.array([[0.0, 0.0, 0.0], [1 / 3, 1 / 3, 0.0]]), lattice_nm, size_nm)
    if not silicon:
        return sheet
    side = math.ceil(math.sqrt(silicon))
    wanted = (np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).reshape(-1, 2)[:silicon] + 0.5) / side
    far = np.asarray(sheet.positions)[None, :, :2] - (wanted * np.asarray(sheet.cell)[:2])[:, None]
    return substitute(sheet, (far**2).sum(-1).argmin(1), "Si")


def boron_nitride(size_nm: float | tuple[float, float], *, lattice_nm: float = BORON_NITRIDE_NM) -> Specimen:
    """One layer of hexagonal boron nitride."""
    return hexagonal(("B", "N"), np.array([[0.0, 0.0, 0.0], [1 / 3, 1 / 3, 0.0]]), lattice_nm, size_nm)


def dichalcogenide(
    metal: str, chalcogen: str, size_nm: float | tuple[float, float], *, lattice_nm: float, half_height_nm: float
) -> Specimen:
    """One 2H layer: the metal between two planes of the chalcogen, one right above the other."""
    third = 1 / 3
    motif = np.array([[0.0, 0.0, 0.0], [third, third, half_height_nm], [third, third, -half_height_nm]])
    return hexagonal((metal, chalcogen, chalcogen), motif, lattice_nm, size_nm)


def molybdenum_disulfide(size_nm: float | tuple[float, float]) -> Specimen:
    """One layer of 2H-MoS2."""
    return dichalcogenide("Mo", "S", size_nm, lattice_nm=MOS2_NM[0], half_height_nm=MOS2_NM[1])


def tungsten_disulfide(size_nm: float | tuple[float, float]) -> Specimen:
    """One layer of 2H-WS2."""
    return dichalcogenide("W", "S", size_nm, lattice_nm=WS2_NM[0], half_height_nm=WS2_NM[1])


def substitute(specimen: Specimen, rows: Sequence[int] | Int[np.ndarray, " k"], element: str | int) -> Specimen:
    """The specimen with `element` in the given rows."""
    return specimen._replace(numbers=specimen.numbers.at[jnp.asarray(rows)].set(atomic_number(element)))


def from_sheet(
    sheet: Sheet, field_nm: float, *, pad_nm: float = 0.6, elements: Sequence[str | int] = SPECIES
) -> Specimen:
    """A sheet of the fast simulator in a cell of its own, with vacuum around; works under `vmap` and `jit`.

    Args:
        sheet: atoms whose field is the square from 0 to `field_nm`; masked ones become number 0.
        field_nm: side of the field.
        pad_nm: how far the cell reaches beyond the field: the field's corner lies at (pad_nm, pad_nm) of the cell.
        elements: what the sheet's species are.

    Returns:
        A specimen with as many rows as the sheet.
    """
    numbers = jnp.asarray([atomic_number(element) for element in elements], jnp.int32)[sheet.species]
    side = field_nm + 2 * pad_nm
    xy = sheet.xy + pad_nm
    inside = sheet.mask & ((xy >= 0) & (xy < side)).all(1)
    z = jnp.full((xy.shape[0], 1), VACUUM_NM / 2)
    return Specimen(
        jnp.concatenate([xy, z], 1), jnp.where(inside, numbers, 0), jnp.array([side, side, VACUUM_NM], jnp.float32)
    )
