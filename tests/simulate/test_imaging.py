"""Image formation and labels, against sums written out."""

import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.simulate.imaging import Probe, class_labels, label_maps, render
from rvaejax.simulate.sheet import Sheet

SIZE, PX = 40, 0.02
PROBE = Probe(jnp.float32(0.05), jnp.float32(0.12), jnp.float32(0.3))


def _sheet(xy, species=None, mask=None):
    n = len(xy)
    species = np.zeros(n, int) if species is None else species
    mask = np.ones(n, bool) if mask is None else mask
    return Sheet(jnp.asarray(xy, jnp.float32), jnp.asarray(species), jnp.asarray(mask))


def _render(sheet, **options):
    return np.asarray(render(sheet, PROBE, size_px=SIZE, pixel_size_nm=PX, **options))


@pytest.fixture(scope="module")
def crowd():
    rng = np.random.default_rng(0)
    return _sheet(rng.uniform(-0.1, 0.9, (25, 2)), rng.integers(0, 2, 25), rng.random(25) < 0.8)


def test_an_image_is_the_sum_of_its_atoms(crowd):
    amplitude = np.random.default_rng(1).uniform(0.8, 1.2, 25).astype(np.float32)
    y, x = np.indices((SIZE, SIZE)) * PX
    expected = np.zeros((SIZE, SIZE))
    for (ax, ay), species, here, a in zip(*map(np.asarray, crowd), amplitude, strict=True):
        r2 = (x - ax) ** 2 + (y - ay) ** 2
        profile = 0.7 * np.exp(-r2 / (2 * 0.05**2)) + 0.3 * np.exp(-r2 / (2 * 0.12**2))
        expected += here * a * ((6, 14)[species] / 6) ** 1.7 * profile
    assert np.allclose(_render(crowd, z_exponent=1.7, amplitude=jnp.asarray(amplitude)), expected, atol=1e-4)


@pytest.mark.parametrize("exponent", [1.1, 1.64, 2.0])
def test_silicon_is_brighter_by_the_power_of_its_atomic_number(exponent):
    image = _render(_sheet([[0.2, 0.4], [7.0, 7.0]], [0, 0]), z_exponent=exponent)
    bright = _render(_sheet([[0.2, 0.4], [7.0, 7.0]], [1, 0]), z_exponent=exponent)
    assert image[20, 10] == pytest.approx(1.0, abs=1e-5)
    assert bright[20, 10] / image[20, 10] == pytest.approx((14 / 6) ** exponent, rel=1e-4)


def test_an_atom_moves_by_any_part_of_a_pixel():
    """A whole pixel shifts the image; a part of one shifts the logarithm's parabola."""
    at = np.array([[0.4, 0.4]])
    image = _render(_sheet(at))
    assert np.allclose(_render(_sheet(at + PX))[1:, 1:], image[:-1, :-1], atol=1e-5)
    narrow = PROBE._replace(tail_weight=jnp.float32(0.0))
    for dx, dy in np.random.default_rng(2).uniform(-0.5, 0.5, (5, 2)):
        moved = np.asarray(render(_sheet(at + PX * np.array([dx, dy])), narrow, size_px=SIZE, pixel_size_nm=PX))
        row, column = np.log(moved[20, 19:22]), np.log(moved[19:22, 20])
        curvature = -((PX / 0.05) ** 2)
        assert (row[2] - row[0]) / 2 / -curvature == pytest.approx(dx, abs=1e-3)
        assert (column[2] - column[0]) / 2 / -curvature == pytest.approx(dy, abs=1e-3)


def test_labels_are_probabilities(crowd):
    maps = np.asarray(label_maps(crowd, size_px=SIZE, pixel_size_nm=PX, label_nm=0.034))
    assert np.allclose(maps.sum(-1), 1, atol=1e-5) and maps.min() > -1e-6


def test_labels_name_each_atoms_class_and_place():
    xy = np.array([[0.213, 0.196], [0.571, 0.248], [0.387, 0.604]])
    sheet = _sheet(np.vstack([xy, [[0.2, 0.6]]]), [0, 1, 0, 0], [True, True, True, False])
    maps = label_maps(sheet, size_px=SIZE, pixel_size_nm=PX, label_nm=0.034)
    classes = np.asarray(class_labels(maps))
    at = np.round(xy / PX).astype(int)
    assert classes[at[:, 1], at[:, 0]].tolist() == [1, 2, 1]
    assert classes[30, 10] == 0 and classes[0, 0] == 0  # a missing atom has no label
    y, x = np.indices((SIZE, SIZE)) * PX
    for (ax, ay), species in zip(xy, [1, 2, 1], strict=True):
        blob = np.asarray(maps)[..., species] * (np.hypot(x - ax, y - ay) < 0.15)
        centroid = (blob * x).sum() / blob.sum(), (blob * y).sum() / blob.sum()
        assert centroid == pytest.approx((ax, ay), abs=2e-3)


def test_what_cannot_be_seen_is_not_labelled(crowd):
    visible = jnp.asarray(np.random.default_rng(5).random(25) < 0.5)
    hidden = label_maps(crowd, size_px=SIZE, pixel_size_nm=PX, label_nm=0.034, visible=visible)
    gone = label_maps(crowd._replace(mask=crowd.mask & visible), size_px=SIZE, pixel_size_nm=PX, label_nm=0.034)
    assert np.array_equal(hidden, gone)
