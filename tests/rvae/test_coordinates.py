"""A turned grid looks where the turned content is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.nets import decoders
from rvaejax.nets.config import FourierDecoder, SpatialDecoder
from rvaejax.rvae.coordinates import grid, rotate, to_content


def test_grid_is_symmetric_and_row_by_row():
    points = np.asarray(grid(4)).reshape(4, 4, 2)
    assert np.allclose(points[0, :, 0], [-0.75, -0.25, 0.25, 0.75])  # x runs along a row, in half windows
    assert np.allclose(points[:, 0, 1], [-0.75, -0.25, 0.25, 0.75])
    assert np.allclose(points + points[::-1, ::-1], 0)


def test_positive_angles_turn_counter_clockwise_on_the_displayed_image():
    right, up = jnp.array([1.0, 0.0]), jnp.array([0.0, -1.0])  # y points down
    assert np.allclose(rotate(right, jnp.array(np.pi / 2)), up, atol=1e-6)


def test_to_content_inverts_rotation_then_shift():
    points = jax.random.normal(jax.random.key(0), (7, 2))
    angle, shift = jnp.array(0.7), jnp.array([0.2, -0.1])
    moved = rotate(points, angle) + shift[None]
    assert np.allclose(to_content(moved, angle, shift), points, atol=1e-6)


@pytest.mark.parametrize("config", [SpatialDecoder(hidden=16), FourierDecoder(hidden=16)])
def test_a_quarter_turn_of_the_angle_turns_the_decoded_image(config):
    """Exact, because a quarter turn maps pixel centres to pixel centres."""
    size = 12
    net = decoders.build(config, size, 2, content_dim=2)
    params, content = net.init(key=jax.random.key(1)), jnp.array([0.5, -1.0])

    def image(angle):
        points = to_content(grid(size), jnp.array(angle), jnp.zeros(2))
        return np.asarray(net.apply(params, points, content)).reshape(size, size, 2)

    assert np.allclose(image(0.3 + np.pi / 2), np.rot90(image(0.3)), atol=2e-5)
    assert not np.allclose(image(0.3 + np.pi / 2), image(0.3), atol=1e-2)


@pytest.mark.parametrize("config", [SpatialDecoder(hidden=16), FourierDecoder(hidden=16)])
def test_a_shift_of_one_pixel_moves_the_decoded_image_by_one_pixel(config):
    size = 12
    net = decoders.build(config, size, 1, content_dim=2)
    params, content = net.init(key=jax.random.key(1)), jnp.array([0.5, -1.0])

    def image(shift):
        points = to_content(grid(size), jnp.array(0.4), jnp.array(shift) / (size / 2))
        return np.asarray(net.apply(params, points, content)).reshape(size, size)

    assert np.allclose(image([2.0, 1.0])[1:, 2:], image([0.0, 0.0])[:-1, :-2], atol=2e-5)
