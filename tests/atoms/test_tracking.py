"""Trajectories against known identities: thermal motion, dropouts, drift, hops; time; a real hopping Si."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.analysis.sites import movie_sites
from rvaejax.analysis.trajectories import hops, species_changes, steps, turnover
from rvaejax.atoms.config import TrackingConfig
from rvaejax.atoms.drift import drift_between
from rvaejax.atoms.tracking import track_atoms
from rvaejax.simulate.config import SPECIES, MovieConfig
from rvaejax.simulate.dynamics.config import DynamicsConfig
from rvaejax.simulate.dynamics.kmc import relax_network
from rvaejax.simulate.dynamics.network import network, rotate_bond
from rvaejax.simulate.movie import simulate_dynamics
from rvaejax.simulate.sheet import honeycomb
from rvaejax.types import Atoms

PX = 0.016
DROPOUTS, NOISE_NM = 0.03, 0.005


def sheet(side_nm, angle=0.2):
    """Sites (n, 2) [nm] of a square of graphene."""
    zero = jnp.zeros(2)
    sites = np.asarray(honeycomb(jnp.float32(angle), zero, zero, side_nm), np.float64)
    return sites[(np.abs(sites) < side_nm / 2).all(1)] + side_nm / 2


def table(frame, xy_nm, species=None):
    species = np.full(len(frame), "C") if species is None else species
    x, y = np.asarray(xy_nm).T / PX
    return Atoms(np.asarray(frame), x, y, species, np.ones(len(x)), np.zeros(len(x)), PX)


def links(label, frame, longest=3):
    """Pairs of rows that are successive sightings of the same label."""
    order = np.lexsort((frame, label))
    before, after = order[:-1], order[1:]
    kept = (label[before] == label[after]) & (frame[after] - frame[before] <= longest)
    return set(zip(before[kept].tolist(), after[kept].tolist(), strict=True))


def under_beam(dose, seed):
    """Atoms with noise and dropouts, and their identities: eight frames at a share of the published dose."""
    config = MovieConfig(frames=8, size_px=192, pixel_size_nm=PX, dynamics=DynamicsConfig(dose=6.6e7 * dose))
    frames, places, names, kinds = [], [], [], []
    for t, net in enumerate(simulate_dynamics(config, key=jax.random.key(seed))):
        rows = np.flatnonzero(net.alive)
        rows = rows[((net.xy[rows] > 0) & (net.xy[rows] < config.field_nm)).all(1)]
        frames += [t] * len(rows)
        places.append(net.xy[rows].copy())
        names.append(rows)
        kinds.append(np.asarray(SPECIES)[net.species[rows]])
    rng = np.random.default_rng(0)
    xy = np.concatenate(places)
    kept = rng.random(len(xy)) > DROPOUTS
    atoms = table(np.array(frames), xy + NOISE_NM * rng.normal(size=xy.shape), np.concatenate(kinds))
    return atoms.select(kept), np.concatenate(names)[kept]


@pytest.fixture(scope="module")
def under_the_beam():
    """A fifth of the published dose a frame."""
    return under_beam(1 / 5, 1)


def test_links_of_a_sheet_under_the_beam_are_right(under_the_beam):
    atoms, identity = under_the_beam
    tracks = track_atoms(atoms)
    true, found = links(identity, atoms.frame), links(tracks.track, atoms.frame)
    assert len(found & true) / len(found) >= 0.99
    assert len(found & true) / len(true) >= 0.985
    # what moved less than half a bond can be told from any neighbour, and is
    moved = [np.hypot(atoms.x[i] - atoms.x[j], atoms.y[i] - atoms.y[j]) * PX for i, j in true]
    near = {pair for pair, length in zip(true, moved, strict=True) if length < 0.071}
    assert len(found & near) / len(near) >= 0.998


def taken_over(wrong, true, atoms):
    """Wrong links to a place that another atom of the species took, from nearer than where the first truly went."""
    after, before = dict(true), {j: i for i, j in true}
    xy = np.column_stack([atoms.x, atoms.y]) * PX

    def length(i, j):
        return np.inf if i is None or j is None else np.hypot(*(xy[i] - xy[j]))

    shorter = {(i, j) for i, j in wrong if length(i, j) < min(length(i, after.get(i)), length(before.get(j), j))}
    return {(i, j) for i, j in shorter if atoms.species[i] == atoms.species[j]}


@pytest.fixture(scope="module")
def under_the_full_beam():
    return under_beam(1.0, 3)


def test_at_the_full_dose_what_is_wrong_is_what_no_picture_shows(under_the_full_beam):
    """Atoms exchange places between two frames (bonds turn, vacancies wander), and equal atoms look the same."""
    atoms, identity = under_the_full_beam
    true, found = links(identity, atoms.frame), links(track_atoms(atoms).track, atoms.frame)
    wrong = found - true
    assert len(found & true) / len(found) >= 0.99
    assert len(found & true) / len(true) >= 0.985
    assert len(taken_over(wrong, true, atoms)) / len(wrong) > 0.6


def test_at_the_full_dose_links_said_to_be_sure_are_right(under_the_full_beam):
    """One link in a hundred is called doubtful, and doubtful links are wrong 30 times as often as the others."""
    atoms, identity = under_the_full_beam
    tracks = track_atoms(atoms)
    true, found = links(identity, atoms.frame), links(tracks.track, atoms.frame)
    sure = {pair for pair in found if tracks.sure[pair[1]]}
    assert len(sure) / len(found) > 0.98
    assert len(sure & true) / len(sure) >= 0.993
    doubtful = found - sure
    assert len(doubtful - true) / len(doubtful) > 30 * len(sure - true) / len(sure)


def test_more_is_wrong_where_no_bonds_are_followed(under_the_full_beam):
    """Neither the ways that dopants took nor the bonds that atoms kept: what was equal and near is then the same."""
    atoms, identity = under_the_full_beam
    true = links(identity, atoms.frame)

    def wrong(config):
        found = links(track_atoms(atoms, config).track, atoms.frame)
        return len(found - true) / len(found)

    assert wrong(TrackingConfig()) < 0.9 * wrong(TrackingConfig(bonded_nm=0.01))


def test_a_bond_whose_ends_are_missed_in_turn_is_no_atom_that_hopped():
    """One atom missed, in the next frame its neighbour: nothing else moved, so nobody has changed places."""
    xy = sheet(1.5)
    centre = int(np.argmin(np.hypot(*(xy - 0.75).T)))
    beside = int(np.argsort(np.hypot(*(xy - xy[centre]).T))[1])
    frame, row = np.repeat(np.arange(3), len(xy)), np.tile(np.arange(len(xy)), 3)
    kept = ~((row == centre) & (frame == 0)) & ~((row == beside) & (frame == 1))
    atoms, identity = table(frame, np.tile(xy, (3, 1))).select(kept), row[kept]
    assert links(track_atoms(atoms).track, atoms.frame) == links(identity, atoms.frame)
    by_distance = links(track_atoms(atoms, TrackingConfig(broken=0.0)).track, atoms.frame)
    assert by_distance - links(identity, atoms.frame)


def test_a_drift_is_found_and_changes_no_link(under_the_beam):
    atoms, _ = under_the_beam
    rng = np.random.default_rng(3)
    drift = np.cumsum(rng.normal(0, 6.0, (8, 2)), axis=0)  # px a frame; two thirds of a bond
    drift -= drift[0]
    still = track_atoms(atoms)
    moved = replace(atoms, x=atoms.x + drift[atoms.frame, 0], y=atoms.y + drift[atoms.frame, 1])
    tracks = track_atoms(moved)
    np.testing.assert_allclose(tracks.drift - still.drift, drift, atol=0.1)
    found, before = links(tracks.track, atoms.frame), links(still.track, atoms.frame)
    assert len(found & before) / len(before) > 0.999
    lost = links(track_atoms(moved, TrackingConfig(drift=False)).track, atoms.frame)
    assert len(lost & before) / len(before) < 0.8


def test_a_lattice_vector_is_told_from_no_drift_by_what_is_missing():
    rng = np.random.default_rng(1)
    xy = sheet(4.0)
    xy = xy[np.hypot(*(xy - 2).T) > 0.5]  # a hole
    shift = np.array([0.246, 0.02])
    after = xy[rng.random(len(xy)) > 0.05] + shift
    assert np.hypot(*(drift_between(xy, after, 0.4) - shift)) < 0.002
    assert np.hypot(*drift_between(xy, xy, 0.4)) < 1e-9


def test_an_atom_that_is_missed_keeps_its_trajectory_and_one_that_goes_does_not():
    xy = sheet(1.5)
    frame = np.repeat(np.arange(6), len(xy))
    atoms = table(frame, np.tile(xy, (6, 1)))
    row = np.tile(np.arange(len(xy)), 6)
    # atom 10 is missed twice, atom 20 goes for four frames, atom 30 is there only at first
    kept = ~((row == 10) & np.isin(frame, (2, 3))) & ~((row == 20) & (frame > 0) & (frame < 5))
    kept &= ~((row == 30) & (frame > 2))
    found = atoms.select(kept)
    tracks = track_atoms(found)
    row = row[kept]
    assert len(tracks) == len(xy) + 1
    assert len(np.unique(tracks.track[row == 10])) == 1 and len(np.unique(tracks.track[row == 20])) == 2
    out = turnover(found, tracks)
    assert out.births.tolist() == [0, 0, 0, 0, 0, 1] and out.deaths.tolist() == [0, 1, 0, 1, 0, 0]
    gaps = steps(found, tracks)
    assert gaps.frames.max() == 3 and gaps.length.max() < 1e-9


def hopping(path_rows, xy):
    """A Si that takes the places of `path_rows` one after another, C atoms exchanging with it."""
    identity = np.arange(len(xy))
    frames, names, places = [], [], []
    at = path_rows[0]
    for t, to in enumerate(path_rows):
        identity[[at, to]] = identity[[to, at]]
        at = to
        frames.append(np.full(len(xy), t))
        names.append(identity.copy())
        places.append(xy)
    species = np.where(np.concatenate(names) == path_rows[0], "Si", "C")
    return table(np.concatenate(frames), np.concatenate(places), species), np.concatenate(names)


def test_a_si_that_changes_places_is_followed_and_its_sublattice_with_it():
    xy = sheet(2.0)
    centre = int(np.argmin(np.hypot(*(xy - 1).T)))
    near = np.argsort(np.hypot(*(xy - xy[centre]).T))
    first, second = int(near[1]), int(near[4])  # a bond away, and a lattice vector
    atoms, identity = hopping([centre, centre, first, centre, second], xy)
    tracks = track_atoms(atoms)
    assert links(tracks.track, atoms.frame) >= {
        pair for pair in links(identity, atoms.frame) if atoms.species[pair[0]] == "Si"
    }
    found = hops(atoms, tracks, movie_sites(atoms).psi)
    assert found.flipped.tolist() == [0, 1, 1, 0]
    np.testing.assert_allclose(found.steps.length, [0, 0.142, 0.142, 0.246], atol=0.001)
    assert not len(species_changes(atoms, steps(atoms, tracks)).before)


def ring_around(xy, centre):
    """Rows of the six atoms of a hexagon nearest to a point, one after another around it."""
    rows = np.argsort(np.hypot(*(xy - centre).T))[:6]
    middle = xy[rows].mean(0)
    return rows[np.argsort(np.arctan2(*(xy[rows] - middle).T[::-1]))]


def hopped(xy, way):
    """Two frames in which a Si at way[0] goes to way[-1], exchanging places with each atom on its way."""
    identity = np.arange(len(xy))
    for here, there in zip(way[:-1], way[1:], strict=True):
        identity[[here, there]] = identity[[there, here]]
    names = np.concatenate([np.arange(len(xy)), identity])
    return table(np.repeat([0, 1], len(xy)), np.tile(xy, (2, 1)), np.where(names == way[0], "Si", "C")), names


def hexagon(xy):
    """A point in the middle of a hexagon near the sheet's middle."""
    around = np.argsort(np.hypot(*(xy - 1).T))[:1]
    near = xy[np.argsort(np.hypot(*(xy - xy[around]).T))[1:4]] - xy[around]
    return xy[around[0]] - near[0] * 1.0


