"""Two models' latents of the same sites, up to the zero of the angle and the axes of the content."""

import numpy as np
import pytest

from rvaejax.analysis.alignment import align, share_of_each_frame
from rvaejax.types import Latents

N = 400


def latents(angle, content):
    zero = np.zeros(len(angle))
    return Latents(angle, zero, np.zeros((len(angle), 2)), content, 0 * content)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_turned_and_mirrored_latent_space_is_the_same(rng, mirrored):
    angle, content = rng.uniform(-np.pi, np.pi, N), rng.normal(size=(N, 2)) * [2.0, 0.5]
    turn = np.array([[np.cos(1.0), np.sin(1.0)], [-np.sin(1.0), np.cos(1.0)]]) @ np.diag([1.0, -1.0 if mirrored else 1])
    other = latents(angle - 0.7 + 2 * np.pi / 3 * rng.integers(0, 3, N), 3.0 * content @ turn + 5.0)
    found = align(latents(angle, content), other)
    assert np.allclose(found.r2, 1) and np.allclose(found.content, content)
    assert found.offset == pytest.approx(0.7) and found.concentration == pytest.approx(1)
    assert np.abs(found.difference).max() < 1e-9


def test_what_another_model_does_not_know_is_not_agreed_upon(rng):
    """The second model knows the first content latent only, and the angle to 0.1 rad."""
    angle, content = rng.uniform(-np.pi, np.pi, N), rng.normal(size=(N, 2))
    other = latents(angle + 0.1 * rng.normal(size=N), np.column_stack([content[:, 0], rng.normal(size=N)]))
    found = align(latents(angle, content), other)
    assert found.r2[0] > 0.75 and found.r2[1] < 0.1 and found.smooth_r2 < 0.7
    assert found.concentration == pytest.approx(np.exp(-0.5 * 0.3**2), abs=0.02)
    nothing = align(latents(angle, content), latents(rng.permutation(angle), rng.permutation(content)))
    assert nothing.concentration < 0.2 and (nothing.r2 < 0.1).all()


def test_a_bent_latent_space_agrees_up_to_a_smooth_map_only(rng):
    content = rng.normal(size=(N, 2))
    bent = np.column_stack([content[:, 0], content[:, 1] + content[:, 0] ** 2])
    found = align(latents(np.zeros(N), content), latents(np.zeros(N), bent))
    assert found.smooth_r2 > 0.8 and found.r2.min() < 0.5


def test_only_ordered_sites_set_the_zero_of_the_angle(rng):
    angle, content = rng.uniform(-np.pi, np.pi, N), rng.normal(size=(N, 2))
    crystal = np.arange(N) < N // 2
    other = latents(np.where(crystal, angle - 0.3, rng.uniform(-np.pi, np.pi, N)), content)
    found = align(latents(angle, content), other, crystal=crystal)
    assert found.offset == pytest.approx(0.3) and found.concentration == pytest.approx(1)


def test_a_share_of_each_frame():
    frame = np.repeat([0, 3, 7], [100, 40, 1])
    rows = share_of_each_frame(frame, 0.25, seed=1)
    assert np.bincount(frame[rows]).tolist() == [25, 0, 0, 10, 0, 0, 0, 1]
    assert (np.diff(rows) > 0).all()
    assert not np.array_equal(rows, share_of_each_frame(frame, 0.25, seed=2))
    assert len(share_of_each_frame(frame[:0], 0.25, seed=1)) == 0
