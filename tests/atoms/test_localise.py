"""Atoms out of maps that are drawn here, blob by blob, so that every answer is known."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

from rvaejax.atoms.config import LocalisationConfig
from rvaejax.atoms.localise import SPLIT_ROWS, find_atoms, found_spots, localise_frame, probability, split
from rvaejax.atoms.spots import Lengths, find_spots, is_peak, weighted_centroids
from rvaejax.errors import ConfigError, NoAtomsError
from rvaejax.simulate.config import BOND_NM, ImagingConfig
from rvaejax.types import Maps, Movie

PX = 0.02
CONFIG = LocalisationConfig()
BLOB = CONFIG.blob_nm / PX
LENGTHS = Lengths(BLOB, CONFIG.smoothing_nm / PX, CONFIG.separation_nm / PX, 0.15)


def _maps(xy, species=None, *, size=(96, 96), height=1.0, extra_nm=0.0):
    """Blobs as the segmenter's labels have them (clipped to sum 1); `extra_nm`: what the position's posterior adds.

    A label blurred by a posterior keeps its volume, so it is lower where it is wider.
    """
    xy = np.asarray(xy, float).reshape(-1, 2)
    species = np.zeros(len(xy), int) if species is None else np.asarray(species)
    sigma = np.hypot(BLOB, extra_nm / PX)
    y, x = np.indices(size)
    out = np.zeros((*size, 2))
    for (ax, ay), s in zip(xy, species, strict=True):
        r2 = (x - ax) ** 2 + (y - ay) ** 2
        out[..., s] += height * (BLOB / sigma) ** 2 * np.exp(-r2 / (2 * sigma**2))
    return out / np.maximum(out.sum(-1, keepdims=True), 1)


def _pairs(xy, found):
    """Row in `found` nearest to each of `xy`, and the distance; none may be taken twice."""
    distance, row = cKDTree(found).query(xy)
    assert len(np.unique(row)) == len(xy) == len(found)
    return row, distance


def _lattice(angle):
    """Sites a bond length apart, every one of them with neighbours."""
    bond = BOND_NM / PX * np.exp(1j * angle)
    i, j = np.mgrid[-9:10, -9:10].reshape(2, -1)
    cell = i * bond * np.sqrt(3) * np.exp(1j * np.pi / 6) + j * bond * np.sqrt(3) * np.exp(-1j * np.pi / 6)
    sites = np.concatenate([cell, cell + bond]) + 48.3 + 47.6j
    xy = np.column_stack([sites.real, sites.imag])
    return xy[((xy > 4) & (xy < 91)).all(1)]


def test_the_label_is_the_simulators():
    assert ImagingConfig().label_nm == CONFIG.blob_nm


def test_a_lone_blob_is_found_exactly_wherever_it_lies():
    rng = np.random.default_rng(0)
    corners = np.stack(np.meshgrid([16, 48, 80], [16, 48, 80]), -1).reshape(-1, 2)
    for _ in range(5):
        xy = corners + rng.uniform(-0.5, 0.5, corners.shape)
        found, _, score, sd = localise_frame(_maps(xy), PX, CONFIG)
        row, distance = _pairs(xy, found)
        assert distance.max() < 0.005
        assert np.allclose(score, 1, atol=0.01) and np.allclose(sd * PX, CONFIG.floor_nm)


@pytest.mark.parametrize("angle", [0.0, 0.2, 0.9])
def test_neighbours_at_a_bond_length_do_not_pull(angle):
    xy = _lattice(angle)
    found, _, score, _ = localise_frame(_maps(xy), PX, CONFIG)
    _, distance = _pairs(xy, found)
    surrounded = np.hypot(*(xy - xy.mean(0)).T) < 30
    assert distance[surrounded].max() < 0.002 and distance.max() < 0.03  # 0.6 pm, where there are two or one
    assert score.min() > 0.97


def test_neighbours_on_one_side_only_do_not_pull_much():
    """The edge of a hole: the worst that a sheet can do to a centroid."""
    xy = _lattice(0.3)
    xy = xy[xy[:, 0] < 48]
    found = localise_frame(_maps(xy), PX, CONFIG)[0]
    assert _pairs(xy, found)[1].max() < 0.03


@pytest.mark.parametrize("apart_nm", [0.1, 0.12, 0.15])
def test_touching_blobs_are_split(apart_nm):
    rng = np.random.default_rng(1)
    for _ in range(10):
        phi = rng.uniform(0, 2 * np.pi)
        half = apart_nm / PX / 2 * np.array([np.cos(phi), np.sin(phi)])
        middle = np.array([48, 48]) + rng.uniform(-0.5, 0.5, 2)
        xy = np.stack([middle - half, middle + half])
        found = localise_frame(_maps(xy), PX, CONFIG)[0]
        assert _pairs(xy, found)[1].max() * PX < 0.012


def peaks(density, separation, least):
    """(x, y) of the peaks."""
    y, x = np.nonzero(jax.jit(is_peak, static_argnums=(1, 2))(jnp.asarray(density, jnp.float32), separation, least))
    return np.column_stack([x, y])


def test_of_two_peaks_too_near_the_higher_stays():
    density = np.zeros((40, 40))
    density[10, 10], density[10, 13], density[30, 30], density[20, 5] = 0.9, 0.8, 0.7, 0.1
    assert peaks(density, 5.0, 0.3).tolist() == [[10, 10], [30, 30]]
    assert sorted(peaks(density, 2.0, 0.05).tolist()) == [[5, 20], [10, 10], [13, 10], [30, 30]]


@pytest.mark.parametrize("levels", [7, 10**6])
@pytest.mark.parametrize("separation", [1.0, 3.0, 4.2])
def test_peaks_are_those_found_one_by_one(separation, levels):
    """With few levels most maxima are shared: of equals within reach the first stays."""
    density = np.random.default_rng(0).integers(0, levels, (33, 41)) / levels
    reach = max(round(separation), 1)
    highest = ndimage.maximum_filter(density, 2 * reach + 1, mode="constant")
    places = [(x, y) for y, x in np.argwhere((density == highest) & (density > 0.3))]
    expected = [p for i, p in enumerate(places) if all(np.hypot(*np.subtract(p, q)) > reach for q in places[:i])]
    assert len(expected) > 5 and peaks(density, separation, 0.3).tolist() == [list(p) for p in expected]


def _weighted_centroid(density, pixel):
    """The centroid of one blob, step by step in NumPy, compared with that of a label that the border cuts alike."""
    y, x = np.indices(density.shape)
    x, y = x - pixel[0], y - pixel[1]
    near, window, at = np.maximum(abs(x), abs(y)) <= LENGTHS.reach, 0.75 * BLOB, np.zeros(2)
    for _ in range(4):
        squared = (x - at[0]) ** 2 + (y - at[1]) ** 2
        weight = near * np.exp(-0.5 * squared / window**2)
        mean, cut = (
            np.array([(w * x).sum(), (w * y).sum()]) / w.sum()
            for w in (weight * density, weight * np.exp(-0.5 * squared / BLOB**2))
        )
        at = np.clip(at + (1 + (BLOB / window) ** 2) * (mean - cut), -LENGTHS.reach / 2, LENGTHS.reach / 2)
    return at


def test_blobs_are_those_found_one_by_one_and_in_many_frames_at_once():
    rng = np.random.default_rng(4)
    sheets = [_lattice(angle)[rng.random(len(_lattice(angle))) < 0.9] for angle in (0.2, 0.7)]
    maps = np.stack([_maps(xy + rng.normal(0, 0.6, xy.shape), rng.integers(0, 2, len(xy))) for xy in sheets])
    maps = np.clip(maps + rng.normal(0, 0.02, maps.shape), 0, 1).astype(np.float16)
    at_once = jax.vmap(lambda frame: find_spots(frame, LENGTHS, 256))(jnp.asarray(maps))
    for t, frame in enumerate(maps.astype(np.float32)):
        density = frame.sum(-1)
        seen = ndimage.gaussian_filter(density, LENGTHS.smoothing)
        spots = found_spots(jnp.asarray(maps[t]), LENGTHS, PX)
        assert np.array_equal(spots.pixel, peaks(seen, LENGTHS.separation, LENGTHS.least))
        one_by_one = [_weighted_centroid(density, pixel) for pixel in spots.pixel]
        np.testing.assert_allclose(spots.offset, one_by_one, atol=2e-5)
        assert int(at_once.total[t]) == len(one_by_one)
        for name in ("pixel", "offset", "variance", "mass", "overlap"):
            together = np.asarray(getattr(at_once, name)[t])[: len(one_by_one)]
            np.testing.assert_allclose(together, getattr(spots, name), rtol=1e-4, atol=1e-5)


def test_denser_maps_than_any_sheet_find_room():
    dots = np.zeros((80, 80, 1), np.float32)
    dots[::5, ::5] = 1.0
    assert len(found_spots(jnp.asarray(dots), LENGTHS, 1e-3).pixel) == 256  # room for one chunk, which it fills
    dots[2::5, 2::5] = 1.0
    assert len(found_spots(jnp.asarray(dots), LENGTHS._replace(separation=1.0), 1e-3).pixel) == 512


def test_any_number_of_blobs_is_split():
    count = SPLIT_ROWS + 5
    rng = np.random.default_rng(2)
    centre = 12 + 20.0 * np.stack(np.divmod(np.arange(count), 7), 1) + rng.uniform(-0.5, 0.5, (count, 2))
    phi = rng.uniform(0, np.pi, count)
    arm = 0.5 * 0.055 / PX * np.column_stack([np.cos(phi), np.sin(phi)])
    maps = jnp.asarray(_maps(np.concatenate([centre - arm, centre + arm]), size=(150, 140)))
    spots = found_spots(maps, LENGTHS, PX)
    ends, overlaps = split(maps, np.asarray(spots.pixel), LENGTHS)
    assert len(spots.pixel) == count and len(ends) == len(overlaps) == 2 * count
    _, distance = _pairs(np.concatenate([centre - arm, centre + arm]), np.repeat(spots.pixel, 2, 0) + ends)
    assert distance.max() * PX < 0.012 and overlaps.sum(1).min() > 0.8


@pytest.mark.parametrize("sd_nm", [0.008, 0.015, 0.025])
def test_the_width_beyond_the_labels_is_the_positions_uncertainty(sd_nm):
    """A label blurred by a posterior of that width has its variance added."""
    xy = np.array([[30.2, 40.7], [62.5, 50.1]])
    blurred = _maps(xy, extra_nm=sd_nm)
    plain = LocalisationConfig(
        threshold=0.2, floor_nm=1e-6, blur_nm=1e-6, spread_gain=1.0, score_gain=1.0, score_offset=0.0
    )
    _, _, score, sd = localise_frame(blurred, PX, plain)
    assert sd * PX == pytest.approx([sd_nm, sd_nm], rel=0.08)
    # the shipped calibration: what the network blurs by itself comes off, a floor is added
    calibrated = LocalisationConfig(threshold=0.2)
    excess = max(sd[0] ** 2 * PX**2 - calibrated.blur_nm**2, 0)
    expected = np.sqrt(calibrated.spread_gain**2 * excess + calibrated.floor_nm**2)
    assert localise_frame(blurred, PX, calibrated)[3] * PX == pytest.approx([expected] * 2, rel=1e-3)
    # overlap of the label with itself blurred, over that with itself: both Gaussian
    assert score == pytest.approx([1 / (1 + 0.5 * (sd_nm / CONFIG.blob_nm) ** 2)] * 2, rel=0.03)


@pytest.mark.parametrize("height", [0.3, 0.6, 0.9])
def test_the_score_is_the_blobs_height(height):
    plain = LocalisationConfig(threshold=0.2, score_gain=1.0, score_offset=0.0)
    found = localise_frame(_maps([[40.3, 50.6]], height=height), PX, plain)
    assert found[2] == pytest.approx([height], rel=0.02)
    sure = localise_frame(_maps([[40.3, 50.6]], height=height), PX, LocalisationConfig(threshold=0.5))
    assert len(sure[0]) == (height > 0.5)


def test_the_calibration_of_the_score_is_monotone_and_keeps_what_is_sure():
    overlap = np.linspace(-0.1, 1.1, 61)
    score = probability(overlap, CONFIG)
    assert (np.diff(score) >= 0).all() and score[0] < 1e-3 and score[-1] > 0.999
    inner = slice(6, -6)
    odds, raw = (np.log(v[inner] / (1 - v[inner])) for v in (score, overlap))
    np.testing.assert_allclose(np.polyfit(raw, odds, 1), [CONFIG.score_gain, CONFIG.score_offset], rtol=1e-6)


def test_the_stated_uncertainty_has_a_floor():
    sd = localise_frame(_maps([[40, 50]]), PX, LocalisationConfig(floor_nm=0.004))[3]
    assert sd * PX == pytest.approx([0.004], rel=1e-6)


@pytest.mark.parametrize(("share", "expected"), [(0.3, 0), (0.55, 0), (0.65, 1), (1.0, 1)])
def test_a_dopant_needs_more_than_half_of_the_blob(share, expected):
    """Dopants are rare: a blob is of the first species until another has 60 % of it; an atom it is in any case."""
    mixed = _maps([[40.0, 40.0]], [0], height=1 - share) + _maps([[40.0, 40.0]], [1], height=share)
    _, species, score, _ = localise_frame(mixed, PX, CONFIG)
    assert species.tolist() == [expected] and score == pytest.approx([1.0], abs=0.02)


def test_a_frame_of_unsure_atoms_is_noise(caplog):
    """At no dose is a lattice seen and yet most of its atoms doubted; the frame is left empty, and the log says so."""
    sure, unsure = _maps(_lattice(0.1)), _maps(_lattice(0.1), height=0.65)
    some = np.where(np.arange(96)[None, :, None] < 30, unsure, sure)  # a doubtful edge does not spoil a frame
    atoms = find_atoms(_as_maps(np.stack([sure, unsure, some]), (96, 96), PX))
    assert np.bincount(atoms.frame, minlength=3)[1] == 0
    assert (atoms.frame == 0).sum() == (atoms.frame == 2).sum() == len(_lattice(0.1))
    assert "film: 1 of 3 frames show nothing but noise, the first is 1" in caplog.text
    with pytest.raises(NoAtomsError):
        find_atoms(_as_maps(unsure[None], (96, 96), PX))


def test_species_is_the_channel():
    xy = np.array([[20.0, 20.4], [50.2, 30.0], [70.1, 70.7]])
    found, species, _, _ = localise_frame(_maps(xy, [0, 1, 0]), PX, CONFIG)
    row, _ = _pairs(xy, found)
    assert species[row].tolist() == [0, 1, 0]


def test_atoms_at_the_very_border_are_found():
    xy = np.array([[0.0, 40.0], [95.0, 60.3], [40.2, 0.3], [60.0, 94.8]])
    found = localise_frame(_maps(xy), PX, CONFIG)[0]
    assert _pairs(xy, found)[1].max() < 0.75  # half a blob is all there is


def test_a_blob_cut_by_the_border_is_where_its_middle_is():
    """What is left of it has its centroid farther in, and would be an atom that stands beside its neighbour."""
    xy = np.array([[0.0, 40.0], [95.0, 60.3], [40.2, 0.8], [60.0, 94.6], [-0.3, 80.0]])
    found, _, score, _ = localise_frame(_maps(xy), PX, CONFIG)
    assert _pairs(xy, found)[1].max() < 0.15 and score.min() > 0.9


def test_an_atom_beyond_the_border_is_none_of_the_frames():
    inside = np.array([[6.0, 40.0], [40.0, 30.0]])
    beyond = np.array([[-1.5, 40.3], [97.0, 20.0], [70.0, -2.0]])
    found = localise_frame(_maps(np.concatenate([inside, beyond])), PX, CONFIG)[0]
    assert _pairs(inside, found)[1].max() < 0.1


def test_the_centroid_of_a_blob_of_another_width():
    """The correction of the weighted centroid holds at its fixed point whatever the blob's width."""
    d = np.arange(-6, 7)
    for width in (1.3, 1.7, 2.4):
        patch = np.exp(-0.5 * ((d[None] - 0.37) ** 2 + (d[:, None] + 0.22) ** 2) / width**2)
        whole = jnp.ones((2, len(d), 1))
        centre, variance = jax.jit(weighted_centroids, static_argnums=2)(jnp.asarray(patch)[..., None], whole, BLOB)
        assert centre[:, 0] == pytest.approx([0.37, -0.22], abs=0.02)
        assert variance[0] == pytest.approx(width**2, rel=0.05)


