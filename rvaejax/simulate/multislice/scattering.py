"""Projected atomic potentials from Kirkland's parameters, built in Fourier space at exact positions.

An atom's projected potential is the inverse transform of its scattering factor for electrons,

    v(r) = h² / (2 pi m e) ∫ f_e(k) exp(2 pi i k·r) d²k,

so the potential of many atoms is a product of f_e and a structure factor, whose phases are separable in x and y: one
thin matrix product, exact at any sub-pixel position and differentiable in it.
Reference: Kirkland, Advanced Computing in Electron Microscopy, chapter 5 and appendix C.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from rvaejax.errors import ConfigError
from rvaejax.simulate.multislice.grid import Grid, frequencies

VOLT_NM2 = 0.4787765  # h² / (2 pi m e) = 2 pi a0 e² / (4 pi eps0 e), the potential of a scattering factor [V nm²]
ATOMS_AT_ONCE = 4096  # structure factors are summed in pieces of this many atoms


class Table(NamedTuple):
    """Kirkland's parameters, row Z for atomic number Z (row 0 is no atom): f_e in nm for k in 1/nm."""

    a: Float[np.ndarray, "elements 3"]
    b: Float[np.ndarray, "elements 3"]
    c: Float[np.ndarray, "elements 3"]
    d: Float[np.ndarray, "elements 3"]
    symbols: tuple[str, ...]


@functools.cache
def kirkland() -> Table:
    """The parameters of all elements, Z = 1 to 103, in nm."""
    text = (resources.files("rvaejax.simulate.multislice") / "kirkland.csv").read_text()
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    columns = {p: np.array([[float(row[f"{p}{i}"]) for i in (1, 2, 3)] for row in rows]) for p in "abcd"}
    padded = {p: np.concatenate([np.full((1, 3), float(p in "bd")), v]) for p, v in columns.items()}
    padded["a"][0] = padded["c"][0] = 0.0
    # from Angstrom: f in nm is a tenth, k in 1/nm is ten times k in 1/Angstrom, so a gains 10² / 10 and so on
    return Table(
        (10 * padded["a"]).astype(np.float32),
        (100 * padded["b"]).astype(np.float32),
        (padded["c"] / 10).astype(np.float32),
        (padded["d"] / 100).astype(np.float32),
        ("", *(row["symbol"] for row in rows)),
    )


def atomic_number(element: str | int) -> int:
    """Z of a chemical symbol or of Z itself.

    Raises:
        ConfigError: there are no scattering parameters for it.
    """
    symbols = kirkland().symbols
    if isinstance(element, str) and element in symbols[1:]:
        return symbols.index(element)
    if not isinstance(element, str) and 1 <= int(element) < len(symbols):
        return int(element)
    raise ConfigError(f"no scattering parameters for element {element!r}: give a symbol, H to Lr, or Z from 1 to 103")


def scattering_factor(
    number: Int[Array, ""] | int, k2: Float[Array, "..."], rms_nm: Float[Array, ""] | float = 0.0
) -> Float[Array, "..."]:
    """f_e(k) [nm] of the element `number` at squared spatial frequencies `k2` [1/nm²].

    Args:
        number: atomic number; 0 scatters nothing.
        k2: squared spatial frequencies.
        rms_nm: root-mean-square displacement per axis; its Debye-Waller factor exp(-2 pi² rms² k²) is applied.
    """
    a, b, c, d = (jnp.asarray(p)[number] for p in kirkland()[:4])
    f = sum(a[i] / (k2 + b[i]) + c[i] * jnp.exp(-d[i] * k2) for i in range(3))
    return f * jnp.exp(-2 * jnp.pi**2 * jnp.asarray(rms_nm) ** 2 * k2)