def test_atoms_that_a_dopant_goes_through_move_one_place_back():
    """None of them is where it was, each place is taken by an equal atom, and yet they are followed."""
    xy = sheet(2.0)
    ring = ring_around(xy, hexagon(xy))
    for way in (ring[:2], ring[:3]):
        atoms, identity = hopped(xy, way)
        tracks = track_atoms(atoms)
        assert links(tracks.track, atoms.frame) == links(identity, atoms.frame)
        assert tracks.sure.all()


def test_two_ways_around_a_ring_are_as_good_and_their_atoms_doubtful():
    xy = sheet(2.0)
    ring = ring_around(xy, hexagon(xy))
    atoms, identity = hopped(xy, ring[:4])
    tracks = track_atoms(atoms)
    found, true = links(tracks.track, atoms.frame), links(identity, atoms.frame)
    doubtful = set(identity[~tracks.sure].tolist())
    assert doubtful == set(ring[1:].tolist())
    assert all(identity[i] in doubtful for i, _ in found - true)


def test_a_bond_that_turned_by_a_quarter_leaves_two_doubtful_atoms():
    """Turned either way the picture is the same, so the links are, and they are right for one of the two."""
    right = []
    for clockwise in (True, False):
        xy = sheet(2.0)
        net = network(xy, np.zeros(len(xy), int), np.zeros(len(xy), bool))
        one = int(np.argmin(np.hypot(*(xy - 1).T)))
        other = net.neighbours[one][0]
        relax_network(net)
        before = net.xy.copy()
        rotate_bond(net, one, other, clockwise=clockwise)
        relax_network(net)
        atoms = table(np.repeat([0, 1], len(xy)), np.concatenate([before, net.xy]))
        tracks = track_atoms(atoms)
        assert len(tracks) == len(xy)
        assert set(np.flatnonzero(~tracks.sure) - len(xy)) == {one, other}
        wrong = np.flatnonzero(tracks.track[: len(xy)] != tracks.track[len(xy) :])
        assert set(wrong) <= {one, other}
        right.append(not len(wrong))
    assert sorted(right) == [False, True]


