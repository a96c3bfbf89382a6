"""Layers of a network that works on one pixel at a time: activations are (features, examples, pixels).

With the pixels last, the gradient of a layer's weights is a product of rows that lie in memory as they are read, which
keeps all cores busy; with the features last, XLA runs it on one. Two of the layers come with a derivative of their own,
the same in value, so that its transpose is the form that reads the activations least often.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@jax.custom_jvp
def first(maps: Float[Array, "h b 3"], points: Float[Array, "p 2"]) -> Float[Array, "h b p"]:
    """tanh(m0 x + m1 y + m2) at points (x, y), for the affine map (m0, m1, m2) of each feature and example."""
    m, (x, y) = maps[..., None], points.T[:, None, None]
    return jnp.tanh(m[:, :, 0] * x + m[:, :, 1] * y + m[:, :, 2])


@first.defjvp
def _first_slope(given, tangents):
    (maps, points), (d_maps, d_points) = given, tangents
    out = first(maps, points)
    # A product, where the value is a sum: so the gradient of the maps is one, and reads the slopes once.
    line = jnp.concatenate([points, jnp.ones((len(points), 1), points.dtype)], axis=1)
    slope = jnp.einsum("hbj,pj->hbp", d_maps, line) + jnp.einsum("hbj,pj->hbp", maps[..., :2], d_points)
    return out, slope * (1 - out * out)


def _product(kernel: Float[Array, "i h"], x: Float[Array, "i b p"]) -> Float[Array, "h b p"]:
    """kernel^T x as one product of two matrices: with three axes, XLA would turn the activations over before each."""
    return (kernel.T @ x.reshape(len(x), -1)).reshape(-1, *x.shape[1:])


def hidden(kernel: Float[Array, "i h"], offset: Float[Array, "h b"], x: Float[Array, "i b p"]) -> Float[Array, "h b p"]:
    """tanh(kernel^T x + offset), with an offset for each example."""
    return jnp.tanh(_product(kernel, x) + offset[..., None])


@jax.custom_jvp
def linear(kernel: Float[Array, "h c"], offset: Float[Array, "c b"], x: Float[Array, "h b p"]) -> Float[Array, "c b p"]:
    """kernel^T x + offset, for few outputs c."""
    return _product(kernel, x) + offset[..., None]


@linear.defjvp
def _linear_slope(given, tangents):
    (kernel, offset, x), (d_kernel, d_offset, d_x) = given, tangents
    # A sum, where the value is a product: so the gradient of x is fused with the derivative of the tanh before it.
    by_x = (kernel[:, :, None, None] * d_x[:, None]).sum(0)
    return linear(kernel, offset, x), _product(d_kernel, x) + d_offset[..., None] + by_x
