"""The shipped segmenter on frames whose atoms are known."""

import dataclasses
import logging

import jax
import numpy as np
import pytest

from rvaejax.analysis.scores import match, score_atoms
from rvaejax.atoms.localise import find_atoms
from rvaejax.errors import ImageError, NoAtomsError
from rvaejax.io.render import render
from rvaejax.segmentation.predict import segment
from rvaejax.simulate.config import MovieConfig
from rvaejax.simulate.movie import simulate_movie
from rvaejax.types import Atoms, Movie

SIZE, PX = 192, 0.016


@pytest.fixture(scope="module")
def made():
    return simulate_movie(MovieConfig(frames=2, size_px=SIZE, si_atoms=4), key=jax.random.key(3))


@pytest.fixture(scope="module")
def found(made):
    return find_atoms(segment(made.movie))


def _xy(atoms, t=0):
    return np.column_stack([atoms.x, atoms.y])[atoms.frame == t]


def test_atoms_at_a_moderate_dose(made, found):
    scores = score_atoms(made.truth.atoms, found, size=(SIZE, SIZE))
    assert scores.f1 > 0.97 and scores.rmse_pm < 15
    assert scores.species_accuracy > 0.99


def test_neither_holes_nor_contamination_hold_atoms(made, found):
    """Away from every true atom there is none; the contaminated corner counts as away."""
    for t in range(2):
        xy, true = _xy(found, t), _xy(made.truth.atoms, t)
        inside = (xy > 8).all(1) & (xy < SIZE - 9).all(1)
        distance = np.hypot(*(xy[inside, None] - true[None]).transpose(2, 0, 1)).min(1) * PX
        assert (distance > 0.1).mean() < 0.02


def test_a_hot_pixel_changes_no_atom_elsewhere(made, found):
    frame = made.movie.frames[0].copy()
    frame[60, 121] = 1e6
    hot = find_atoms(segment(dataclasses.replace(made.movie, frames=frame[None])))
    before, after = _xy(found), _xy(hot)
    away = [np.hypot(*(xy - [121, 60]).T) > 0.3 / PX for xy in (before, after)]
    before, after = before[away[0]], after[away[1]]
    pairs = match(before, after, 0.001 / PX)
    assert len(pairs[0]) == len(before) == len(after)


def test_gain_and_offset_change_nothing(made):
    frames = made.movie.frames[:1]
    plain = segment(dataclasses.replace(made.movie, frames=frames)).probabilities
    scaled = segment(dataclasses.replace(made.movie, frames=2000 * frames + 500)).probabilities
    assert np.abs(np.asarray(plain[0], np.float32) - scaled[0]).max() < 0.02


def test_a_turned_image_holds_the_same_atoms_turned(made, found):
    turned = find_atoms(segment(dataclasses.replace(made.movie, frames=np.rot90(made.movie.frames[:1], axes=(1, 2)))))
    x, y = _xy(found).T
    expected = np.column_stack([y, SIZE - 1 - x])  # counter-clockwise as displayed
    assert len(match(expected, _xy(turned), 0.03 / PX)[0]) > 0.97 * len(expected)


def test_another_pixel_size_holds_the_same_atoms(made, found):
    """Twice the pixels, and positions in them: pixel centres at whole numbers on both grids."""
    doubled = made.movie.frames[:1].repeat(2, 1).repeat(2, 2)
    fine = find_atoms(segment(Movie(doubled, PX / 2, "option")))
    assert fine.pixel_size_nm == PX / 2
    assert len(match(2 * _xy(found) + 0.5, _xy(fine), 0.03 / fine.pixel_size_nm)[0]) > 0.97 * (found.frame == 0).sum()


def test_noise_holds_few_atoms_or_none():
    frames = np.random.default_rng(0).normal(10, 3, (1, SIZE, SIZE)).astype(np.float32)
    try:
        atoms = find_atoms(segment(Movie(frames, PX, "option")))
    except NoAtomsError:
        return
    assert len(atoms) < 0.03 * 38.2 * (SIZE * PX) ** 2  # graphene has 38.2 atoms per nm²


def test_frames_that_cannot_be_analysed_are_errors(made):
    for frame in (np.ones((SIZE, SIZE)), np.full((SIZE, SIZE), np.nan)):
        with pytest.raises(ImageError, match="bad: frame 1"):
            segment(Movie(np.stack([made.movie.frames[0], frame]), PX, "option", name="bad"))
    with pytest.raises(ImageError, match="check the pixel size"):
        segment(Movie(made.movie.frames, 0.001, "option"))


def test_the_log_says_who_knew_the_pixel_size(made, caplog):
    caplog.set_level(logging.INFO, logger="rvaejax")
    segment(Movie(made.movie.frames[:1], PX, "option", name="film"))
    assert "film: pixel size 0.016 nm (from the option)" in caplog.text


def test_a_table_of_coordinates_is_drawn_not_segmented():
    """Blobs of the label's width on each atom, in its species' channel, and the table's own atoms come back."""
    rng = np.random.default_rng(1)
    x, y = rng.uniform(5, 55, (2, 12))
    species = np.array(["C", "Si"] * 6)
    atoms = Atoms(np.repeat([0, 1], 6), x, y, species, np.ones(12), np.zeros(12), float("nan"))
    maps = segment(Movie(np.zeros((2, 60, 60)), PX, "option", atoms=atoms))
    assert find_atoms(maps).pixel_size_nm == PX and np.array_equal(find_atoms(maps).x, x)
    assert maps.probabilities.shape == (2, 60, 60, 2) and maps.pixel_size_nm == PX
    here = (atoms.frame == 1) & (species == "Si")
    drawn = render(x[here], y[here], np.ones(3), 0.034 / PX, (60, 60))
    assert np.array_equal(maps.probabilities[1][..., 1], drawn)