def test_a_misread_species_is_a_change_and_not_a_death():
    xy = sheet(1.5)
    atoms = table(np.repeat(np.arange(3), len(xy)), np.tile(xy, (3, 1)))
    species = atoms.species.astype("U2")
    species[[5, 5 + 2 * len(xy)]] = "Si"  # read as C in the middle frame
    atoms = replace(atoms, species=species)
    tracks = track_atoms(atoms)
    assert len(tracks) == len(xy)
    assert len(species_changes(atoms, steps(atoms, tracks)).before) == 2


@pytest.mark.parametrize("rows", [0, 1])
def test_few_atoms_and_one_frame(rows):
    atoms = table(np.zeros(rows, int), np.ones((rows, 2)))
    tracks = track_atoms(atoms)
    assert len(tracks) == rows and tracks.drift.shape == (rows, 2)
    assert not len(steps(atoms, tracks).before)


def test_frames_without_atoms_are_gaps():
    atoms = table(np.array([0, 3, 9]), np.ones((3, 2)))
    assert track_atoms(atoms).track.tolist() == [0, 0, 1]  # at most two frames may be missed


def test_a_thousand_atoms_are_followed_through_forty_frames():
    rng = np.random.default_rng(0)
    xy = sheet(5.25)
    assert len(xy) > 1000
    frame = np.repeat(np.arange(40), len(xy))
    kept = rng.random(len(frame)) > DROPOUTS
    atoms = table(frame, np.tile(xy, (40, 1)) + NOISE_NM * rng.normal(size=(len(frame), 2))).select(kept)
    tracks = track_atoms(atoms)
    identity = np.tile(np.arange(len(xy)), 40)[kept]
    true, found = links(identity, atoms.frame), links(tracks.track, atoms.frame)
    assert len(found & true) / len(found) > 0.999


