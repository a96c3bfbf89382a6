"""The image of one atom, the same for all atoms of a frame, as the frame itself shows it.

A sum of Gauss-Hermite functions of two widths, of even parity, so that the centre is the centre of symmetry: it
follows elliptical spots (astigmatism, drag), rings (defocus) and tails, and every term is separable, so that the image
of many neighbours is a small matrix product.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

SPREADS = (1.0, 2.2)  # widths of the two sets of functions, in units of the core's
ORDERS = (4, 0)  # highest order of each set


def _layout() -> tuple[list[int], list[int], list[tuple[int, int]]]:
    """Per one-dimensional function its set and order; per term of even parity its pair of functions (y, x)."""
    sets = [s for s, order in enumerate(ORDERS) for _ in range(order + 1)]
    orders = [n for order in ORDERS for n in range(order + 1)]
    terms = [
        (i, j)
        for i, (s, n) in enumerate(zip(sets, orders, strict=True))
        for j, (t, m) in enumerate(zip(sets, orders, strict=True))
        if s == t and n + m <= ORDERS[s] and (n + m) % 2 == 0
    ]
    return sets, orders, terms


_SETS, _ORDER, TERMS = _layout()
FUNCTIONS = len(_SETS)
_ROWS, _COLUMNS = np.array(TERMS).T


def _isotropic() -> np.ndarray:
    """Orthonormal basis of the weights that make round spots: powers of the radius in each set."""
    rows = []
    for s, order in enumerate(ORDERS):
        for half in range(order // 2 + 1):
            row = [
                math.comb(half, _ORDER[i] // 2) if _SETS[i] == s and _ORDER[i] + _ORDER[j] == 2 * half else 0.0
                for i, j in TERMS
            ]
            even = [_ORDER[i] % 2 == 0 for i, _ in TERMS]
            rows.append(np.where(even, row, 0.0))
    return np.linalg.qr(np.array(rows).T)[0]


class Profile(NamedTuple):
    """Value 1 at the centre.

    Attributes:
        core: standard deviation of the core [px].
        weights: coefficient of each of `TERMS`, one row per species.
    """

    core: Float[Array, ""]
    weights: Float[Array, "species terms"]


ISOTROPIC = _isotropic()


def _hermite(x: Float[Array, "..."]) -> list[Float[Array, "..."]]:
    """Probabilists' Hermite polynomials of order 0 to 5."""
    x2 = x * x
    return [jnp.ones_like(x), x, x2 - 1, x * (x2 - 3), x2 * (x2 - 6) + 3, x * (x2 * (x2 - 10) + 15)]


def functions(
    d: Float[Array, "*n"], core: Float[Array, ""] | float
) -> tuple[Float[Array, "functions *n"], Float[Array, "functions *n"]]:
    """The one-dimensional functions at distance `d` [px] from the centre, and their derivatives by the centre.

    They come first, so that loops over pixels run over what lies side by side in memory.
    """
    values, slopes = [], []
    for spread, order in zip(SPREADS, ORDERS, strict=True):
        width = spread * core
        polynomials = _hermite(d / width)
        envelope = jnp.exp(-0.5 * (d / width) ** 2)
        values += [polynomials[n] * envelope for n in range(order + 1)]
        # H_n g has the derivative -H_(n+1) g
        slopes += [polynomials[n + 1] * envelope / width for n in range(order + 1)]
    return jnp.stack(values), jnp.stack(slopes)


def mixed(values: Float[Array, "functions *n k"], weights: Float[Array, "*n terms"]) -> Float[Array, "functions *n k"]:
    """M f of each atom, the sum over the terms written out: f(y) M f(x) is the atom's profile."""
    rows = [jnp.zeros_like(values[0]) for _ in range(FUNCTIONS)]
    for term, (i, j) in enumerate(TERMS):
        rows[i] += weights[..., term, None] * values[j]
    return jnp.stack(rows)


def matrix(weights: Float[Array, " terms"]) -> Float[Array, "functions functions"]:
    """The weights as a matrix M: the profile is f(y) M f(x)."""
    return jnp.zeros((FUNCTIONS, FUNCTIONS)).at[_ROWS, _COLUMNS].set(weights)


def peak(weights: Float[Array, " terms"]) -> Float[Array, ""]:
    """The value at the centre that these weights give."""
    centre, _ = functions(jnp.zeros(()), 1.0)
    return centre @ matrix(weights) @ centre
