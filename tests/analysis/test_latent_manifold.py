"""The manifold is the decoder on a grid of latents, at angle 0."""

import jax
import numpy as np

from rvaejax.analysis.manifold import TAIL, latent_manifold
from rvaejax.nets.config import MLPEncoder, SpatialDecoder
from rvaejax.rvae import elbo
from rvaejax.rvae.config import RVAEConfig
from rvaejax.rvae.inference import decode
from rvaejax.rvae.record import TrainedRVAE
from rvaejax.types import Latents


def test_each_image_is_decoded_from_its_place_in_the_range_of_the_data():
    config = RVAEConfig(encoder=MLPEncoder(hidden=4), decoder=SpatialDecoder(hidden=8), content_dim=3)
    shape = (8, 8, 1)
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(lambda key: elbo.build(config, shape).init(key=key), jax.random.key(0))
    params = jax.tree.map(lambda leaf: rng.normal(0, 0.5, leaf.shape).astype(np.float32), shapes)
    facts = {"pixel_size_nm": None, "channels": ("intensity",), "history": (), "steps": 0, "cut": 0, "seed": 0}
    model = TrainedRVAE(config, params, shape, (0.0, 1.0), (0, 1, 2), (1, 1, 1), (1.0, 0.5, 0.1), **facts)
    content = np.random.default_rng(0).standard_normal((500, 3)).astype(np.float32) * [1, 2, 3] + [0, 1, 5]
    n = len(content)
    latents = Latents(np.zeros(n), np.zeros(n), np.zeros((n, 2)), content, np.ones((n, 3)))
    manifold = latent_manifold(model, latents, points=4)
    assert manifold.images.shape == (4, 4, 8, 8, 1)
    low, high = np.percentile(content, [TAIL, 100 - TAIL], axis=0)
    assert np.allclose(manifold.extent, [low[0], high[0], low[1], high[1]])
    for row, column in ((0, 0), (3, 1), (1, 2)):
        x = low[0] + column / 3 * (high[0] - low[0])
        y = low[1] + row / 3 * (high[1] - low[1])
        z = np.array([[x, y, np.median(content[:, 2])]], np.float32)
        image = decode(model, np.zeros(1, np.float32), np.zeros((1, 2), np.float32), z)
        assert np.allclose(manifold.images[row, column], image[0], atol=1e-5)
