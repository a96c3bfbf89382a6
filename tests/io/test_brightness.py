import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.io.brightness import quantiles, without_hot_pixels

SHARES = (0.0, 0.005, 0.1, 0.5, 0.9, 0.995, 1.0)


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(1).normal(-3, 5, (97, 31)),
        np.random.default_rng(2).poisson(2.0, (64, 64)),  # ties everywhere, and between them steps
        np.full((16, 16), -7.25),
        np.where(np.arange(256).reshape(16, 16) % 2, -0.0, 0.0),
        np.array([[-1e38, 1e38], [1e-37, -1e-37]]),
    ],
)
def test_quantiles_are_those_of_the_sorted_values(values):
    found = np.asarray(quantiles(jnp.asarray(values, jnp.float32), SHARES))
    expected = np.quantile(values.astype(np.float32).astype(float), SHARES)
    np.testing.assert_allclose(found, expected, rtol=2e-7, atol=1e-44)


def test_quantiles_of_many_images_at_once():
    images = np.random.default_rng(3).normal(size=(3, 20, 30)).astype(np.float32)
    at_once = jax.jit(jax.vmap(lambda image: quantiles(image, SHARES)))(jnp.asarray(images))
    np.testing.assert_allclose(at_once, np.quantile(images, SHARES, axis=(1, 2)).T, rtol=1e-5)


@pytest.mark.parametrize("value", [1e6, -1e6])
@pytest.mark.parametrize("at", [(12, 40), (0, 0), (63, 17)])
def test_a_hot_pixel_becomes_as_bright_as_those_around_it(value, at):
    frame = np.random.default_rng(4).normal(10, 2, (64, 64)).astype(np.float32)
    hot = frame.copy()
    hot[at] = value
    mended = np.array(without_hot_pixels(jnp.asarray(hot)))
    rows, columns = (slice(max(i - 1, 0), i + 2) for i in at)
    around = frame[rows, columns]
    assert around.min() <= mended[at] <= around.max()
    mended[at] = frame[at]
    np.testing.assert_array_equal(mended, frame)


def test_a_frame_without_hot_pixels_stays_as_it_is():
    frame = np.random.default_rng(5).poisson(20, (32, 48)).astype(np.float32)
    np.testing.assert_array_equal(without_hot_pixels(jnp.asarray(frame)), frame)


def test_a_bright_atom_is_no_hot_pixel():
    """Five pixels wide and ten times as bright as the rest: its height is cut to the range, its shape stays a peak."""
    y, x = np.mgrid[:64, :64]
    frame = np.random.default_rng(6).normal(1, 0.05, (64, 64)) + 10 * np.exp(-((x - 30) ** 2 + (y - 20) ** 2) / 8)
    mended = np.asarray(without_hot_pixels(jnp.asarray(frame, jnp.float32)))
    assert mended[20, 30] == mended.max() and mended[20, 30] > 3 * mended[20, 36]
