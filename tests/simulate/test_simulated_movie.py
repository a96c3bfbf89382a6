"""A movie and its truth: the truth has to be where the picture shows it."""

import dataclasses

import jax
import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

from rvaejax.errors import ConfigError, FormatError
from rvaejax.pipeline.simulated import RINGS, read_truth, write_truth
from rvaejax.simulate.config import BOND_NM, MovieConfig
from rvaejax.simulate.dynamics.config import DynamicsConfig
from rvaejax.simulate.movie import simulate_movie

# few frames, each with the dose of six: the story of a long movie in short
FAST = DynamicsConfig(dose=6 * DynamicsConfig.dose)
CONFIG = MovieConfig(frames=6, size_px=224, pixel_size_nm=0.016, holes=1, si_atoms=6, counts=400.0, dynamics=FAST)
LAST = CONFIG.frames - 1


@pytest.fixture(scope="module")
def made():
    return simulate_movie(CONFIG, key=jax.random.key(0))


def _frame(truth, t):
    return truth.atoms.select(truth.atoms.frame == t)


def _rows(truth, t):
    return np.flatnonzero(truth.atoms.frame == t)


def test_an_identity_is_one_atom_in_all_frames(made):
    truth = made.truth
    for number in np.unique(truth.identity):
        here = truth.identity == number
        assert (np.diff(truth.atoms.frame[here]) > 0).all()  # at most once a frame
        assert len(set(truth.atoms.species[here])) == 1  # carbon stays carbon


def test_atoms_stay_where_they_are_unless_they_hop(made):
    truth, moves = made.truth, []
    for t in range(LAST):
        a, b = _rows(truth, t), _rows(truth, t + 1)
        common, i, j = np.intersect1d(truth.identity[a], truth.identity[b], return_indices=True)
        d = np.column_stack([truth.atoms.x, truth.atoms.y])
        moves.append(np.hypot(*(d[a[i]] - d[b[j]]).T) * CONFIG.pixel_size_nm)
        assert len(common) > 100
    moves = np.concatenate(moves)
    assert np.median(moves) < 0.03 and (moves > 0.1).mean() < 0.25 and moves.max() < 1.5  # six frames' hops in one


def test_silicon_goes_to_the_edges_and_is_not_lost(made):
    """Of the Si that the movie still shows, more lie at a hole; graphene around it has gone."""
    truth = made.truth
    counts = [np.count_nonzero(truth.atoms.species[_rows(truth, t)] == "Si") for t in range(CONFIG.frames)]
    assert max(counts) <= CONFIG.si_atoms and counts[-1] >= CONFIG.si_atoms // 2
    rows = _rows(truth, LAST)
    silicon = truth.atoms.species[rows] == "Si"
    # two hexagons or fewer, no ring of another kind on the third side: it lies on a rim
    rim = truth.rings[rows].sum(1) < 3
    assert rim[silicon].mean() > 1.5 * rim[~silicon].mean()


def test_pentagons_and_heptagons_appear_and_order_falls(made):
    truth = made.truth
    share, order = [], []
    for t in (0, LAST):
        rows = _rows(truth, t)
        rings = truth.rings[rows].sum(0)[5:8] / np.arange(5, 8)
        share.append(rings[[0, 2]] / rings.sum())
        order.append(truth.crystallinity[rows].mean())
    assert share[1].sum() > max(1.5 * share[0].sum(), 0.1) and (share[1] > 0.01).all()
    assert order[1] < order[0] - 0.06 and 0.75 < order[0] <= 1
    assert set(truth.kind) == {"bulk", "defect", "edge", "Si"}


def test_bonds_keep_their_length_and_angles(made):
    truth = made.truth
    for t in (0, LAST):
        rows = _rows(truth, t)
        xy = np.column_stack([truth.atoms.x[rows], truth.atoms.y[rows]]) * CONFIG.pixel_size_nm
        bulk = (truth.kind[rows] == "bulk") & (np.abs(xy - CONFIG.field_nm / 2).max(1) < CONFIG.field_nm / 2 - 0.2)
        length = cKDTree(xy).query(xy[bulk], 4)[0][:, 1:]
        assert abs(length.mean() / BOND_NM - 1) < 0.03 and np.quantile(abs(length / BOND_NM - 1), 0.95) < 0.08


def _emptiest(truth, t, size):
    """Radius of the largest circle without atoms whose middle is well inside the frame [nm], away from the corner."""
    atoms = _frame(truth, t)
    y, x = np.mgrid[20 : size - 20, 20 : size - 20].reshape(2, -1)
    clear = x + y < 1.2 * size
    distance = cKDTree(np.column_stack([atoms.x, atoms.y])).query(np.column_stack([x, y])[clear])[0]
    return distance.max() * CONFIG.pixel_size_nm


