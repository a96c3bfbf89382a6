"""The U-Net lowers for CPU, CUDA and TPU alike."""

import jax
import jax.export
import jax.numpy as jnp

from rvaejax.segmentation.config import SegmenterConfig
from rvaejax.segmentation.network import network

PLATFORMS = ("cpu", "cuda", "tpu")


def test_the_network_and_its_gradient_lower_for_every_platform():
    init, apply = network(SegmenterConfig())
    params = jax.eval_shape(init, jax.random.key(0))
    images = jax.ShapeDtypeStruct((2, 128, 128, 1), jnp.float32)
    forward = jax.export.export(jax.jit(apply), platforms=PLATFORMS)(params, images)
    assert forward.platforms == PLATFORMS and forward.out_avals[0].shape == (2, 128, 128, 3)

    def loss(params, images):
        return (apply(params, images) ** 2).mean()

    backward = jax.export.export(jax.jit(jax.grad(loss)), platforms=PLATFORMS)(params, images)
    assert [leaf.shape for leaf in backward.out_avals] == [leaf.shape for leaf in jax.tree.leaves(params)]