def _as_maps(probabilities, input_size, input_px):
    px = input_px * input_size[0] / probabilities.shape[1]
    return Maps(probabilities, ("C", "Si"), px, input_size, input_px, name="film")


@pytest.mark.parametrize(
    ("input_size", "map_size"), [((96, 96), (96, 96)), ((120, 150), (96, 120)), ((60, 45), (96, 72))]
)
def test_positions_are_in_the_pixels_of_the_input(input_size, map_size):
    """Pixel centres at whole numbers on both grids: the corner of the image, at -1/2, is the same point."""
    scale = input_size[0] / map_size[0]
    at = np.array([[16.0, 41.5], [31.25, 12.75]])
    drawn = _maps((at + 0.5) / scale - 0.5, [0, 1], size=map_size)
    atoms = find_atoms(_as_maps(np.stack([drawn] * 2), input_size, PX / scale))
    assert atoms.frame.tolist() == [0, 0, 1, 1] and atoms.pixel_size_nm == PX / scale
    row, distance = _pairs(at, np.column_stack([atoms.x, atoms.y])[:2])
    assert distance.max() < 0.01 * scale and atoms.species[row].tolist() == ["C", "Si"]
    assert np.allclose(atoms.sd * atoms.pixel_size_nm, CONFIG.floor_nm, rtol=1e-3)  # in input pixels too


