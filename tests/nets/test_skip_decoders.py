"""The skip form of the decoders: still functions of coordinates, with the content in every layer."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.nets import decoders
from rvaejax.nets.config import FourierDecoder, SpatialDecoder
from rvaejax.rvae.coordinates import grid, to_content

SIZE, CHANNELS, CONTENT = 10, 2, 3
SKIP = [SpatialDecoder(hidden=16, layers=3, skip=True), FourierDecoder(hidden=16, layers=2, skip=True)]


def _net(config):
    net = decoders.build(config, SIZE, CHANNELS, CONTENT)
    return net, jax.jit(lambda key: net.init(key=key))(jax.random.key(0))["params"]


@pytest.mark.parametrize("config", SKIP)
def test_skip_weights_are_all_that_the_form_adds(config):
    _, params = _net(config)
    _, plain = _net(dataclasses.replace(config, skip=False))
    assert {name for name in params if not name.startswith("skip")} == set(plain)
    assert all(v["kernel"].shape[0] == CONTENT for name, v in params.items() if name.startswith("skip"))
    assert jax.tree.map(jnp.shape, {name: params[name] for name in plain}) == jax.tree.map(jnp.shape, plain)


def test_the_spatial_skip_decoder_is_its_layers_written_out():
    config = SKIP[0]
    net, params = _net(config)
    p = jax.tree.map(np.asarray, params)
    points, z = np.asarray(grid(SIZE)), np.array([0.5, -1.0, 0.2], np.float32)
    h = np.tanh(points @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"] + z @ p["Dense_1"]["kernel"])
    for i in range(1, 4):
        h = h @ p[f"Dense_{i + 1}"]["kernel"] + p[f"Dense_{i + 1}"]["bias"] + z @ p[f"skip_{i}"]["kernel"]
        h = np.tanh(h) if i < 3 else h
    assert np.allclose(net.apply({"params": p}, jnp.asarray(points), jnp.asarray(z)), h, atol=1e-5)


@pytest.mark.parametrize("config", SKIP)
def test_the_content_reaches_the_image_through_every_skip_alone(config):
    """With the content's first layer cut, what is left of its influence goes through the skips, each by itself."""
    net, params = _net(config)
    first = "Dense_1" if isinstance(config, SpatialDecoder) else "Dense_0"
    skips = [name for name in params if name.startswith("skip")]
    assert len(skips) == config.layers
    draw = jax.jit(lambda p, z: net.apply({"params": p}, grid(SIZE), z))
    for kept in skips:
        cut = {n: jax.tree.map(jnp.zeros_like, v) if n in {first, *skips} - {kept} else v for n, v in params.items()}
        assert np.abs(draw(cut, jnp.ones(CONTENT)) - draw(cut, -jnp.ones(CONTENT))).max() > 1e-3
    cut = {n: jax.tree.map(jnp.zeros_like, v) if n in {first, *skips} else v for n, v in params.items()}
    assert (draw(cut, jnp.ones(CONTENT)) == draw(cut, -jnp.ones(CONTENT))).all()


@pytest.mark.parametrize("config", [*SKIP, SpatialDecoder(hidden=16), FourierDecoder(hidden=16)])
def test_twice_the_resolution_agrees_with_the_coarse_image_where_they_meet(config):
    """Points at half the spacing, every second one of which is a pixel of the coarse image; turned and moved."""
    net, params = _net(config)
    angle, shift, z = jnp.float32(0.7), jnp.asarray([0.1, -0.2]), jnp.asarray([0.5, -1.0, 0.2])
    line = (jnp.arange(2 * SIZE - 1) / 2 - (SIZE - 1) / 2) / (SIZE / 2)
    y, x = jnp.meshgrid(line, line, indexing="ij")
    fine_points = jnp.stack([x.ravel(), y.ravel()], axis=-1)
    coarse, fine = (net.apply({"params": params}, to_content(p, angle, shift), z) for p in (grid(SIZE), fine_points))
    fine = np.asarray(fine).reshape(2 * SIZE - 1, 2 * SIZE - 1, CHANNELS)
    assert np.allclose(fine[::2, ::2], np.asarray(coarse).reshape(SIZE, SIZE, CHANNELS), atol=2e-5)
    between = (fine[:-2:2, ::2] + fine[2::2, ::2]) / 2
    assert np.abs(fine[1::2, ::2] - between).max() > 1e-4  # and what lies between is drawn, not interpolated


@pytest.mark.parametrize("config", SKIP)
def test_a_quarter_turn_of_the_angle_turns_the_image(config):
    net, params = _net(config)

    def image(angle):
        points = to_content(grid(SIZE), jnp.array(angle), jnp.zeros(2))
        drawn = net.apply({"params": params}, points, jnp.ones(CONTENT))
        return np.asarray(drawn).reshape(SIZE, SIZE, CHANNELS)

    assert np.allclose(image(0.3 + np.pi / 2), np.rot90(image(0.3)), atol=2e-5)
