"""Curves of order parameters, and correlations of latents with what is known of sites."""

import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.analysis.dynamics import angular_order, clock, curve, curve_changes, order_parameters
from rvaejax.analysis.physics import correlations, site_quantities
from rvaejax.analysis.sites import bonded_mean, distance_to, movie_sites, ring_counts
from rvaejax.errors import PixelSizeError
from rvaejax.simulate.sheet import honeycomb
from rvaejax.types import Atoms, Latents, Movie

PX = 0.016


def sheet(side_nm, frames=1, pixel_size_nm=PX):
    """A square of graphene in each frame, with one atom missing from the middle."""
    zero, centre = jnp.zeros(2), jnp.full(2, side_nm / 2)
    xy = np.asarray(honeycomb(jnp.float32(0.1), zero, centre, side_nm), np.float64)
    xy = xy[((xy > 0) & (xy < side_nm)).all(1)]
    xy = np.delete(xy, np.argmin(np.hypot(*(xy - side_nm / 2).T)), axis=0)
    x, y = np.tile(xy, (frames, 1)).T / PX
    one = np.ones(len(x))
    return Atoms(np.repeat(np.arange(frames), len(xy)), x, y, np.full(len(x), "C"), one, 0 * one, pixel_size_nm)


def test_curves_are_the_statistics_of_each_frame_and_leave_empty_ones_open():
    rng = np.random.default_rng(0)
    frame = np.repeat([0, 2, 3], [500, 400, 2])
    values = rng.normal(frame, 1.0)
    values[7] = np.nan
    found = curve(values, frame, 5)
    assert np.isnan(found.mean[[1, 3, 4]]).all() and found.sites.tolist() == [499, 0, 400, 2, 0]
    assert abs(found.mean[2] - 2) < 4 * found.error[2]
    assert found.middle[0] == pytest.approx(np.nanmedian(values[:500]))
    assert found.low[0] < found.middle[0] < found.high[0]


def test_angular_order_is_one_for_a_crystal_and_falls_with_disorder():
    rng = np.random.default_rng(1)
    frame = np.repeat([0, 1, 2], 2000)
    sublattice = rng.integers(0, 6, 6000) * np.pi / 3
    noise = rng.normal(0, 1, 6000) * np.array([0.0, 0.1, 3.0])[frame]
    found = angular_order(0.7 + sublattice + noise, frame, 3)
    # the characteristic function of the normal
    np.testing.assert_allclose(found, [1, np.exp(-0.5 * 0.6**2), 0], atol=0.03)


def test_order_parameters_and_where_they_change():
    rng = np.random.default_rng(2)
    frames, each = 40, 60
    frame = np.repeat(np.arange(frames), each)
    n = len(frame)
    content = rng.normal(size=(n, 2)) - np.column_stack([3.0 * (frame >= 25), np.zeros(n)])
    latents = Latents(np.zeros(n), np.ones(n), np.zeros((n, 2)), content, np.ones((n, 2)))
    curves = order_parameters(latents, frame, frames, deviation=np.abs(content[:, 0]))
    assert set(curves) == {
        "angular order",
        "content latent 1, mean",
        "content latent 2, mean",
        "share of surroundings off the crystal",
    }
    found = curve_changes(curves)
    assert found["content latent 1, mean"].starts.tolist() == [25]
    assert not len(found["angular order"].starts)


def test_the_clock_is_dose_then_seconds_then_frames():
    frames = np.zeros((3, 8, 8))
    assert clock(Movie(frames)).label == "frame"
    assert clock(Movie(frames, frame_time_s=2.0)).values.tolist() == [0, 2, 4]
    dose = clock(Movie(frames, frame_time_s=2.0, dose=np.array([1.0, 2.0, 3.0])))
    assert dose.values.tolist() == [1, 3, 6] and "e/nm²" in dose.label


def test_quantities_of_sites_beside_a_vacancy():
    atoms = sheet(3.0, frames=2)
    sites = movie_sites(atoms)
    known = site_quantities(atoms, sites)
    inner = ~sites.border
    edge = (known["coordination"] == 2) & inner
    assert edge.sum() == 2 * 3  # three neighbours of the vacancy in each frame; the frame's border is no edge
    assert np.isnan(known["coordination"][sites.border]).all()
    assert (known["distance to edge [nm]"][edge] == 0).all()
    assert np.nanmax(known["distance to edge [nm]"]) < 2.2
    assert np.isnan(known["distance to Si [nm]"]).all()
    np.testing.assert_allclose(known["bond length [nm]"][inner], 0.142, atol=1e-4)
    assert (known["other rings around"][edge] == 0).all()  # the vacancy's ring of twelve is no ring of 3 to 9
    rings = ring_counts(sites.pairs, atoms)
    assert rings.shape == (2, 13) and (rings[0] == rings[1]).all() and rings[0, 12] == 1 and rings[0, 6] > 50


def test_means_over_bonded_neighbours_keep_constants_and_smooth_the_rest():
    atoms = sheet(3.0)
    pairs = movie_sites(atoms).pairs
    ones = np.ones(len(atoms))
    ones[5] = np.nan
    np.testing.assert_allclose(bonded_mean(ones, pairs, 2), 1)
    noise = np.random.default_rng(4).normal(size=len(atoms))
    assert 0.3 < bonded_mean(noise, pairs, 1).std() / noise.std() < 0.7  # 1/4 + 1/4 / 3 of the variance: 0.58


def test_distances_stay_in_their_frame():
    atoms = sheet(1.0, frames=2)
    target = np.zeros(len(atoms), bool)
    target[0] = True
    found = distance_to(atoms, target)
    assert found[0] == 0 and np.isinf(found[atoms.frame == 1]).all()


def test_correlations_of_a_monotonic_and_of_an_unrelated_latent():
    rng = np.random.default_rng(3)
    x = rng.normal(size=2000)
    quantity = {"order": np.where(x > 2, np.nan, x), "constant": np.ones(2000), "nothing": np.full(2000, np.nan)}
    found = correlations({"a": np.exp(x), "b": rng.normal(size=2000)}, quantity)
    assert found.rank[0, 0] == pytest.approx(1) and 0.6 < found.linear[0, 0] < 0.9
    assert abs(found.rank[1, 0]) < 0.08
    assert np.isnan(found.rank[:, 1:]).all()
    assert found.sites.tolist() == [int((x <= 2).sum()), 2000, 0]


def test_without_a_pixel_size_there_are_no_bonds():
    with pytest.raises(PixelSizeError, match="pixel size"):
        movie_sites(sheet(1.0, pixel_size_nm=float("nan")))
