"""The gradient gathered over pieces of the batch is that of the whole batch, and costs no new compilation."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.rvae import elbo, preset, steps
from rvaejax.rvae.config import Bernoulli, Capacity, MLPEncoder, PolarEncoder, SpatialDecoder
from rvaejax.rvae.pieces import piece_size, sum_of
from rvaejax.training.state import init_state, make_piece

SHAPE, BATCH = (12, 12, 2), 6
DECODER = SpatialDecoder(hidden=16, layers=3)
PAPER = replace(preset("paper"), encoder=MLPEncoder(hidden=16), decoder=DECODER)
POLAR = replace(preset("default"), content_dim=2, encoder=PolarEncoder(orientations=16, hidden=8, harmonics=4))


def _loss_and_gradient(config, most_rows):
    rvae = elbo.build(config, SHAPE, most_rows)
    params = jax.jit(lambda key: rvae.init(key=key))(jax.random.key(0))
    images = jax.random.uniform(jax.random.key(1), (BATCH, *SHAPE))
    loss = jax.jit(jax.value_and_grad(lambda p: rvae.loss(p, images, 7, key=jax.random.key(2)), has_aux=True))
    return loss(params)


@pytest.mark.parametrize(
    "config",
    [
        replace(PAPER, divergences=Capacity(), likelihood=Bernoulli()),
        pytest.param(replace(POLAR, decoder=replace(DECODER, skip=True)), marks=pytest.mark.slow),
    ],
    ids=["paper with capacity and Bernoulli", "draws and skip"],
)
def test_pieces_change_neither_the_loss_nor_its_gradient(config):
    whole, pieces = _loss_and_gradient(config, None), _loss_and_gradient(config, 600)  # 2 or 4 pieces: of 1 to 3 images
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(pieces), strict=True):
        assert np.allclose(a, b, rtol=1e-4, atol=1e-5 * max(1.0, float(np.abs(a).max())))


def test_the_sum_has_the_gradient_of_any_multiple_and_of_every_example():
    """Against plain differentiation: weights, examples, and a cotangent that is not 1."""

    def each(w, x, shared):
        return jnp.tanh(x @ w).sum(1) * shared

    w, x = jax.random.normal(jax.random.key(0), (3, 2)), jax.random.normal(jax.random.key(1), (6, 3))
    plain = jax.grad(lambda w, x: each(w, x, 2.0).sum() ** 2, (0, 1))(w, x)
    swept = jax.jit(jax.grad(lambda w, x: sum_of(each, 2, w, x, jnp.float32(2.0))[0] ** 2, (0, 1)))(w, x)
    assert all(np.allclose(a, b, rtol=1e-5, atol=1e-5) for a, b in zip(plain, swept, strict=True))
    total, terms = sum_of(each, 2, w, x, jnp.float32(2.0))
    assert np.allclose(terms, each(w, x, 2.0), rtol=1e-6) and float(total) == pytest.approx(
        float(terms.sum()), abs=1e-5
    )


def test_a_piece_is_the_largest_even_share_that_fits():
    assert piece_size(100, 1024, 8192) == 5 and piece_size(64, 256, 8192) == 32
    assert piece_size(100, 1024, None) == 100
    assert piece_size(97, 1024, 8192) == 1 and piece_size(4, 10_000, 8192) == 1


def test_a_training_step_is_traced_once():
    """What the preset's own loss and batches cost: no trace after the first compiled piece."""
    config = replace(PAPER, training=replace(PAPER.training, batch_size=BATCH, piece=2))
    rvae, loss_fn, batch_fn = steps.functions(config, SHAPE)
    traces = []

    def counted(params, batch, key):
        traces.append(1)
        return loss_fn(params, batch, key)

    params = jax.jit(lambda key: rvae.init(key=key))(jax.random.key(0))
    state, piece = init_state(params, config.training), make_piece(counted, batch_fn, config.training)
    data = {"images": jax.random.uniform(jax.random.key(1), (20, *SHAPE)), "scaling": jnp.array([0.0, 1.0])}
    counts = []
    for _ in range(3):
        state, _ = piece(state, data, jax.random.key(3), jnp.asarray(100, jnp.int32))
        counts.append(len(traces))
    assert int(state.step) == 6 and counts == [counts[0]] * 3 and piece._cache_size() == 1
