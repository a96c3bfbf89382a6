"""Ensembles: their mean, and a disagreement with the properties of a mutual information."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.segmentation.config import SegmenterConfig
from rvaejax.segmentation.network import network
from rvaejax.segmentation.predict import combine, predict_frame, segment
from rvaejax.segmentation.record import Segmenter
from rvaejax.types import Movie

SMALL = SegmenterConfig(widths=(6, 8))


@pytest.fixture(scope="module")
def members():
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(network(SMALL)[0], jax.random.key(0))
    return tuple(jax.tree.map(lambda leaf: rng.normal(0, 0.3, leaf.shape).astype(np.float32), shapes) for _ in range(3))


def test_the_mean_is_that_of_the_members(members):
    image = jax.random.normal(jax.random.key(0), (40, 52))
    together = predict_frame(Segmenter(SMALL, members), image)
    each = np.stack([predict_frame(Segmenter(SMALL, (m,)), image) for m in members]).astype(np.float32)
    assert together.shape == (40, 52, 3) and each.shape[-1] == 2
    assert np.abs(together[..., :2] - each.mean(0)).max() < 2e-3
    assert 0 <= together[..., 2].min() and together[..., 2].max() <= 1 and together[..., 2].std() > 0


def test_equal_members_agree_entirely(members):
    image = jax.random.normal(jax.random.key(0), (40, 52))
    assert predict_frame(Segmenter(SMALL, (members[0],) * 3), image)[..., 2].max() < 1e-3


def test_disagreement_in_closed_form():
    """Members that are sure of different classes: 1; that are all unsure: 0; two of p and 1 - p: ln 2 - H(p)."""
    sure = [jnp.broadcast_to(row, (2, 2, 3)) for row in jnp.eye(3)]
    assert np.allclose(combine(tuple(sure))[..., -1], 1.0, atol=1e-3)
    assert np.allclose(combine((sure[0], sure[1]))[..., -1], 1.0, atol=1e-3)
    assert np.allclose(combine((jnp.full((2, 2, 3), 1 / 3),) * 2)[..., -1], 0.0, atol=1e-3)
    p = 0.8
    two = tuple(jnp.broadcast_to(jnp.array([a, 1 - a, 0.0]), (2, 2, 3)) for a in (p, 1 - p))
    expected = 1 + (p * np.log(p) + (1 - p) * np.log(1 - p)) / np.log(2)
    assert np.allclose(combine(two)[..., -1], expected, atol=1e-3)


def test_maps_carry_the_disagreement_and_the_movie(members):
    frames = np.random.default_rng(0).normal(size=(2, 48, 64)).astype(np.float32)
    movie = Movie(frames, 0.016, "option", name="noise")
    maps = segment(movie, segmenter=Segmenter(SMALL, members))
    assert maps.probabilities.shape == (2, 38, 51, 2) and maps.uncertainty.shape == (2, 38, 51)
    assert maps.movie.frames is frames and maps.movie.pixel_size_nm == 0.016
    assert segment(movie, segmenter=Segmenter(SMALL, members[:1])).uncertainty is None