@pytest.mark.real
def test_the_path_of_a_real_silicon_atom(real_data):
    """48 frames of one Si that hops through graphene: on 41 of 44 steps it changes its sublattice."""
    from rvaejax.atoms.localise import find_atoms
    from rvaejax.io.movies import read_movie
    from rvaejax.segmentation.predict import segment

    path = real_data / "si_hopping" / "si_hopping_48frames.npz"
    found = find_atoms(segment(read_movie(path)))
    with np.load(path) as stored:
        number, labels = stored["source_index"], stored["labels"]
    atoms = replace(found, frame=number[found.frame])  # three frames of the series are missing
    tracks = track_atoms(atoms)
    silicon = tracks.track[atoms.species == "Si"]
    rows = np.flatnonzero((tracks.track == np.bincount(silicon).argmax()) & (atoms.species == "Si"))
    assert len(rows) == 48
    known = {int(number[int(row[0])]): row[[4, 3]] for row in labels if row[2] == 14}
    error = [np.hypot(atoms.x[i] - known[atoms.frame[i]][0], atoms.y[i] - known[atoms.frame[i]][1]) for i in rows]
    assert max(error) * atoms.pixel_size_nm < 0.05
    made = hops(atoms, tracks, movie_sites(atoms).psi)
    assert len(made.flipped) == 44 and made.flipped.sum() == 41
    assert np.median(made.steps.length) == pytest.approx(0.146, abs=0.0015)
