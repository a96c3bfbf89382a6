"""Convolutions as matrix products are the convolutions that JAX has, with the same gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from rvaejax.nets.convolutions import strided, transposed

NUMBERS = ("NHWC", "HWIO", "NHWC")


def both(kind, stride):
    if kind == "strided":
        return lambda x, k: strided(x, k, stride), lambda x, k: lax.conv_general_dilated(
            x, k, (stride, stride), "SAME", dimension_numbers=NUMBERS
        )
    return lambda x, k: transposed(x, k, stride), lambda x, k: lax.conv_transpose(
        x, k, (stride, stride), "SAME", dimension_numbers=NUMBERS
    )


@pytest.mark.parametrize("kind", ["strided", "transposed"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(6, 9), (7, 4)])
def test_same_numbers_and_gradients_as_jax(kind, stride, size):
    a, b, c = jax.random.split(jax.random.key(0), 3)
    x, kernel = jax.random.normal(a, (2, *size, 3)), jax.random.normal(b, (3, 3, 3, 4))
    ours, theirs = both(kind, stride)
    expected = theirs(x, kernel)
    assert np.allclose(ours(x, kernel), expected, atol=1e-4)
    weight = jax.random.normal(c, expected.shape)
    found, known = (
        jax.grad(lambda x, k, f=f: jnp.sum(weight * f(x, k)), argnums=(0, 1))(x, kernel) for f in (ours, theirs)
    )
    for mine, other in zip(found, known, strict=True):
        assert np.allclose(mine, other, atol=1e-3)
