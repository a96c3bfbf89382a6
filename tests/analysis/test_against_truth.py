"""A run that knew everything scores full marks, and one that knew nothing does not."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.analysis.truth import against_truth, surroundings_seen
from rvaejax.simulate.sheet import honeycomb
from rvaejax.simulate.truth import frame_truth
from rvaejax.structure.sites import describe_sites
from rvaejax.types import Atoms, Latents, SubImages

SIZE, PX = (200, 200), 0.016


@pytest.fixture(scope="module")
def truth():
    """A sheet with vacancies, as one frame."""
    centre = jnp.full(2, 1.6)
    xy = np.asarray(honeycomb(jnp.float32(0.2), jnp.zeros(2), centre, 2.2), np.float64)
    xy = xy[np.random.default_rng(0).random(len(xy)) > 0.06]
    species = np.full(len(xy), "C")
    made = frame_truth(0, np.arange(len(xy)), xy, species, 199, PX)
    return dataclasses.replace(made, atoms=dataclasses.replace(made.atoms, sd=np.ones(len(made.atoms))))


def _scores(truth, angle, content, *, error_px=0.0):
    atoms = truth.atoms
    moved = Atoms(atoms.frame, atoms.x + error_px, atoms.y, atoms.species, atoms.score, atoms.sd, PX)
    n = len(atoms)
    subimages = SubImages(
        np.zeros((n, 8, 8, 1), np.float16), atoms.frame, atoms.x, atoms.y, atoms.species, np.arange(n), PX
    )
    latents = Latents(angle, np.zeros(n), np.zeros((n, 2)), content, np.zeros_like(content))
    return against_truth(truth, moved, subimages, latents, size=SIZE)


def test_perfect_latents_score_full_marks(truth):
    """Whatever the decoder calls angle 0, and whichever of the three equal bonds it starts from."""
    rng = np.random.default_rng(1)
    n = len(truth.atoms)
    angle = np.nan_to_num(truth.orientation) + 0.7 + rng.integers(0, 3, n) * 2 * np.pi / 3
    spread = np.where(truth.kind == "bulk", 0.05, 1.0)  # what is rare is a defect
    content = spread[:, None] * rng.standard_normal((n, 2)) + np.where(truth.kind == "bulk", 0, 2)[:, None]
    scores = _scores(truth, angle, content, error_px=0.5)
    assert scores["angle error, median [deg]"] < 0.01 and scores["angle concentration R"] == 1
    assert scores["defects, AUC without labels, site's own"] > 0.97 and scores["defects, accuracy (balanced)"] > 0.97
    assert scores["detection F1"] == 1
    assert scores["position error [pm]"] == pytest.approx(500 * PX, abs=0.01)
    assert scores["position error over stated"] == pytest.approx(0.5 / np.sqrt(2), abs=1e-3)


def test_latents_of_chance_score_as_chance(truth):
    rng = np.random.default_rng(2)
    n = len(truth.atoms)
    scores = _scores(truth, rng.uniform(-np.pi, np.pi, n), rng.standard_normal((n, 2)))
    assert scores["angle error, median [deg]"] == pytest.approx(30, abs=6)
    assert scores["angle concentration R"] < 0.15
    assert scores["defects, AUC without labels, site's own"] == pytest.approx(0.5, abs=0.1)
    assert scores["defects, AUC without labels"] == pytest.approx(0.5, abs=0.12)
    assert scores["defects, accuracy (balanced)"] == pytest.approx(0.5, abs=0.1)


def test_the_sense_of_the_angle_matters(truth):
    """Two grains would not fit under one offset if the angle turned the wrong way; the sublattices are two such."""
    angle = np.nan_to_num(truth.orientation)
    content = np.zeros((len(angle), 1)) + np.random.default_rng(3).standard_normal((len(angle), 1))
    assert _scores(truth, angle, content)["angle concentration R"] == 1
    spread = angle + 0.3 * np.random.default_rng(4).standard_normal(len(angle))
    expected = np.exp(-0.5 * (3 * 0.3) ** 2)
    assert _scores(truth, spread, content)["angle concentration R"] == pytest.approx(expected, abs=0.05)


def test_the_content_tells_the_local_order_whichever_latent_it_is_in(truth):
    """Edges along one latent, vacancies along another, turned and stretched: neither alone follows the order."""
    rng = np.random.default_rng(5)
    n, lost = len(truth.atoms), 1 - truth.crystallinity
    side = np.where(rng.random(n) < 0.5, 1.0, -1.0)
    content = np.stack([lost * side, lost * -side], 1) * [8, 3] + 0.5 * rng.standard_normal((n, 2))
    turned = content @ np.array([[0.6, 0.8], [-0.8, 0.6]]) + [3, -1]
    scores = _scores(truth, np.zeros(n), turned)
    assert scores["content latent, correlation with local order"] < 0.3
    averaged = "crystallinity, correlation with local order"
    own = averaged.replace(",", ", site's own,", 1)
    assert scores[own] > 0.9 and scores[averaged] > 0.9
    chance = _scores(truth, np.zeros(n), rng.standard_normal((n, 2)))
    assert chance[own] < 0.2 and chance[averaged] < 0.25


def test_neighbours_windows_tell_what_noise_hides_in_the_sites_own(truth):
    """Noise of each window by itself: the mean over bonded neighbours is nearer to the order, which stays as it is."""
    rng = np.random.default_rng(6)
    n, lost = len(truth.atoms), 1 - truth.crystallinity
    content = np.stack([8 * lost, np.zeros(n)], 1) + rng.standard_normal((n, 2)) * [1.5, 1]
    scores = _scores(truth, np.zeros(n), content)
    told = [scores[f"crystallinity{own}, correlation with local order"] for own in ("", ", site's own")]
    assert told[0] > told[1] + 0.02


def test_the_order_of_sites_is_asked_for_where_the_picture_shows_what_it_hangs_on(truth):
    """All atoms whose order changes when atoms beyond the frame are forgotten are left out; a vacancy is no reason."""
    seen = surroundings_seen(truth)
    xy = np.column_stack([truth.atoms.x, truth.atoms.y]) * PX
    alone = describe_sites(xy, truth.atoms.species).crystallinity
    assert np.abs(alone - truth.crystallinity)[seen].max() < 1e-6
    assert np.abs(alone - truth.crystallinity)[~seen].max() > 0.3
    border = np.minimum(xy, SIZE[0] * PX - xy).min(1)
    assert seen[border > 0.75].all() and not seen[border < 0.1].any()