def projected_potential(element: str | int, r: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """v(r) [V nm] of one atom in closed form (Kirkland's equation C.20), for r > 0 [nm]; on the host, in float64."""
    from scipy.special import k0

    a, b, c, d = (np.asarray(p, np.float64)[atomic_number(element)] for p in kirkland()[:4])
    radius = np.asarray(r, np.float64)[..., None]
    bessel = 2 * np.pi * a * k0(2 * np.pi * radius * np.sqrt(b))
    return VOLT_NM2 * (bessel + np.pi * c / d * np.exp(-((np.pi * radius) ** 2) / d)).sum(-1)


def structure_factor(xy: Float[Array, "n 2"], weight: Float[Array, " n"], grid: Grid) -> Complex[Array, "ny half"]:
    """Sum of weight · exp(-2 pi i k·r) over the atoms, on the half plane kx >= 0 that a real field needs."""
    ky, kx = frequencies(grid, half=True)

    def phases(position: Float[Array, " n"], k: Float[Array, " m"]) -> Complex[Array, "n m"]:
        # whole turns are taken off first: float32 phases of a hundred turns would lose digits
        turns = position[:, None] * k[None, :]
        return jnp.exp(-2j * jnp.pi * (turns - jnp.round(turns)))

    def piece(args: tuple[Float[Array, "m 2"], Float[Array, " m"]]) -> Complex[Array, "ny half"]:
        p, w = args
        return (phases(p[:, 1], ky) * w[:, None]).T @ phases(p[:, 0], kx)

    n = xy.shape[0]
    if n == 1:
        # XLA for CPU (jaxlib 0.10) fuses the outer product of a single atom wrongly: some atoms vanish. Two make a
        # matrix product, which is not fused.
        xy, weight, n = jnp.concatenate([xy, xy]), jnp.concatenate([weight, jnp.zeros(1)]), 2
    if n <= ATOMS_AT_ONCE:
        return piece((xy, weight))
    pieces = -(-n // ATOMS_AT_ONCE)
    pad = pieces * ATOMS_AT_ONCE - n
    xy = jnp.pad(xy, ((0, pad), (0, 0))).reshape(pieces, ATOMS_AT_ONCE, 2)
    weight = jnp.pad(weight, (0, pad)).reshape(pieces, ATOMS_AT_ONCE)
    total = jnp.zeros((grid.shape[0], grid.shape[1] // 2 + 1), jnp.complex64)
    return jax.lax.scan(lambda s, args: (s + piece(args), None), total, (xy, weight))[0]


class Group(NamedTuple):
    """The atoms of one element in one slice.

    Attributes:
        number: atomic number.
        rms_nm: thermal displacement of the element, per axis [nm].
        rows: their rows in the specimen; where the specimen has another number in such a row, it does not count.
    """

    number: Int[Array, ""]
    rms_nm: Float[Array, ""]
    rows: Int[Array, " m"]


def slice_potential(
    xy: Float[Array, "n 2"], numbers: Int[Array, " n"], groups: Sequence[Group], grid: Grid, *, blur: bool
) -> Float[Array, "ny nx"]:
    """Projected potential of one slice [V nm], periodic in the cell, on the pixels of `grid`.

    Args:
        xy: positions [nm].
        numbers: atomic numbers, 0 for no atom.
        groups: which atoms count, by element.
        grid: cell and pixels.
        blur: whether the Debye-Waller factor of each element's rms displacement is applied.
    """
    ky, kx = frequencies(grid, half=True)
    k2 = ky[:, None] ** 2 + kx[None, :] ** 2
    total = jnp.zeros(k2.shape, jnp.complex64)
    for group in groups:
        weight = (numbers[group.rows] == group.number).astype(jnp.float32)
        factor = scattering_factor(group.number, k2, group.rms_nm if blur else 0.0)
        total = total + factor * structure_factor(xy[group.rows], weight, grid)
    ny, nx = grid.shape
    area = grid.cell[0] * grid.cell[1]
    return jnp.fft.irfft2(total, s=(ny, nx)) * (VOLT_NM2 * ny * nx / area)
