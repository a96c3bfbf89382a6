r"""What an atom's neighbours tell of its position: the sheet is locally smooth, and how smooth, the frame itself says.

An atom with three C neighbours lies near the mean of theirs: exactly so in a perfect sheet, however it is turned or
evenly strained, and within picometres in a bent one. With :math:`\delta_i = r_i - \tfrac13 \sum_{j \sim i} r_j`,

.. math:: p(r) \propto \prod_i t_\nu(\delta_i / \tau)

is a prior of the positions whose scale :math:`\tau` is estimated from the frame, and whose heavy tails let those atoms
be where they are that do not follow: at defects. It is solved around each atom in a window of its nearest atoms, as a
scale mixture of normals by expectation-maximisation (Lange, Little, Taylor, J. Am. Stat. Assoc. 84, 881 (1989)). Atoms
with other than three C neighbours keep the position that was measured.

Nobody knows which atoms are at rest: given the data, the stiffness of an atom's bond to the mean of its neighbours is
gamma distributed with shape :math:`(\nu + 2) / 2`. The mean of the variances that follow is larger than the variance
at the mean stiffness, by which atoms of bent sheets would be called too sure.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from rvaejax.atoms.patches import CHUNK, neighbours, padded, padded_rows
from rvaejax.atoms.small_systems import solved_in_step
from rvaejax.structure.bonds import bonds, neighbour_table

WINDOW = 12  # neighbours in a window: the first three shells
BONDS = 6  # atoms of a window that are bound to the mean of their neighbours: 4 in a honeycomb, seldom more at defects
FREEDOM = 3.0  # of the t distribution
START_NM = 0.003  # first guess of the scale
LEAST_NM = 0.0003  # smallest scale: below what any fit resolves
EAGER = 3.0  # the power of the step that the scale takes; steps of 1 would need three times as many rounds
SLACK = 0.835  # share s of the mean stiffness with 1 / (1 + s) = <1 / (1 + stiffness / mean)>, by quadrature
ROUNDS = 6
FEWEST = 20  # constrained atoms from which a scale can be told


class Windows(NamedTuple):
    """Around each atom of a chunk (`patches.CHUNK`) its nearest atoms, itself first.

    Attributes:
        near: (n, m) their rows.
        real: (n, m) 1 where there is one.
        rows: (n, bonds, m) the operator that takes positions to `delta` of the first atom, then of others whose
            three neighbours lie in the window; zero where there is no such atom.
        whose: (n, bonds) rows of these atoms.
    """

    near: Int[Array, "n m"]
    real: Float[Array, "n m"]
    rows: Float[Array, "n bonds m"]
    whose: Int[Array, "n bonds"]


def sheet_sites(
    xy: Float[np.ndarray, "n 2"], species: Int[np.ndarray, " n"], pixel_size_nm: float
) -> tuple[Bool[np.ndarray, " n"], Int[np.ndarray, "n 3"]]:
    """Which atoms are C with three C neighbours, and these neighbours (-1 elsewhere)."""
    pairs = bonds(xy * pixel_size_nm, np.full(len(xy), "C"))
    table = neighbour_table(len(xy), pairs, 4)
    three = (table[:, 2] >= 0) & (table[:, 3] < 0)
    held = three & (species == 0) & (species[table[:, :3]] == 0).all(1)
    return held, np.where(held[:, None], table[:, :3], -1)


def windows(xy: Float[np.ndarray, "n 2"], species: Int[np.ndarray, " n"], pixel_size_nm: float) -> list[Windows]:
    """Windows of all atoms in chunks, the last filled up with empty ones: one shape to compile, whatever the frame."""
    _, partners = sheet_sites(xy, species, pixel_size_nm)
    near, real = neighbours(xy, WINDOW, np.inf)
    size = padded_rows(len(xy))
    around = [padded(v, size) for v in (near, real.astype(np.float32), partners[near].astype(np.int32))]
    return [_operator(*(v[first : first + CHUNK] for v in around)) for first in range(0, size, CHUNK)]


@jax.jit
def _operator(near: Int[Array, "n m"], real: Float[Array, "n m"], partners: Int[Array, "n m 3"]) -> Windows:
    """The windows, from the bonded neighbours of each of their atoms (-1 where an atom has no such relation)."""
    bonded = (partners[..., None] == near[:, None, None, :]).any(2) * real[:, None, :] * real[:, :, None]
    whole = bonded.sum(2) == 3  # all three neighbours lie in the window
    first = jnp.argsort(~whole.at[:, 0].set(True), axis=1, stable=True)[:, :BONDS]
    rows = (jnp.eye(near.shape[1])[None] - bonded / 3) * whole[:, :, None]
    return Windows(near, real, jnp.take_along_axis(rows, first[:, :, None], 1), jnp.take_along_axis(near, first, 1))


@jax.jit
def _solve(
    xy: Float[Array, "n 2"], precision: Float[Array, " n"], stiffness: Float[Array, " n"], window: Windows
) -> tuple[Float[Array, "c 2"], Float[Array, " c"], Float[Array, " c"]]:
    """Of the first atom of each window: its posterior move and variance, and the expectation of its delta squared.

    Fewer atoms are bound than there are in a window, so the systems are solved in the space of the bonds (Woodbury).
    """
    near, real, rows, whose = window
    relative = real[..., None] * (xy[near] - xy[near[:, :1]])
    variance = jnp.where(real > 0, 1 / jnp.maximum(precision[near], 1e-20), 1.0)
    root = jnp.sqrt(stiffness[whose])
    stretch = jnp.einsum("nbm,nmk->nbk", rows, relative)
    loose = rows * variance[:, None]
    shared = jnp.einsum("nam,nbm->nab", loose, rows)
    normal = jnp.eye(rows.shape[1])[None] + root[:, :, None] * shared * root[:, None]
    toll = root[:, :, None] * jnp.concatenate([stretch, loose[:, :, :1], shared[:, :, :1]], 2)
    solved = solved_in_step(jnp.concatenate([normal, toll], 2))
    own = jnp.einsum("nb,nbk->nk", toll[:, :, 2], solved)
    delta = jnp.einsum("nb,nbk->nk", toll[:, :, 3], solved)
    square = ((stretch[:, 0] - delta[:, :2]) ** 2).sum(1) + 2 * (shared[:, 0, 0] - delta[:, 3])
    return -own[:, :2], variance[:, 0] - own[:, 2], square


def settle(
    xy: Float[np.ndarray, "n 2"], sd: Float[np.ndarray, " n"], stiffness: Float[np.ndarray, " n"], at: list[Windows]
) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Positions for given stiffnesses (inverse squares of each atom's scale of delta): a linear problem.

    Args:
        xy: measured positions [px].
        sd: their standard deviations [px].
        stiffness: 1 / scale² of each atom's delta [px^-2], 0 for atoms that are not bound.
        at: windows of all atoms.

    Returns:
        Positions, their variances, and the expectation of each atom's delta squared [px²].
    """
    n, size = len(xy), CHUNK * len(at)
    places, precision, stiff = (
        jnp.asarray(padded(v.astype(np.float32), size))
        for v in (xy - xy.mean(0), 1 / np.maximum(sd, 1e-6) ** 2, stiffness)
    )
    solved = [_solve(places, precision, stiff, chunk) for chunk in at]
    move, variance, squared = (np.concatenate([np.asarray(v) for v in part])[:n] for part in zip(*solved, strict=True))
    return xy + move, variance, squared


