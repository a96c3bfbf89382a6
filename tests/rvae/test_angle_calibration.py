"""The angle's error from residuals alone, against known errors; and the standard deviation that is reported."""

import dataclasses

import jax
import numpy as np
import pytest
import yaml
from scipy import ndimage

from rvaejax.nets.config import MLPEncoder, SpatialDecoder
from rvaejax.rvae import calibration, encode, load_model, save_model
from rvaejax.rvae.config import LearnedGaussian, RVAEConfig
from rvaejax.rvae.inference import WIDEST_SD
from rvaejax.rvae.record import TrainedRVAE
from rvaejax.types import SubImages

SIZE = 24
ONE_LIGHT = RVAEConfig(likelihood=LearnedGaussian())


def _draw(angle, size=SIZE, off=0.0):
    """Five blobs at 7 px around the centre, turned by `angle` [rad], `off` their places (2, n, 5) [px]."""
    line = np.arange(size) - (size - 1) / 2
    phi = np.asarray(angle)[:, None] + 2 * np.pi * np.arange(5) / 5
    x, y = np.stack([7 * np.cos(phi), -7 * np.sin(phi)]) + off
    dx, dy = (line - x[..., None]) ** 2, (line - y[..., None]) ** 2
    return np.exp(-(dy[..., :, None] + dx[..., None, :]) / (2 * 1.5**2)).sum(1)


class _Known:
    """An encoder that gives prescribed latents, and a decoder that draws `_draw`."""

    def __init__(self, angle, sd):
        self.raw = {"angle": angle, "angle_sd": np.full(len(angle), sd, np.float32)}
        self.raw |= {"shift": np.zeros((len(angle), 2), np.float32), "content": np.zeros((len(angle), 1), np.float32)}

    def encode_raw(self, config, params, images, scaling, batch_size, labels=None):
        return self.raw

    def build(self, config, shape):
        return self

    def expect(self, params, x, points, angle, shift, content):
        import jax.numpy as jnp

        px = points * SIZE / 2
        phi = angle + 2 * jnp.pi * jnp.arange(5) / 5
        x, y = 7 * jnp.cos(phi), -7 * jnp.sin(phi)
        square = (px[:, :1] - x[None]) ** 2 + (px[:, 1:] - y[None]) ** 2
        return jnp.exp(-square / (2 * 1.5**2)).sum(1, keepdims=True)


def _misfit(monkeypatch, images, angle, sd=0.01):
    known = _Known(angle.astype(np.float32), sd)
    monkeypatch.setattr(calibration, "encode_raw", known.encode_raw)
    monkeypatch.setattr(calibration.elbo, "build", known.build)
    calibration._errors.cache_clear()
    try:
        return calibration.angle_misfit(ONE_LIGHT, {}, images[..., None].astype(np.float32), (0.0, 1.0))
    finally:
        calibration._errors.cache_clear()


def _best_fit(images, truth):
    """Angles of the best fit by Gauss-Newton steps from the truth."""
    angle = truth.copy()
    for _ in range(3):
        slope = (_draw(angle + 1e-4) - _draw(angle - 1e-4)) / 2e-4
        angle += (slope * (images - _draw(angle))).sum((1, 2)) / (slope**2).sum((1, 2))
    return angle


@pytest.mark.parametrize("blur", [0.0, 1.0, 2.0])
def test_errors_of_the_best_fit_are_foretold_for_independent_and_for_shared_noise(blur, monkeypatch):
    """Noise that neighbouring pixels share makes the angle's error larger than its variance alone says."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 2 * np.pi, 400)
    noise = rng.standard_normal((400, SIZE, SIZE))
    noise = ndimage.gaussian_filter(noise, (0, blur, blur)) if blur else noise
    images = _draw(truth) + 0.1 * noise / noise.std()
    fitted = _best_fit(images, truth)
    found = _misfit(monkeypatch, images, fitted)
    assert found.gap < 0.1 * found.misfit
    # the jackknife's variance is too large, by n / (n - 1) where n equal patches matter (Efron and Stein 1981)
    ratio = found.misfit / (fitted - truth).std()
    assert 0.95 < ratio < 1.25


def test_atoms_off_their_places_make_the_error_that_is_foretold(monkeypatch):
    """Without noise: each blob's error is that of all its pixels together, several times what they tell one by one."""
    rng = np.random.default_rng(2)
    truth = rng.uniform(0, 2 * np.pi, 400)
    images = _draw(truth, off=rng.normal(0, 0.3, (2, 400, 5)))
    fitted = _best_fit(images, truth)
    found = _misfit(monkeypatch, images, fitted)
    slope, residual = (_draw(truth + 1e-4) - _draw(truth - 1e-4)) / 2e-4, images - _draw(fitted)
    one_by_one = np.sqrt(residual.var() / (slope**2).sum((1, 2)).mean())
    assert (fitted - truth).std() > 2 * one_by_one
    assert 0.8 < found.misfit / (fitted - truth).std() < 1.25  # a blob that an edge of a patch cuts counts for less


def test_an_encoder_that_is_off_the_best_fit_is_found_out(monkeypatch):
    rng = np.random.default_rng(1)
    truth = rng.uniform(0, 2 * np.pi, 300)
    off = 0.03 * rng.standard_normal(300)
    found = _misfit(monkeypatch, _draw(truth), truth + off, sd=0.01)
    assert found.gap == pytest.approx(0.03, rel=0.1) and found.stated == pytest.approx(0.01)
    assert found.factor == pytest.approx(off.std() / 0.01, rel=0.1)


def test_the_reported_standard_deviation_is_the_posteriors_times_the_factor(tmp_path):
    config = RVAEConfig(encoder=MLPEncoder(hidden=4), decoder=SpatialDecoder(hidden=4))
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda key: calibration.elbo.build(config, (8, 8, 1)).init(key=key), jax.random.key(0))
    params = jax.tree.map(lambda leaf: rng.normal(0, 0.5, leaf.shape).astype(np.float32), shapes)
    facts = {"pixel_size_nm": None, "channels": ("intensity",), "history": (), "steps": 0, "cut": 0, "seed": 0}
    model = TrainedRVAE(config, params, (8, 8, 1), (0.0, 1.0), (0, 1), (1, 1), (1.0, 0.5), **facts)
    n = 9
    rows = {"frame": np.zeros(n, int), "x": np.zeros(n), "y": np.zeros(n), "atom": np.arange(n)}
    subimages = SubImages(rng.random((n, 8, 8, 1)), species=np.full(n, "C"), **rows)
    plain = encode(model, subimages)
    scaled = encode(dataclasses.replace(model, angle_sd_factor=1.5), subimages)
    assert np.allclose(scaled.angle_sd, np.minimum(1.5 * plain.angle_sd, WIDEST_SD), rtol=1e-5)
    assert (scaled.angle == plain.angle).all() and (scaled.content_sd == plain.content_sd).all()
    assert (encode(dataclasses.replace(model, angle_sd_factor=1e6), subimages).angle_sd == WIDEST_SD).all()
    save_model(dataclasses.replace(model, angle_sd_factor=2.5), tmp_path)
    assert load_model(tmp_path).angle_sd_factor == 2.5
    path = tmp_path / "config.yaml"
    sections = yaml.safe_load(path.read_text())
    del sections["model"]["angle_sd_factor"]  # a run of an earlier version
    path.write_text(yaml.safe_dump(sections))
    assert load_model(tmp_path).angle_sd_factor == 1
