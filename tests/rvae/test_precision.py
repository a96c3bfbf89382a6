import re

import jax
import jax.numpy as jnp
import pytest

from rvaejax.rvae import elbo, preset


@pytest.mark.parametrize(("name", "exact"), [("default", True), ("amortised", True), ("paper", False)])
def test_orientations_are_compared_in_float32_on_every_device(name, exact):
    """Every matrix product of the loss and of its gradient says so; the paper's model leaves it to the device."""
    rvae = elbo.build(preset(name), (16, 16, 1))
    images = jax.random.uniform(jax.random.key(0), (8, 16, 16, 1))
    params = rvae.init(key=jax.random.key(1), images=images)
    slope = jax.grad(lambda p: rvae.loss(p, images, jnp.int32(0), key=jax.random.key(2))[0])
    products = str(jax.make_jaxpr(slope)(params)).split("dot_general[")[1:]
    assert len(products) > 10
    options = [re.split(r"\n\s*\] ", said)[0] for said in products]
    assert {"HIGHEST" in said for said in options} == {exact}
