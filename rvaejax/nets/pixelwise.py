"""Layers of a network that works on one pixel at a time: activations are (features, examples, pixels).

With the pixels last, the gradient of a layer's weights is a product of rows that lie in memory as they are read, which
keeps all cores busy; with the features last, XLA runs it on one. Two of the layers come with a derivative of their own,
the same in value, so that its transpose is the form that reads the activations least often.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def first(maps: Float[Array, "h b 3"], points: Float[Array, "p 2"], dtype: DTypeLike = jnp.float32) -> Array:
    """(h, b, p): tanh(m0 x + m1 y + m2) at points (x, y), for the affine map (m0, m1, m2) of each feature and example.

    Coordinates are float32 up to the tanh, whatever the result is: in bfloat16 neighbouring pixels would fall together.
    """
    m, (x, y) = maps[..., None], points.T[:, None, None]
    return jnp.tanh(m[:, :, 0] * x + m[:, :, 1] * y + m[:, :, 2]).astype(dtype)


@first.defjvp
def _first_slope(dtype, given, tangents):
    (maps, points), (d_maps, d_points) = given, tangents
    out = first(maps, points, dtype)
    # A product, where the value is a sum: so the gradient of the maps is one, and reads the slopes once.
    line = jnp.concatenate([points, jnp.ones((len(points), 1), points.dtype)], axis=1)
    along = ((d_maps, line), (maps[..., :2], d_points))
    slope = sum(jnp.einsum("hbj,pj->hbp", m.astype(dtype), v.astype(dtype)) for m, v in along)
    return out, slope * (1 - out * out)


def _product(kernel: Float[Array, "i h"], x: Float[Array, "i b p"], dtype: DTypeLike) -> Float[Array, "h b p"]:
    """kernel^T x as one product of two matrices: with three axes, XLA would turn the activations over before each.

    Factors are of the type of x, the product of `dtype`.
    """
    flat = x.reshape(len(x), -1)
    return jnp.matmul(kernel.T.astype(x.dtype), flat, preferred_element_type=dtype).reshape(-1, *x.shape[1:])


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _squashed(a: Float[Array, "h b p"], dtype: DTypeLike) -> Float[Array, "h b p"]:
    """tanh(a) in `dtype`, of which alone the derivative is made: no float32 copy stays in memory for it."""
    return jnp.tanh(a).astype(dtype)


@_squashed.defjvp
def _squashed_slope(dtype, given, tangents):
    out = _squashed(*given, dtype)
    return out, tangents[0].astype(dtype) * (1 - out * out)


def hidden(kernel: Float[Array, "i h"], offset: Float[Array, "h b"], x: Float[Array, "i b p"]) -> Float[Array, "h b p"]:
    """tanh(kernel^T x + offset), with an offset for each example; in the type of x.

    Offsets are added in their own type, so that their gradients, sums over all pixels, are summed in it.
    """
    return _squashed(_product(kernel, x, x.dtype).astype(offset.dtype) + offset[..., None], x.dtype)


@jax.custom_jvp
def linear(kernel: Float[Array, "h c"], offset: Float[Array, "c b"], x: Float[Array, "h b p"]) -> Float[Array, "c b p"]:
    """kernel^T x + offset, for few outputs c; in the type of the offset."""
    return _product(kernel, x, offset.dtype) + offset[..., None]


@linear.defjvp
def _linear_slope(given, tangents):
    (kernel, offset, x), (d_kernel, d_offset, d_x) = given, tangents
    # A sum, where the value is a product: so the gradient of x is fused with the derivative of the tanh before it.
    by_x = (kernel.astype(x.dtype)[:, :, None, None] * d_x[:, None]).sum(0)
    by_kernel = _product(d_kernel, x, offset.dtype)
    return linear(kernel, offset, x), by_kernel + by_x.astype(offset.dtype) + d_offset[..., None]