def test_atoms_are_ordered_by_frame_then_row_then_column():
    rng = np.random.default_rng(3)
    frames = np.stack([_maps(rng.permutation(_lattice(0.1))[:40]) for _ in range(3)])
    atoms = find_atoms(_as_maps(frames, (96, 96), PX))
    order = np.lexsort((atoms.x, atoms.y, atoms.frame))
    assert np.array_equal(order, np.arange(len(atoms)))


def test_a_frame_without_atoms_is_fine_a_movie_without_is_an_error():
    frames = np.stack([np.zeros((96, 96, 2)), _maps([[40, 50]])])
    assert find_atoms(_as_maps(frames, (96, 96), PX)).frame.tolist() == [1]
    with pytest.raises(NoAtomsError, match="film: no atoms found; check the pixel size") as error:
        find_atoms(_as_maps(frames[:1], (96, 96), PX))
    assert "\n" not in str(error.value)


def test_an_evenly_unsure_map_holds_no_atoms():
    with pytest.raises(NoAtomsError):
        find_atoms(_as_maps(np.full((1, 96, 96, 2), 0.1), (96, 96), PX))


@pytest.mark.parametrize("wrong", [{"threshold": 0.0}, {"threshold": 1.0}, {"blob_nm": 0.0}, {"floor_nm": -1.0}])
def test_options_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ConfigError, match=str(next(iter(wrong.values())))) as error:
        LocalisationConfig(**wrong)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("apart_nm", [0.045, 0.055, 0.065])
