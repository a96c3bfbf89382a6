"""Grains of a bicrystal whose orientations are known; deviation of sites that gather in a cluster of their own."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.covariance import MinCovDet
from sklearn.metrics import roc_auc_score

from rvaejax.analysis.circular import circular_difference
from rvaejax.analysis.deviation import OFF_CRYSTAL, content_order, crystallinity, deviation
from rvaejax.analysis.grains import angle_offset, find_grains, movie_grains
from rvaejax.analysis.sites import movie_sites
from rvaejax.simulate.sheet import honeycomb
from rvaejax.types import Atoms, Latents

PX = 0.016


def bicrystal(first, second, side=4.0):
    """Atoms of two grains that meet in the middle, and which is where."""
    zero, centre = jnp.zeros(2), jnp.full(2, side / 2)
    out, grain = [], []
    for number, angle in enumerate((first, second)):
        sites = np.asarray(honeycomb(jnp.float32(angle), zero, centre, 0.75 * side), np.float64)
        inside = ((sites > 0) & (sites < side)).all(1) & ((sites[:, 0] > side / 2 + 0.05) == bool(number))
        out.append(sites[inside & (np.abs(sites[:, 0] - side / 2) > 0.02)])
        grain.append(np.full(len(out[-1]), number))
    x, y = np.concatenate(out).T / PX
    one = np.ones(len(x))
    atoms = Atoms(np.zeros(len(x), int), x, y, np.full(len(x), "C"), one, 0 * one, PX)
    return atoms, np.concatenate(grain)


@pytest.mark.parametrize("apart", [6.0, 20.0, 28.0])
def test_two_grains_and_their_orientations(apart):
    atoms, true = bicrystal(0.1, 0.1 + np.radians(apart))
    sites = movie_sites(atoms)
    rng = np.random.default_rng(0)
    # what a latent angle is: any offset, one of three equal bonds, an error
    angle = (
        sites.sites.orientation + 0.4 + rng.integers(0, 3, len(true)) * 2 * np.pi / 3 + rng.normal(0, 0.02, len(true))
    )
    offset = angle_offset(angle, sites.sites.orientation)
    assert offset == pytest.approx(0.4, abs=0.01)
    found = find_grains(angle - offset, sites.pairs)
    assert len(found.size) == 2 and found.size.sum() > 0.97 * len(true)
    inner = (found.grain >= 0) & np.isfinite(angle)
    agree = np.mean(found.grain[inner] == true[inner])
    assert max(agree, 1 - agree) > 0.98
    turn = np.degrees(abs(circular_difference(found.angle[0], found.angle[1], 6)))
    assert turn == pytest.approx(min(apart, 60 - apart), abs=0.5)
    x = atoms.x[found.boundary] * PX
    assert found.boundary.any() and np.abs(x - 2).max() < 0.6


def test_one_crystal_is_one_grain_whatever_the_frame():
    atoms, _ = bicrystal(0.3, 0.3)
    two = Atoms(
        np.repeat([0, 5], len(atoms)),
        *(np.tile(c, 2) for c in (atoms.x, atoms.y, atoms.species, atoms.score, atoms.sd)),
        PX,
    )
    sites = movie_sites(two)
    found = movie_grains(two, sites.sites.orientation, sites.pairs)
    assert len(found.size) == 2 and not found.boundary.any()
    assert set(found.grain[two.frame == 0]) <= {0, -1} and set(found.grain[two.frame == 5]) <= {1, -1}


def test_the_orientation_of_a_bent_grain_is_that_of_its_sound_atoms():
    """Bent more and more to one side, with edges that point anywhere: the mean over what is sound, not a median."""
    atoms, _ = bicrystal(0.3, 0.3, side=2.0)
    sites = movie_sites(atoms)
    bulk = sites.sites.kind == "bulk"
    bent = 0.3 + np.radians(6) * (atoms.x * PX / 2) ** 3
    wild = np.random.default_rng(0).uniform(0.1, 0.2, len(atoms))
    found = find_grains(np.where(bulk, bent, wild), sites.pairs, bulk=bulk)
    mine = bulk & (found.grain == 0)
    assert mine.sum() > 0.6 * bulk.sum() and np.ptp(bent[mine]) > 0.03
    assert found.angle[0] == pytest.approx(bent[mine].mean(), abs=1e-4)
    assert abs(np.median(bent[mine]) - bent[mine].mean()) > 1e-3


def test_bonds_stand_in_for_angles_where_no_window_fits():
    """A grain bent like a bow, of which one side has no angles: its orientation is still that of the whole."""
    atoms, _ = bicrystal(0.3, 0.3, side=2.0)
    sites = movie_sites(atoms)
    bulk = sites.sites.kind == "bulk"
    bent = 0.3 + np.radians(6) * (atoms.x * PX / 2 - 0.5)
    seen = np.where(atoms.x * PX > 0.5, bent, np.nan)
    found = find_grains(seen, sites.pairs, bulk=bulk, direction=bent)
    inside = bulk & (found.grain == 0)
    assert (inside & np.isnan(seen)).sum() > 0.1 * inside.sum()
    whole = bent[inside].mean()
    assert found.angle[0] == pytest.approx(whole, abs=1e-4)
    assert find_grains(seen, sites.pairs, bulk=bulk).angle[0] > whole + np.radians(0.3)


def test_the_stated_error_is_how_much_the_orientation_scatters():
    atoms, _ = bicrystal(0.3, 0.3, side=2.0)
    sites = movie_sites(atoms)
    bulk, rng = sites.sites.kind == "bulk", np.random.default_rng(0)
    found = [find_grains(0.3 + np.radians(3) * rng.normal(size=len(atoms)), sites.pairs, bulk=bulk) for _ in range(150)]
    scatter = np.std([one.angle[0] for one in found])
    # 150 draws know their spread to 6 %
    assert np.mean([one.error[0] for one in found]) == pytest.approx(scatter, rel=0.2)


def test_few_sound_atoms_leave_the_median():
    atoms, _ = bicrystal(0.3, 0.3, side=2.0)
    pairs = movie_sites(atoms).pairs
    angle = np.where(np.arange(len(atoms)) % 10, 0.3, 0.9)
    few = np.arange(len(atoms)) < 5
    assert find_grains(angle, pairs, bulk=few).angle[0] == pytest.approx(0.3, abs=1e-6)


def test_nothing_known_is_no_grain():
    atoms, _ = bicrystal(0.3, 0.3, side=1.0)
    pairs = movie_sites(atoms).pairs
    assert not len(find_grains(np.full(len(atoms), np.nan), pairs).size)
    assert not len(find_grains(np.zeros(0), np.zeros((0, 2), int)).size)


def latents(content):
    n = len(content)
    return Latents(np.zeros(n), np.ones(n), np.zeros((n, 2)), content, np.ones_like(content))


def test_a_dense_cluster_of_edges_deviates_as_much_as_scattered_defects():
    rng = np.random.default_rng(0)
    crystal = rng.normal(size=(800, 2)) @ np.array([[1.0, 0.8], [0.0, 0.3]])
    edge = rng.normal([6, -3], 0.1, (150, 2))  # many, and all alike: nothing is rare about them
    defect = rng.uniform(-12, 12, (50, 2))
    d = deviation(latents(np.concatenate([crystal, edge, defect])))
    assert roc_auc_score(np.arange(1000) >= 800, d) > 0.97
    assert np.mean(d[:800] ** 2) == pytest.approx(2, abs=0.4)  # of two Gaussian latents
    assert d[800:950].min() > 5


def test_a_crystal_of_a_third_of_the_sites_is_still_the_crystal():
    """Beside a broad cloud of twice as many that begins where the crystal ends, the most compact part takes in both."""
    rng = np.random.default_rng(5)
    crystal = [1.0, 0.4] + 0.15 * rng.normal(size=(3000, 2))
    round_ = rng.normal(size=(6000, 2))
    cloud = [0.3, -0.3] + 0.6 * round_ / np.hypot(*round_.T)[:, None] * np.sqrt(rng.uniform(size=(6000, 1)))
    both = np.concatenate([crystal, cloud])
    d, half = deviation(latents(both)), np.sqrt(MinCovDet(random_state=0).fit(both).mahalanobis(both))
    of_cloud = np.arange(9000) >= 3000
    assert (half > OFF_CRYSTAL).mean() < 1e-3 and roc_auc_score(of_cloud, half) < 0.7
    assert roc_auc_score(of_cloud, d) > 0.98
    assert np.mean(d[:3000] ** 2) == pytest.approx(2, abs=0.3)  # of two Gaussian latents


def test_disorder_around_the_crystal_is_none_of_it():
    """As in large windows: two sites in five are the crystal's, and the others lie all around it without a gap."""
    rng = np.random.default_rng(7)
    crystal = [1.0, 0.0] + 0.05 * rng.normal(size=(2400, 2))
    both = np.concatenate([crystal, [0.6, -0.2] + 0.4 * rng.normal(size=(3600, 2))])
    d, half = deviation(latents(both)), np.sqrt(MinCovDet(random_state=0).fit(both).mahalanobis(both))
    others = np.arange(6000) >= 2400
    assert roc_auc_score(others, d) > max(0.99, roc_auc_score(others, half))
    assert np.mean(d[:2400] ** 2) > 1 > 2 * np.mean(half[:2400] ** 2)  # 2 of two Gaussian latents alone


