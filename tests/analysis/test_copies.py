"""Turned and moved copies against images that are drawn turned and moved."""

import numpy as np
import pytest

from rvaejax.analysis import copies

SIZE = 21


def blobs(angle, dx=0.0, dy=0.0):
    """Two blobs of unequal height, the first in direction `angle` (counter-clockwise, y down), moved by (dx, dy)."""
    line = np.arange(SIZE) - (SIZE - 1) / 2
    x, y = np.meshgrid(line, line)
    image = np.zeros((SIZE, SIZE))
    for radius, turn, height in ((5, 0.0, 1.0), (4, 2.0, 0.5)):
        px, py = radius * np.cos(angle + turn) + dx, -radius * np.sin(angle + turn) + dy
        image += height * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 1.8**2))
    return image[..., None]


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarter_turns_are_counter_clockwise_and_exact(quarters):
    turned = copies.quarter_turned(blobs(0.3)[None], quarters)
    assert np.allclose(turned[0], blobs(0.3 + quarters * np.pi / 2), atol=1e-12)
    by_splines = copies.turned(blobs(0.3)[None], np.array([quarters * np.pi / 2]))
    assert np.allclose(by_splines, copies.without_corners(turned), atol=1e-6)


def test_any_turn_is_the_image_drawn_turned_to_a_hundredth_of_its_height():
    angles = np.linspace(0.1, 6.2, 23)
    turned = copies.turned(np.stack([blobs(0.3)] * 23), angles)
    drawn = copies.without_corners(np.stack([blobs(0.3 + a) for a in angles]))
    assert np.abs(turned - drawn).max() < 0.01


def test_corners_say_nothing():
    rng = np.random.default_rng(0)
    images = rng.random((3, SIZE, SIZE, 2))
    corners = copies.disc(SIZE) == 0
    other = images.copy()
    other[:, corners] += 100 * rng.random((3, corners.sum(), 2))
    assert (copies.without_corners(images) == copies.without_corners(other)).all()
    inside = copies.disc(SIZE) > 0
    assert (copies.without_corners(images)[:, inside] == images[:, inside].astype(np.float32)).all()


@pytest.mark.parametrize(("dx", "dy"), [(1, 0), (0, 1), (-2, 1)])
def test_moves_are_to_the_right_and_down(dx, dy):
    seen = slice(max(dy, 0), SIZE + min(dy, 0)), slice(max(dx, 0), SIZE + min(dx, 0))
    assert np.allclose(copies.moved(blobs(0.3)[None], dx, dy)[0][seen], blobs(0.3, dx, dy)[seen], atol=1e-12)


def test_a_moved_image_is_centred_again_by_parts_of_a_pixel():
    shift = np.array([[0.4, -1.3], [1.5, 0.2]])
    moved = np.stack([blobs(0.3, *s) for s in shift])
    assert np.abs(copies.centred(moved, shift) - blobs(0.3)[None])[:, 2:-2, 2:-2].max() < 0.01


def test_vectors_turn_with_the_image():
    """The brighter blob is where its turned position says."""
    start, turn = np.array([[5 * np.cos(0.3), -5 * np.sin(0.3)]]), np.array([1.1])
    row, column, _ = np.unravel_index(blobs(0.3 + 1.1).argmax(), (SIZE, SIZE, 1))
    found = np.array([column, row]) - (SIZE - 1) / 2
    assert np.allclose(copies.turned_vectors(start, turn)[0], found, atol=0.75)
    assert np.allclose(copies.turned_vectors(np.array([[2.0, -1.0]]), np.array([np.pi / 2])), [[-1.0, -2.0]])
