"""The angle is found in the content where it was put there, and nowhere else."""

import numpy as np
import pytest

from rvaejax.analysis import leakage

N = 900


@pytest.fixture(scope="module")
def turns():
    rng = np.random.default_rng(0)
    return rng.uniform(0, 2 * np.pi, N), rng


@pytest.mark.parametrize("harmonic", [1, 3])
def test_a_probe_finds_the_harmonic_that_the_content_holds(harmonic, turns):
    angle, rng = turns
    held = np.column_stack([np.cos(harmonic * angle), np.sin(harmonic * angle)])
    found = leakage.probe(held + 0.05 * rng.standard_normal(held.shape), angle, leakage.HARMONICS)
    assert found.harmonic == harmonic and found.r2 > 0.95
    free = leakage.probe(rng.standard_normal((N, 2)), angle, leakage.HARMONICS)
    assert -0.15 < free.r2 < 0.03


def test_the_share_that_is_told_falls_with_noise_as_it_must(turns):
    """For content that is the angle's sine and cosine with noise of the same variance, no more than half is told."""
    angle, rng = turns
    held = np.column_stack([np.cos(angle), np.sin(angle)])
    noisy = held + np.sqrt(0.5) * rng.standard_normal(held.shape)
    assert 0.3 < leakage.probe(noisy, angle, (1,)).r2 < 0.6


def test_angles_count_modulo_each_sites_symmetry(turns):
    """Three-fold sites whose content tells which of three equal orientations is meant leak nothing."""
    angle, rng = turns
    fold = np.where(rng.random(N) < 0.5, 3, 0)
    third = np.floor(angle / (2 * np.pi / 3))
    told = np.column_stack([np.cos(2 * np.pi * third / 3), np.sin(2 * np.pi * third / 3)])
    assert leakage.probe(told, angle, (1,)).r2 > 0.5
    assert leakage.probe_folded(told + 0.1 * rng.standard_normal(told.shape), angle, fold) < 0.05
    assert leakage.probe_folded(np.column_stack([np.cos(3 * angle), np.sin(3 * angle)]), angle, fold) > 0.9
    assert np.isnan(leakage.probe_folded(told, angle, np.zeros(N, int)))


def test_information_is_that_of_a_known_channel(turns):
    """A latent that is the angle on a line with uniform noise of a tenth of the range tells ln 10 nats, and a bit."""
    angle, rng = turns
    fold = np.ones(N, int)
    content = np.column_stack([rng.standard_normal(N), angle / (2 * np.pi) + 0.1 * rng.random(N)])
    found = leakage.information(content, angle, fold, seed=0)
    exact = np.log(10) + 0.05  # h(sum of uniforms of widths 1 and 0.1) = 0.05, h(noise) = -ln 10
    assert found.nats == pytest.approx(exact, abs=0.2)  # the estimator loses some at the ends of the range
    assert found.shuffled < 0.1
    free = leakage.information(rng.standard_normal((N, 2)), angle, fold, seed=0)
    assert free.nats < 0.1


def test_kinds_with_other_symmetries_are_no_information(turns):
    """The kind is told by the content and fixes the symmetry: the angle modulo it must not look told by that."""
    angle, rng = turns
    fold = np.where(rng.random(N) < 0.5, 3, 1)
    content = fold[:, None] + 0.1 * rng.standard_normal((N, 1))
    assert leakage.information(content, angle, fold, seed=0).nats < 0.1
    assert leakage.probe_folded(content, angle, fold) < 0.05
