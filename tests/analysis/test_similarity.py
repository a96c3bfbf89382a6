"""Structural similarity against scikit-image, and its invariance under rotation."""

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from rvaejax.analysis.copies import disc, turned, without_corners
from rvaejax.analysis.similarity import component_similarity, mean_and_interval, ssim

SIZE = 24


@pytest.fixture(scope="module")
def sites():
    """A site with three neighbours, and one with two."""
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    out = []
    for number in (3, 2):
        image = np.exp(-(x**2 + y**2) / 6)
        for k in range(number):
            phi = 0.2 + 2 * np.pi * k / 3
            image = image + np.exp(-((x - 8 * np.cos(phi)) ** 2 + (y + 8 * np.sin(phi)) ** 2) / 6)
        out.append(image)
    return np.array(out)[..., None]


def test_the_formula_is_the_published_one(sites):
    noisy = sites + np.random.default_rng(0).normal(0, 0.1, sites.shape)
    a, b = noisy[0], noisy[1]
    _, expected = structural_similarity(
        a[..., 0], b[..., 0], data_range=1.3, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    inside = disc(SIZE).astype(bool)
    assert ssim(a[None], b[None], 1.3, inside)[0, 0] == pytest.approx(expected[inside].mean(), abs=2e-3)


def test_turned_copies_are_the_same_up_to_rotation_and_other_sites_are_not(sites):
    copies = np.concatenate(
        [turned(np.repeat(sites[:1], 4, 0), np.array([0.0, 0.5, 1.0, 2.8])), without_corners(sites[1:])]
    )
    found = component_similarity(copies)
    np.testing.assert_allclose(np.diag(found.plain), 1)
    np.testing.assert_allclose(found.turned, found.turned.T)
    same = found.turned[:4, :4]
    assert same.min() > 0.97  # to within the steps of 5 degrees
    assert found.plain[0, 2] < 0.6
    assert found.turned[4, :4].max() < 0.93
    assert found.copies == pytest.approx(12 / 20)  # the pairs of the four among five
    plain, up_to_rotation = found.mean
    assert plain < up_to_rotation < 1


def test_one_component_and_constant_ones():
    assert np.isnan(component_similarity(np.zeros((1, 12, 12, 1))).mean[0])
    flat = component_similarity(np.ones((2, 12, 12, 1)))
    np.testing.assert_allclose(flat.turned, 1)


def test_the_mean_of_draws_and_its_interval():
    """Of 1, 2, 3: mean 2, standard error 1 / sqrt 3, and the t of two degrees of freedom."""
    mean, within = mean_and_interval([1.0, 2.0, 3.0])
    assert mean == 2 and within == pytest.approx(4.30265 / np.sqrt(3), rel=1e-5)
    assert mean_and_interval([0.7]) == (0.7, np.inf)
    rng = np.random.default_rng(8)
    means, widths = np.array([mean_and_interval(rng.normal(size=5)) for _ in range(2000)]).T
    assert np.mean(np.abs(means) < widths) == pytest.approx(0.95, abs=0.015)