def test_atoms_that_merge_into_one_blob_are_split(apart_nm):
    rng = np.random.default_rng(1)
    for _ in range(4):
        phi, centre = rng.uniform(0, np.pi), 48 + rng.uniform(-0.5, 0.5, 2)
        half = 0.5 * apart_nm / PX * np.array([np.cos(phi), np.sin(phi)])
        xy = np.stack([centre + half, centre - half])
        found, _, score, _ = localise_frame(_maps(xy), PX, CONFIG)
        _, distance = _pairs(xy, found)
        assert distance.max() * PX < 0.012 and (score > 0.8).all()
    whole, *_ = localise_frame(_maps(_lattice(0.2)), PX, CONFIG)
    assert len(whole) == len(_lattice(0.2))  # and nothing else is


def test_atoms_that_refinement_moves_beyond_the_border_are_none_of_the_frames(monkeypatch):
    xy = np.array([[0.1, 40.0], [40.0, 95.2], [30.0, 30.0], [60.0, 60.0]])

    def refined(image, places, species, sd, pixel_size_nm, prior_gain):
        outwards = np.where(places < 1, -1.0, np.where(places > 94, 1.0, 0.0))
        return places + outwards, sd

    monkeypatch.setattr("rvaejax.atoms.localise.refined", refined)
    film = Movie(np.zeros((1, 96, 96), np.float32), PX, "option", name="film")
    atoms = find_atoms(replace(_as_maps(_maps(xy)[None], (96, 96), PX), movie=film))
    np.testing.assert_allclose(np.column_stack([atoms.x, atoms.y]), [[30, 30], [60, 60]], atol=0.01)