def test_crystallinity_still_differs_where_most_sites_are_off_the_crystal():
    near, far = np.linspace(0, 3, 101), np.linspace(0, 300, 101)
    assert crystallinity(near) == pytest.approx(1 / np.sqrt(1 + (near / OFF_CRYSTAL) ** 2))
    assert crystallinity(far)[50] == pytest.approx(2 / np.sqrt(5))  # the typical site, at half the scale
    assert crystallinity(10 * far) == pytest.approx(crystallinity(far))
    assert crystallinity(far, threshold=OFF_CRYSTAL).mean() < 0.1  # all alike, by the noise of the crystal alone
    assert not crystallinity(np.zeros(0)).size


def test_crystallinity_is_half_the_sites_own_and_half_its_bonded_neighbours():
    """A star of four atoms, a lone pair of which one has no window, and a centre that is no atom."""
    away = np.array([0.0, 2.0, 4.0, 6.0, 8.0, 3.0])
    atom, pairs = np.array([4, 0, 1, 2, 5, -1]), np.array([[4, 0], [4, 1], [4, 2], [3, 5]])
    order = content_order(latents(np.zeros((6, 2))), atom, pairs, away=away)
    c = 1 / np.sqrt(1 + (away / (2 * 3.5)) ** 2)  # twice the median
    assert order.deviation is away and order.crystallinity_own == pytest.approx(c)
    star = [(c[0] + c[1:4].mean()) / 2, *((c[1:4] + c[0]) / 2)]
    assert order.crystallinity == pytest.approx([*star, c[4], c[5]])
    assert content_order(latents(np.zeros((6, 2))), away=away).crystallinity == pytest.approx(c)
    assert content_order(latents(np.zeros((6, 2))), atom, pairs[:0], away=away).crystallinity == pytest.approx(c)
    fixed = content_order(latents(np.zeros((6, 2))), atom, pairs, away=away, threshold=2.0)
    assert fixed.crystallinity_own[1] == pytest.approx(np.sqrt(0.5))


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_a_crystal_alone_deviates_by_its_own_spread(dims):
    """Whichever way it is told: drawn so that fewer sites than by chance are far off, the densest sites are asked."""
    rng = np.random.default_rng(6)
    content = rng.normal(size=(20_000, dims)) @ rng.normal(size=(dims, dims))
    d = deviation(latents(content))
    near = content[d < OFF_CRYSTAL]
    assert np.mean(d**2) == pytest.approx(dims, rel=0.03)
    assert np.mean(deviation(latents(near)) ** 2) == pytest.approx(dims, rel=0.06)


def test_too_few_or_equal_sites_do_not_deviate():
    assert (deviation(latents(np.zeros((50, 2)))) == 0).all()
    assert (deviation(latents(np.ones((3, 2)))) == 0).all()
    assert deviation(latents(np.zeros((0, 2)))).shape == (0,)
