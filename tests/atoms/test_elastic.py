"""What neighbours tell of a position: nothing false in a strained sheet, much in a noisy one, little at a defect."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.atoms.elastic import FREEDOM, SLACK, bound, settle, sheet_sites, smoothed, spread, windows
from rvaejax.atoms.small_systems import inverse_of_three, solved_in_step

PX_NM = 0.016
BOND = 0.142 / PX_NM


def sheet(n=9):
    i, j = np.meshgrid(np.arange(n), np.arange(n))
    a = BOND * np.sqrt(3) * np.stack([i + j / 2, j * np.sqrt(3) / 2], -1).reshape(-1, 2)
    return np.concatenate([a, a + [0, BOND]])


def smooth(xy, sd, rounds=6):
    at, sds = windows(xy, np.zeros(len(xy), int), PX_NM), np.full(len(xy), sd)
    found = smoothed(xy, sds, at, PX_NM, rounds=rounds)
    return found.xy, spread(xy, sds, found.stiffness, at)


@pytest.fixture(scope="module")
def bent():
    """Evenly strained and turned: every atom is the mean of its neighbours."""
    return sheet() @ np.array([[0.82, 0.55], [-0.58, 0.80]])


def test_only_carbon_among_three_carbons_is_bound(bent):
    species = np.zeros(len(bent), int)
    held, bonds = sheet_sites(bent, species, PX_NM)
    assert 0.7 < held.mean() < 1  # all but the rim
    middle = np.argmin(np.hypot(*(bent - bent.mean(0)).T))
    species[middle] = 1  # a dopant frees itself and its neighbours
    fewer, _ = sheet_sites(bent, species, PX_NM)
    assert set(np.flatnonzero(held & ~fewer)) == {middle, *bonds[middle]}


def test_a_strained_sheet_stays_where_it_is(bent):
    xy, _ = smooth(bent, 0.3)
    np.testing.assert_allclose(xy, bent, atol=2e-3)


def test_noise_is_averaged_over_neighbours_and_what_is_left_is_stated(bent):
    errors, sds = [], []
    for seed in range(4):
        noise = np.random.default_rng(seed).normal(0, 0.4, bent.shape)
        xy, sd = smooth(bent + noise, 0.4, rounds=11)  # as many as a frame gets
        held, _ = sheet_sites(bent, np.zeros(len(bent), int), PX_NM)
        errors.append((xy - bent)[held])
        sds.append(np.repeat(sd[held, None], 2, 1))
    errors, sds = np.concatenate(errors), np.concatenate(sds)
    assert np.sqrt((errors**2).mean()) < 0.6 * 0.4
    assert 0.60 < (np.abs(errors) < sds).mean() < 0.80


@pytest.mark.parametrize("noise", [0.1, 0.25, 0.5])
def test_in_a_sheet_that_is_bent_here_and_there_errors_are_as_large_as_stated(bent, noise):
    """Most atoms nearly follow their neighbours and some do not; nobody says which."""
    held, _ = sheet_sites(bent, np.zeros(len(bent), int), PX_NM)
    errors, sds = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        stray = np.sqrt(rng.chisquare(FREEDOM, len(bent)) / FREEDOM)  # one stiffness for both directions
        true = bent + 0.15 * rng.normal(size=bent.shape) / stray[:, None]
        xy, sd = smooth(true + rng.normal(0, noise, bent.shape), noise, rounds=12)
        errors.append((xy - true)[held])
        sds.append(np.repeat(sd[held, None], 2, 1))
    errors, sds = np.concatenate(errors), np.concatenate(sds)
    assert np.sqrt((errors**2).mean()) < noise
    assert 0.60 < (np.abs(errors) < sds).mean() < 0.76


def test_systems_solved_in_step_are_those_solved_one_by_one():
    rng = np.random.default_rng(0)
    half = rng.normal(size=(50, 13, 16))
    systems = half @ half.transpose(0, 2, 1) + 0.1 * np.eye(13)
    right = rng.normal(size=(50, 13, 4))
    together = jax.jit(solved_in_step)(jnp.asarray(np.concatenate([systems, right], 2), jnp.float32))
    np.testing.assert_allclose(together, np.linalg.solve(systems, right), atol=2e-3)


def test_matrices_of_three_are_inverted_whatever_their_units():
    rng = np.random.default_rng(0)
    half = rng.normal(size=(50, 3, 5)) * np.array([1e-7, 1.0, 1e4])[:, None]
    matrices = half @ half.transpose(0, 2, 1)
    inverse = jax.jit(inverse_of_three)(jnp.asarray(matrices, jnp.float32))
    np.testing.assert_allclose(np.einsum("npq,nqr->npr", matrices, inverse)[:, [0, 1, 2], [0, 1, 2]], 1.0, atol=1e-3)


def test_an_atom_that_does_not_follow_is_left_alone(bent):
    held, _ = sheet_sites(bent, np.zeros(len(bent), int), PX_NM)
    odd = np.flatnonzero(held)[30]
    true = bent.copy()
    true[odd] += [1.2, 0.0]  # 19 pm
    measured = true + np.random.default_rng(0).normal(0, 0.05, true.shape)
    xy, _ = smooth(measured, 0.05)
    assert abs(xy[odd] - true[odd]).max() < 0.25


def test_windows_agree_with_the_whole_sheet_solved_at_once(bent):
    """A window's solution against the dense one, for stiff neighbours."""
    n, species = len(bent), np.zeros(len(bent), int)
    noise = np.random.default_rng(3).normal(0, 0.3, bent.shape)
    held, bonds = sheet_sites(bent, species, PX_NM)
    operator = np.eye(n) * held[:, None]
    for i in np.flatnonzero(held):
        operator[i, bonds[i]] = -1 / 3
    stiffness, precision = held / 0.2**2, np.full(n, 1 / 0.3**2)
    normal = operator.T @ (stiffness[:, None] * operator) + np.diag(precision)
    whole = np.linalg.solve(normal, precision[:, None] * (bent + noise))
    variance = np.diag(np.linalg.inv(normal))
    at = windows(bent, species, PX_NM)
    settled, spread, _ = settle(bent + noise, np.full(n, 0.3), stiffness, at)
    middle = np.abs(bent - bent.mean(0)).max(1) < 2.5 * BOND
    assert (bound(at, n) <= held).all()
    np.testing.assert_allclose(settled[middle], whole[middle], atol=0.05)  # px, of a noise of 0.3
    np.testing.assert_allclose(spread[middle], variance[middle], rtol=0.1)
    assert FREEDOM > 2  # else the prior's variance would not exist


def test_few_atoms_are_left_as_they_are():
    xy = sheet(2)
    same, sd = smooth(xy, 0.2)
    assert same is xy and (sd == 0.2).all()


def test_slack_is_the_mean_over_stiffnesses_that_nobody_knows():
    stiffness = np.random.default_rng(0).gamma(0.5 * (FREEDOM + 2), 2 / (FREEDOM + 2), 400_000)
    assert 1 / (1 + SLACK) == pytest.approx((1 / (1 + stiffness)).mean(), rel=2e-3)
