"""The held-out bound is the mean over the rows, however many there are."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from rvaejax.nets.config import MLPEncoder, SpatialDecoder
from rvaejax.rvae import elbo, preset
from rvaejax.rvae.heldout import held_out_terms

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.mark.parametrize("n", [1, 32, 33, 70])
def test_each_held_out_row_counts_once(n):
    """Batches are filled up to one size with rows that are there already: 33 are two batches of 17."""
    config = replace(preset("paper"), encoder=MLPEncoder(8, 1), decoder=SpatialDecoder(8, 1))
    model, key = elbo.build(config, (6, 6, 1)), jax.random.key(1)
    params = model.init(key=jax.random.key(0))
    images = np.random.default_rng(0).normal(size=(n, 6, 6, 1)).astype(np.float32)
    images[0] *= 30  # so that it would be seen if it counted twice
    found = held_out_terms(config, model, {"images": images}, (0.0, 1.0), key)(params)
    one = jax.jit(lambda image, key: elbo.elbo(model.terms(params, image[None], key=key, pixels=None))[0])
    each = [float(one(image, jax.random.fold_in(key, i))) for i, image in enumerate(images)]
    assert found["elbo"] == pytest.approx(np.mean(each), rel=1e-5)
