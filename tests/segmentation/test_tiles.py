"""Tiles: every pixel once, from the tile in which it lies deep, and no trace of the seams."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.nets import unet
from rvaejax.segmentation import predict
from rvaejax.segmentation.config import SegmenterConfig
from rvaejax.segmentation.network import network
from rvaejax.segmentation.predict import OVERLAP_PX, TILE_PX, predict_frame, tile_starts
from rvaejax.segmentation.record import Segmenter
from rvaejax.segmentation.scaling import canonical_shape
from rvaejax.segmentation.weights import load_segmenter

SMALL = SegmenterConfig(widths=(6, 8))


@pytest.mark.parametrize("multiple", [2, 16])
def test_every_pixel_is_decided_exactly_once_whatever_the_size(multiple):
    for length in [*range(16, 700, 7), *range(TILE_PX - 3, TILE_PX + 4), 1023, 1024, 1500, 4097]:
        side, starts = tile_starts(length, multiple)
        assert side % multiple == 0 and side <= TILE_PX + multiple
        assert all(start % multiple == 0 for start in starts)
        decided = np.zeros(length, int)
        for start in starts:
            keep = predict._keep(start, side, length)
            decided[keep] += 1
            pixels = np.arange(length)[keep]
            assert pixels.min() >= start and pixels.max() < start + side
            # a pixel is far from its tile's edges, but where the image itself ends
            assert start == 0 or pixels.min() - start >= OVERLAP_PX // 2
            assert start + side >= length or start + side - pixels.max() > OVERLAP_PX // 2
        assert (decided == 1).all(), length


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(predict, "TILE_PX", 128)


@pytest.fixture(scope="module")
def weights():
    """Random ones, of the shapes that the network asks for."""
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(network(SMALL)[0], jax.random.key(0))
    return jax.tree.map(lambda leaf: rng.normal(0, 0.3, leaf.shape).astype(np.float32), shapes)


@pytest.fixture(scope="module")
def noise():
    return jax.random.normal(jax.random.key(0), (181, 243))


def test_tiles_do_not_show_where_the_network_sees_less_than_the_overlap(noise, weights, small_tiles):
    _, apply = network(SMALL)
    tiled = predict_frame(Segmenter(SMALL, (weights,)), noise)
    padded = jnp.pad(noise, ((0, -181 % 4), (0, -243 % 4)))
    whole = jax.nn.softmax(jax.jit(apply)(weights, padded[None, :, :, None])[0], -1)[:181, :243, 1:]
    assert tiled.shape == (181, 243, 2) and tiled.dtype == np.float16
    assert np.abs(tiled - np.asarray(whole)).max() < 1e-3
    assert np.asarray(whole).std() > 0.01


def test_the_shipped_network_hardly_sees_the_seams(noise, monkeypatch):
    segmenter = load_segmenter()
    image = noise[:96] + jnp.sin(jnp.arange(243) / 1.1)[None]
    whole = predict_frame(segmenter, image).astype(np.float32)
    monkeypatch.setattr(predict, "TILE_PX", 160)
    difference = np.abs(predict_frame(segmenter, image) - whole)
    assert np.quantile(difference, 0.999) < 0.02 and difference.mean() < 1e-3


@pytest.mark.parametrize("size", [(16, 16), (17, 35), (33, 16)])
def test_odd_sizes_keep_their_size(size, weights):
    image = jax.random.normal(jax.random.key(2), size)
    assert predict_frame(Segmenter(SMALL, (weights,)), image).shape == (*size, 2)


def test_shapes_at_the_canonical_pixel():
    assert canonical_shape((512, 300), 0.016, 0.02) == (410, 240)


def test_blocks_of_pixels_become_channels_and_pixels_again():
    x = jnp.arange(2 * 6 * 8 * 3.0).reshape(2, 6, 8, 3)
    packed = unet.space_to_depth(x, 2)
    assert packed.shape == (2, 3, 4, 12)
    assert np.array_equal(packed[1, 2, 3].reshape(2, 2, 3), x[1, 4:6, 6:8])
    assert np.array_equal(unet.depth_to_space(packed, 2), x)
