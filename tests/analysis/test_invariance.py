"""A model that is equivariant scores no error; one that is blind to the angle, or leaks it, is found out."""

import jax
import numpy as np
import pytest

from rvaejax.analysis import invariance
from rvaejax.analysis.copies import turned_vectors
from rvaejax.analysis.symmetry import Symmetry
from rvaejax.nets.config import FourierDecoder, MLPEncoder, PolarEncoder
from rvaejax.rvae import elbo
from rvaejax.rvae.config import RVAEConfig
from rvaejax.rvae.record import TrainedRVAE
from rvaejax.types import Latents, SubImages

SIZE, N = 12, 24
POLAR = PolarEncoder(orientations=32, hidden=8, layers=1, harmonics=8)


def _subimages():
    rng = np.random.default_rng(0)
    rows = {"frame": np.zeros(N, int), "x": np.zeros(N), "y": np.zeros(N), "atom": np.arange(N)}
    label = np.arange(N) % 2
    return SubImages(rng.random((N, SIZE, SIZE, 1)), species=np.full(N, "C"), label=label, **rows)


def _model(encoder, scale=0.5):
    decoder = FourierDecoder(hidden=8, max_modes=3, layers=1)
    config = RVAEConfig(encoder=encoder, decoder=decoder, content_dim=2)
    shape, rng = (SIZE, SIZE, 1), np.random.default_rng(1)
    shapes = jax.eval_shape(lambda key: elbo.build(config, shape).init(key=key), jax.random.key(0))
    params = jax.tree.map(lambda leaf: rng.normal(0, scale, leaf.shape).astype(np.float32), shapes)
    facts = {"pixel_size_nm": None, "channels": ("intensity",), "history": (), "steps": 0, "cut": 0, "seed": 0}
    return TrainedRVAE(config, params, shape, (0.0, 1.0), (0, 1), (1, 1), (1.0, 0.5), **facts)


def _copies(model):
    subimages = _subimages()
    latents = invariance.encode(model, subimages)
    return dict(invariance.make_copies(model, subimages, latents, turns=1, seed=0))


NONE = Symmetry(np.ones(N, int), np.ones(N))


def test_an_equivariant_encoder_has_no_error_under_quarter_turns():
    """With any weights: the angle moves by exactly a quarter, the shift turns with it, the content stays."""
    c = _copies(_model(POLAR))[invariance.QUARTERS]
    e = invariance.errors(c, NONE.fold)
    assert np.degrees(np.abs(e.angle)).max() < 0.01
    assert np.abs(e.content).max() < 1e-4 * np.abs(c.reference.content).max()
    assert e.shift.max() < 1e-4 < np.abs(c.reference.shift).max()
    found = invariance.summary(c, NONE, 1.0, np.arange(N) % 2)
    assert found["angle error of the worst kind, rms [deg]"] < 0.01 and found["worst kind"] in ("0", "1")


@pytest.mark.parametrize("scale", [0.0, 0.5])
def test_an_encoder_that_is_blind_to_the_angle_is_far_off(scale):
    """A constant angle misses quarter turns by 90, 180 and 90 degrees."""
    found = invariance.summary(_copies(_model(MLPEncoder(hidden=4), scale))[invariance.QUARTERS], NONE, 1.0)
    assert found["angle error, rms [deg]"] > 30
    if scale == 0:
        assert found["angle error, rms [deg]"] == pytest.approx(np.sqrt((90**2 + 180**2 + 90**2) / 3), rel=1e-5)
        assert found["content drift / spread, rms"] == 0


def _fabricated(content, before, angle, turn, n=600):
    still, sd = np.zeros((n, 2)), np.full((n, content.shape[1]), 1e-3)
    latents = Latents(angle, np.full(n, 0.1), still, content, sd)
    reference = Latents(angle - turn, np.full(n, 0.1), still, before, sd)
    return invariance.Copies(latents, reference, turn, still, np.arange(n))


@pytest.fixture(scope="module")
def random():
    rng = np.random.default_rng(2)
    return rng.uniform(0, 2 * np.pi, (2, 600)), rng.standard_normal((600, 2))


def _best(found, start):
    return next(v for k, v in found.items() if k.startswith(start))


def test_nothing_leaks_out_of_invariant_content(random):
    (natural, turn), content = random
    found = invariance.leaks(_fabricated(content, content, natural + turn, turn), Symmetry(np.ones(600, int), None), 0)
    assert all(value < 0.1 for value in found.values())


def test_content_that_holds_the_angle_is_found_out(random):
    (natural, turn), _ = random
    wave = [np.column_stack([np.cos(a), np.sin(a)]) for a in (natural + turn, natural)]
    found = invariance.leaks(_fabricated(*wave, natural + turn, turn), Symmetry(np.ones(600, int), None), 0)
    assert found["R2 of the angle modulo its symmetry"] > 0.95
    assert _best(found, "R2 of the turn") > 0.5
    assert found["mutual information [nat]"] > 10 * max(found["mutual information of shuffled angles [nat]"], 0.03)


def test_so_is_a_model_whose_own_angle_knows_nothing(random):
    """Its angle is always the same, so that only the content before and after can tell that the image was turned."""
    (natural, turn), _ = random
    wave = [np.column_stack([np.cos(a), np.sin(a)]) for a in (natural + turn, natural)]
    blind = _fabricated(*wave, np.zeros(600), turn)._replace(
        reference=Latents(np.zeros(600), np.ones(600), np.zeros((600, 2)), wave[1], np.full((600, 2), 1e-3))
    )
    found = invariance.leaks(blind, Symmetry(np.ones(600, int), None), 0)
    assert found["R2 of the angle modulo its symmetry"] < 0.05
    assert _best(found, "R2 of the turn") > 0.5


def test_errors_are_told_raw_and_modulo_the_symmetry():
    """A copy in another of three equal orientations is right modulo the symmetry, and raw 120 degrees off."""
    rng = np.random.default_rng(3)
    turn, shift = rng.uniform(0, 6, 3), rng.standard_normal((3, 2))
    content = rng.standard_normal((3, 2))
    reference = Latents(np.zeros(3), np.ones(3), shift, content, np.ones((3, 2)))
    angle = turn + np.array([0.0, 2 * np.pi / 3, 1.0])
    move = np.array([[1.0, 0.0]] * 3)
    latents = Latents(angle, np.ones(3), turned_vectors(shift, turn) + move, content + 0.5, np.ones((3, 2)))
    e = invariance.errors(invariance.Copies(latents, reference, turn, move, np.arange(3)), np.array([1, 3, 0]))
    assert np.allclose(e.angle, [0, 0, np.nan], equal_nan=True, atol=1e-12)
    assert np.allclose(e.raw, [0, 2 * np.pi / 3, 1.0])
    assert np.allclose(e.content, 0.5) and np.allclose(e.shift, 0, atol=1e-12)
