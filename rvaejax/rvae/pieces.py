"""A sum over the examples of a batch whose gradient is gathered piece by piece."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

Each = Callable[[PyTree, PyTree, PyTree], Float[Array, " b"]]


def piece_size(batch: int, rows: int, most_rows: int | None) -> int:
    """Examples per piece: the largest divisor of the batch with at most `most_rows` rows at `rows` an example.

    The batch is a device's part of it, where it is divided among several.
    """
    if most_rows is None:
        return batch
    return next(size for size in range(min(batch, max(1, most_rows // rows)), 0, -1) if batch % size == 0)


def sum_of(
    each: Each, size: int, params: PyTree, examples: PyTree, shared: PyTree, parts: int = 1
) -> tuple[Float[Array, ""], Float[Array, " b"]]:
    """Sum and, without a gradient, the terms of `each(params, examples, shared) -> (b,)`, `size` examples at a time.

    The sum is what its gradient is taken of, so a piece's gradient can be computed as soon as its activations are
    there, while the cache holds them, and none are kept for later: nothing is computed twice. The result is that of
    plain differentiation but for the order of the sum.

    Args:
        each: the terms of some examples; the same function each time.
        size: examples per piece; it divides each part of the batch.
        params: differentiable.
        examples: arrays with the examples along their first axis, differentiable.
        shared: what is the same for all, and has no gradient.
        parts: of the batch, each with pieces of its own; where devices share the batch, one for each device.
    """
    if size * parts == len(jax.tree.leaves(examples)[0]):
        terms = each(params, examples, jax.lax.stop_gradient(shared))
        return terms.sum(), jax.lax.stop_gradient(terms)
    total, terms = _swept(each, size, parts, params, examples, shared)
    return total, jax.lax.stop_gradient(terms)


def _cut(examples: PyTree, size: int, parts: int) -> PyTree:
    return jax.tree.map(lambda v: v.reshape(parts, -1, size, *v.shape[1:]), examples)


def _joined(pieces: PyTree) -> PyTree:
    return jax.tree.map(lambda v: v.reshape(-1, *v.shape[3:]), pieces)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _swept(each: Each, size: int, parts: int, params: PyTree, examples: PyTree, shared: PyTree):
    def sweep(part):
        return jax.lax.map(lambda piece: each(params, piece, shared), part)

    terms = _joined(jax.vmap(sweep)(_cut(examples, size, parts)))
    return terms.sum(), terms


def _forward(each: Each, size: int, parts: int, params: PyTree, examples: PyTree, shared: PyTree):
    def total(params, piece):
        terms = each(params, piece, shared)
        return terms.sum(), terms

    def body(so_far, piece):
        (value, terms), (slope, slopes) = jax.value_and_grad(total, (0, 1), has_aux=True)(params, piece)
        return jax.tree.map(jnp.add, so_far, (value, slope)), (terms, slopes)

    def sweep(part):
        return jax.lax.scan(body, (jnp.zeros(()), jax.tree.map(jnp.zeros_like, params)), part)

    sums, pieces = jax.vmap(sweep)(_cut(examples, size, parts))
    value, slope = jax.tree.map(lambda v: v.sum(0), sums)
    terms, slopes = _joined(pieces)
    return (value, terms), (slope, slopes)


def _backward(each: Each, size: int, parts: int, kept: tuple[PyTree, PyTree], cotangents: tuple[Array, Array]):
    of_sum, _ = cotangents  # the terms have none
    return *jax.tree.map(lambda slope: of_sum * slope, kept), None


_swept.defvjp(_forward, _backward)
