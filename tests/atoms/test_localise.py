"""Atoms out of maps that are drawn here, blob by blob, so that every answer is known."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from rvaejax.atoms.config import LocalisationConfig
from rvaejax.atoms.localise import find_atoms, localise_frame, peaks, probability, weighted_centroids
from rvaejax.errors import ConfigError, NoAtomsError
from rvaejax.simulate.config import BOND_NM, ImagingConfig
from rvaejax.types import Maps

PX = 0.02
CONFIG = LocalisationConfig()
BLOB = CONFIG.blob_nm / PX


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


def test_of_two_peaks_too_near_the_higher_stays():
    density = np.zeros((40, 40))
    density[10, 10], density[10, 13], density[30, 30], density[20, 5] = 0.9, 0.8, 0.7, 0.1
    assert peaks(density, 5.0, 0.3).tolist() == [[10, 10], [30, 30]]
    assert sorted(peaks(density, 2.0, 0.05).tolist()) == [[5, 20], [10, 10], [13, 10], [30, 30]]


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


def test_the_centroid_of_a_blob_of_another_width():
    """The correction of the weighted centroid holds at its fixed point whatever the blob's width."""
    d = np.arange(-6, 7)
    for width in (1.3, 1.7, 2.4):
        patch = np.exp(-0.5 * ((d[None] - 0.37) ** 2 + (d[:, None] + 0.22) ** 2) / width**2)
        centre, variance = weighted_centroids(patch[None], BLOB)
        assert centre[0] == pytest.approx([0.37, -0.22], abs=0.02)
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