def bound(at: list[Windows], n: int) -> Bool[np.ndarray, " n"]:
    """Which atoms the sheet binds: C with three C neighbours."""
    # on the host: n differs from frame to frame, and with it every compiled step would
    return np.concatenate([(np.asarray(chunk.rows)[:, 0] != 0).any(axis=1) for chunk in at])[:n]


class Smoothed(NamedTuple):
    """Positions that neighbours were heard on.

    Attributes:
        xy: (n, 2) [px].
        scale: of the prior, as estimated [px].
        stiffness: (n,) of each atom's bond to the mean of its neighbours [px^-2], 0 for atoms that are not bound.
    """

    xy: Float[np.ndarray, "n 2"]
    scale: float
    stiffness: Float[np.ndarray, " n"]


def smoothed(
    xy: Float[np.ndarray, "n 2"],
    sd: Float[np.ndarray, " n"],
    at: list[Windows],
    pixel_size_nm: float,
    *,
    scale: float | None = None,
    rounds: int = ROUNDS,
) -> Smoothed:
    """Positions given what the neighbours' positions tell; `spread` says how sure they are.

    Args:
        xy: measured positions (x, y) [px].
        sd: their standard deviations per axis [px].
        at: windows of all atoms.
        pixel_size_nm: the pixel [nm].
        scale: first guess of the prior's scale [px].
        rounds: of expectation-maximisation; few are enough from a good guess.
    """
    held = bound(at, len(xy))
    first = START_NM / pixel_size_nm if scale is None else scale
    if held.sum() < FEWEST:
        return Smoothed(xy, first, np.zeros(len(xy)))
    squared_scale = first**2
    stiffness = np.where(held, 1 / squared_scale, 0.0)
    for _ in range(rounds):
        settled, _, squared = settle(xy, sd, stiffness, at)
        weight = (FREEDOM + 2) / (FREEDOM + squared / squared_scale)
        estimate = float((weight * squared)[held].sum() / (2 * held.sum()))
        squared_scale *= (estimate / squared_scale) ** EAGER
        squared_scale = max(squared_scale, (LEAST_NM / pixel_size_nm) ** 2)
        stiffness = np.where(held, (FREEDOM + 2) / (FREEDOM * squared_scale + squared), 0.0)
    return Smoothed(settled, float(np.sqrt(squared_scale)), stiffness)


def spread(
    xy: Float[np.ndarray, "n 2"], sd: Float[np.ndarray, " n"], stiffness: Float[np.ndarray, " n"], at: list[Windows]
) -> Float[np.ndarray, " n"]:
    """Standard deviations per axis [px] of positions that neighbours were heard on.

    Args:
        xy: measured positions (x, y) [px].
        sd: their standard deviations per axis [px].
        stiffness: see `Smoothed`.
        at: windows of all atoms.
    """
    if not stiffness.any():
        return sd
    return np.sqrt(settle(xy, sd, SLACK * stiffness, at)[1])
