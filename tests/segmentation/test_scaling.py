import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.segmentation.scaling import robust_scale


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).normal(10, 2, (64, 64)).astype(np.float32)


@pytest.mark.parametrize(("gain", "offset"), [(1e-12, 0.0), (65535.0, 1000.0), (0.3, -40.0)])
def test_gain_and_offset_do_not_matter(image, gain, offset):
    scaled = robust_scale(jnp.asarray(gain * image.astype(np.float64) + offset, jnp.float32))
    assert np.allclose(scaled, robust_scale(jnp.asarray(image)), atol=2e-3)


def test_a_normal_image_gets_unit_spread(image):
    scaled = np.asarray(robust_scale(jnp.asarray(image)))
    assert np.median(scaled) == pytest.approx(0, abs=1e-3)
    assert np.sinh(scaled).std() == pytest.approx(1, rel=0.03)


@pytest.mark.parametrize("value", [1e6, -1e6])
def test_one_hot_pixel_does_not_matter(image, value):
    hot = image.copy()
    hot[20, 30] = value
    difference = np.abs(np.asarray(robust_scale(jnp.asarray(hot)) - robust_scale(jnp.asarray(image))))
    assert np.delete(difference.ravel(), 20 * 64 + 30).max() < 5e-3
    assert abs(float(robust_scale(jnp.asarray(hot))[20, 30])) < 16  # and is itself compressed


def test_a_bright_corner_leaves_the_contrast_of_the_rest(image):
    dirty = image.copy()
    dirty[:16, :16] += 200
    clean, beside = (np.asarray(robust_scale(jnp.asarray(i)))[16:] for i in (image, dirty))
    assert beside.std() > 0.7 * clean.std()
