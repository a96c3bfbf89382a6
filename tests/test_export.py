"""The compiled functions lower for CPU, CUDA and TPU alike."""

import jax
import jax.export
import jax.numpy as jnp
import pytest

from rvaejax.rvae import elbo, preset
from rvaejax.training.state import init_state, make_piece, random_rows

PLATFORMS = ("cpu", "cuda", "tpu")
SHAPE = (24, 24, 2)


@pytest.mark.parametrize("name", ["default", "paper"])
def test_rvae_training_and_encoder_lower_for_every_platform(name):
    config = preset(name)
    model = elbo.build(config, SHAPE)
    params = jax.eval_shape(lambda key: model.init(key=key), jax.random.key(0))
    images = jax.ShapeDtypeStruct((64, *SHAPE), jnp.float32)

    def loss_fn(params, batch, key):
        return model.loss(params, batch, 0, key=key)

    piece = make_piece(loss_fn, random_rows(config.training.batch_size), config.training)
    state = jax.eval_shape(lambda p: init_state(p, config.training), params)
    key = jax.eval_shape(lambda: jax.random.key(0))
    step = jax.export.export(piece, platforms=PLATFORMS)(state, images, key, jax.ShapeDtypeStruct((), jnp.int32))
    encode = jax.export.export(jax.jit(model.encode), platforms=PLATFORMS)(params, images)
    assert step.platforms == encode.platforms == PLATFORMS
    assert encode.out_avals[0].shape[0] == 64
