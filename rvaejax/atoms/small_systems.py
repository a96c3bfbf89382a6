"""Many small linear systems at the same time, one for each atom of a frame."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def inverse_of_three(matrices: Float[Array, "n 3 3"]) -> Float[Array, "n 3 3"]:
    """Inverses of symmetric 3 x 3 matrices by their cofactors, after their diagonals are scaled to 1."""
    scale = 1 / jnp.sqrt(jnp.maximum(jnp.abs(jnp.diagonal(matrices, axis1=1, axis2=2)), 1e-30))
    rows = jnp.moveaxis(matrices * scale[:, :, None] * scale[:, None, :], 1, 0)
    cofactors = jnp.stack([jnp.cross(rows[(i + 1) % 3], rows[(i + 2) % 3]) for i in range(3)], 2)
    determinant = (rows[0] * cofactors[:, :, 0]).sum(1)
    return cofactors / determinant[:, None, None] * scale[:, :, None] * scale[:, None, :]


def solved_in_step(systems: Float[Array, "n m k"]) -> Float[Array, "n m right"]:
    """Solutions of positive definite systems with their right-hand sides appended, all eliminated at the same time.

    Gauss and Jordan's way, the systems last in memory: LAPACK, one small system after the other, takes longer.
    """
    m = systems.shape[1]

    def eliminated(i: Array, rows: Float[Array, "m k n"]) -> Float[Array, "m k n"]:
        pivot = rows[i] / rows[i, i][None]
        return (rows - rows[:, i][:, None] * pivot[None]).at[i].set(pivot)

    return jnp.moveaxis(jax.lax.fori_loop(0, m, eliminated, jnp.moveaxis(systems, 0, 2))[:, m:], 2, 0)