def test_holes_grow_and_atoms_go(made):
    carbon = np.bincount(made.truth.atoms.frame[made.truth.atoms.species == "C"])
    assert (np.diff(carbon) < 0).all() and 0.4 < carbon[-1] / carbon[0] < 0.9
    radii = [_emptiest(made.truth, t, CONFIG.size_px) for t in (0, LAST)]
    assert radii[0] > 0.5 * CONFIG.hole_radius_nm and radii[1] > 1.1 * radii[0]


def test_the_truth_is_where_the_picture_is_bright(made):
    for t in range(CONFIG.frames):
        atoms = _frame(made.truth, t)
        inside = (np.minimum(atoms.x, atoms.y) > 6) & (np.maximum(atoms.x, atoms.y) < 217)
        atoms = atoms.select(inside & (np.hypot(224 - atoms.x, 224 - atoms.y) > 0.45 * 224))  # off the contamination
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
    assert dirt[-20:, -20:].mean() > 4 and abs(dirt[:112, :112]).max() < 0.5
    shown = np.isin(clean.truth.identity, made.truth.identity[made.truth.atoms.frame == 0])
    at = clean.truth.atoms
    over = ndimage.map_coordinates(dirt, [at.y, at.x], order=1, mode="nearest")
    assert shown.sum() == (made.truth.atoms.frame == 0).sum() and (~shown).sum() > 5
    assert over[shown].max() < 3 and over[~shown].min() > 1


def test_the_two_grains_have_the_angles_that_were_asked_for(made):
    bulk = (made.truth.kind == "bulk") & (made.truth.atoms.frame == 0)
    local = np.angle(np.exp(6j * (made.truth.orientation[bulk] - np.pi / 6))) / 6
    off = np.abs(np.angle(np.exp(6j * (local[:, None] - np.array(CONFIG.grain_angles)[None])))) / 6
    assert np.median(off.min(1)) < 0.03 and (np.bincount(off.argmin(1), minlength=2) > 0.1 * bulk.sum()).all()


def test_a_key_is_a_movie(made):
    again = simulate_movie(dataclasses.replace(CONFIG, frames=1), key=jax.random.key(0))
    assert np.array_equal(again.movie.frames[0], made.movie.frames[0])
    first = _frame(made.truth, 0)
    assert np.array_equal(again.truth.atoms.x, first.x) and np.array_equal(again.truth.atoms.species, first.species)


def test_a_field_without_room_is_an_error():
    with pytest.raises(ConfigError, match="no room for 60 Si"):
        simulate_movie(dataclasses.replace(CONFIG, size_px=64, frames=1, si_atoms=60), key=jax.random.key(0))


@pytest.mark.slow
def test_the_long_movie_tells_the_published_story():
    """About 2,100 atoms fall to about 1,400 in 50 frames, as in the published movie; its rings at the end are 11 %
    pentagons, 9 % heptagons."""
    config = MovieConfig(contamination=False)
    truth = simulate_movie(config, key=jax.random.key(1)).truth
    carbon = np.bincount(truth.atoms.frame[truth.atoms.species == "C"])
    assert 2000 < carbon[0] < 2300 and 1150 < carbon[-1] < 1650
    rows = _rows(truth, 49)
    rings = truth.rings[rows].sum(0)[5:8] / np.arange(5, 8)
    assert 0.08 < rings[0] / rings.sum() < 0.22 and 0.02 < rings[2] / rings.sum() < 0.12
    silicon = truth.atoms.species[rows] == "Si"
    assert silicon.sum() >= 12 and (truth.rings[rows][silicon].sum(1) < 3).mean() > 0.6


def test_the_truth_comes_back_from_its_file(made, tmp_path):
    path = write_truth(tmp_path / "movie_truth.csv", made.truth)
    back, truth = read_truth(path, CONFIG.pixel_size_nm), made.truth
    for name in ("identity", "coordination", "kind", "smallest_ring", "largest_ring"):
        assert (getattr(back, name) == getattr(truth, name)).all()
    assert (back.atoms.frame == truth.atoms.frame).all() and (back.atoms.species == truth.atoms.species).all()
    np.testing.assert_allclose(back.atoms.x, truth.atoms.x, atol=1e-4)
    np.testing.assert_allclose(back.atoms.y, truth.atoms.y, atol=1e-4)
    np.testing.assert_allclose(back.orientation, truth.orientation, atol=1e-5)  # NaN where it is NaN
    np.testing.assert_allclose(back.crystallinity, truth.crystallinity, atol=1e-4)
    assert (back.rings[:, list(RINGS)] == truth.rings[:, list(RINGS)]).all()
    path.write_text("frame,x_px\n0,nothing\n")
    with pytest.raises(FormatError, match="movie_truth.csv"):
        read_truth(path, CONFIG.pixel_size_nm)
