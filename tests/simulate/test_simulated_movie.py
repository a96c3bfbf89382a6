"""A movie and its truth: the truth has to be where the picture shows it."""

import dataclasses

import jax
import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

from rvaejax.errors import ConfigError
from rvaejax.simulate.config import MovieConfig
from rvaejax.simulate.movie import simulate_movie

CONFIG = MovieConfig(frames=4, size_px=192, si_atoms=4, counts=400.0)


@pytest.fixture(scope="module")
def made():
    return simulate_movie(CONFIG, key=jax.random.key(0))


def _frame(truth, t):
    return truth.atoms.select(truth.atoms.frame == t)


def test_an_identity_is_one_atom_in_all_frames(made):
    truth = made.truth
    for number in np.unique(truth.identity)[::17]:
        here = truth.identity == number
        assert (np.diff(truth.atoms.frame[here]) > 0).all()  # at most once a frame
    for t in range(3):
        rows = [np.flatnonzero(truth.atoms.frame == f) for f in (t, t + 1)]
        common, a, b = np.intersect1d(*(truth.identity[r] for r in rows), return_indices=True)
        ia, ib = rows[0][a], rows[1][b]
        moved = np.hypot(truth.atoms.x[ia] - truth.atoms.x[ib], truth.atoms.y[ia] - truth.atoms.y[ib])
        assert len(common) > 100 and np.median(moved) * CONFIG.pixel_size_nm < 0.01
        assert (moved * CONFIG.pixel_size_nm < 0.2).all()  # a turned bond or a relaxed edge, never a jump


def test_silicon_hops_and_is_not_lost(made):
    silicon = made.truth.atoms.species == "Si"
    assert np.bincount(made.truth.atoms.frame[silicon], minlength=4).max() <= CONFIG.si_atoms
    assert silicon.sum() >= 3 * CONFIG.si_atoms and len(np.unique(made.truth.identity[silicon])) > CONFIG.si_atoms


def _emptiest(truth, t, size):
    """Radius of the largest circle without atoms whose middle is well inside the frame [nm], away from the corner."""
    atoms = _frame(truth, t)
    y, x = np.mgrid[30 : size - 30, 30 : size - 30].reshape(2, -1)
    clear = x + y < 1.2 * size
    distance = cKDTree(np.column_stack([atoms.x, atoms.y])).query(np.column_stack([x, y])[clear])[0]
    return distance.max() * CONFIG.pixel_size_nm


def test_holes_grow_and_atoms_go(made):
    atoms = np.bincount(made.truth.atoms.frame)
    assert (np.diff(atoms) < 0).all()
    radii = [_emptiest(made.truth, t, 192) for t in range(4)]
    assert radii[0] > 0.8 * CONFIG.hole_radius_nm
    assert radii[-1] - radii[0] == pytest.approx(3 * CONFIG.hole_growth_nm, abs=0.1)


def test_the_truth_is_where_the_picture_is_bright(made):
    for t in range(4):
        atoms = _frame(made.truth, t)
        inside = (np.minimum(atoms.x, atoms.y) > 6) & (np.maximum(atoms.x, atoms.y) < 185)
        atoms = atoms.select(inside & (np.hypot(192 - atoms.x, 192 - atoms.y) > 0.45 * 192))  # off the contamination
        smooth = ndimage.gaussian_filter(made.movie.frames[t], 1.5)
        peaks = np.argwhere(smooth == ndimage.maximum_filter(smooth, 5))[:, ::-1]
        distance = cKDTree(peaks).query(np.column_stack([atoms.x, atoms.y]))[0] * CONFIG.pixel_size_nm
        silicon = atoms.species == "Si"
        assert distance[silicon].max() < 0.025
        assert np.quantile(distance, 0.95) < 0.03 and np.median(distance) < 0.015
        value = ndimage.map_coordinates(smooth, [atoms.y, atoms.x], order=1)
        assert value[silicon].min() > 1.5 * np.median(value)  # annular dark field: silicon is brighter


def test_nothing_is_claimed_under_the_contamination(made):
    """The same specimen without contamination shows how much there is, and which atoms it hides."""
    clean = simulate_movie(dataclasses.replace(CONFIG, frames=1, contamination=False), key=jax.random.key(0))
    dirt = ndimage.gaussian_filter(made.movie.frames[0] - clean.movie.frames[0], 3)
    assert dirt[-20:, -20:].mean() > 4 and abs(dirt[:96, :96]).max() < 0.5
    shown = np.isin(clean.truth.identity, made.truth.identity[made.truth.atoms.frame == 0])
    at = clean.truth.atoms
    over = ndimage.map_coordinates(dirt, [at.y, at.x], order=1, mode="nearest")
    assert shown.sum() == (made.truth.atoms.frame == 0).sum() and (~shown).sum() > 5
    assert over[shown].max() < 3 and over[~shown].min() > 1


def test_the_two_grains_have_the_angles_that_were_asked_for(made):
    bulk = made.truth.kind == "bulk"
    local = np.angle(np.exp(6j * (made.truth.orientation[bulk] - np.pi / 6))) / 6
    off = np.abs(np.angle(np.exp(6j * (local[:, None] - np.array(CONFIG.grain_angles)[None])))) / 6
    assert np.median(off.min(1)) < 0.03 and (np.bincount(off.argmin(1), minlength=2) > 0.1 * bulk.sum()).all()


def test_a_key_is_a_movie(made):
    again = simulate_movie(dataclasses.replace(CONFIG, frames=1), key=jax.random.key(0))
    assert np.array_equal(again.movie.frames[0], made.movie.frames[0])
    first = _frame(made.truth, 0)
    assert np.array_equal(again.truth.atoms.x, first.x) and np.array_equal(again.truth.atoms.species, first.species)


def test_a_field_without_room_is_an_error_and_a_sheet_may_be_eaten_up():
    with pytest.raises(ConfigError, match="no room for 6 Si"):
        simulate_movie(MovieConfig(size_px=64, frames=1), key=jax.random.key(0))
    eaten = dataclasses.replace(CONFIG, frames=3, si_atoms=1, hole_growth_nm=1.5)
    truth = simulate_movie(eaten, key=jax.random.key(0)).truth
    assert truth.atoms.frame.max() < 2  # nothing is left, and that is no error
