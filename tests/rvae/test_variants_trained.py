"""What variants find when they are trained: shifts of signals, kinds as classes, scales."""

import dataclasses

import numpy as np
import pytest

from rvaejax.analysis.kinds import class_accuracy
from rvaejax.rvae import decode, encode, preset, train
from rvaejax.rvae.config import Classes, FourierDecoder, MLPEncoder, PolarEncoder, Pose, RVAEConfig, Spectra
from rvaejax.training import TrainingConfig
from rvaejax.types import SubImages


def _record(images):
    n, images = len(images), np.asarray(images, np.float32)
    return SubImages(images, np.zeros(n, int), np.zeros(n), np.zeros(n), np.full(n, ""), np.arange(n))


def _bands(n, seed=0):
    """Signals of two bands, one weaker by a share that differs, moved by up to 6 px."""
    rng = np.random.default_rng(seed)
    move, share, x = rng.normal(0, 2.5, n), rng.uniform(0.2, 1, n), np.arange(64) - 31.5
    first = np.exp(-((x[None] + 8 - move[:, None]) ** 2) / (2 * 2.5**2))
    second = np.exp(-((x[None] - 9 - move[:, None]) ** 2) / (2 * 4.0**2))
    signals = first + share[:, None] * second + 0.02 * rng.standard_normal((n, 64))
    return signals[:, None, :, None].astype(np.float32), move, share


def test_the_shift_and_the_content_of_signals_are_found():
    signals, move, share = _bands(400)
    training = TrainingConfig(steps=500, batch_size=32, learning_rate=4e-3, warmup=20, piece=50, evaluate_every=500)
    config = dataclasses.replace(preset("spectra"), encoder=MLPEncoder(64, 2), content_dim=1, training=training)
    latents = encode(train(_record(signals), config=config), _record(signals))
    assert not latents.shift[:, 1].any() and not latents.angle.any()
    error = latents.shift[:, 0] - move
    assert np.median(np.abs(error - np.median(error))) < 0.3
    assert abs(np.corrcoef(latents.content[:, 0], share)[0, 1]) > 0.9
    assert abs(np.corrcoef(latents.content[:, 0], move)[0, 1]) < 0.3


def _pairs(n, seed):
    """Pairs of atoms at any angle, 4 to 8 px apart, of any brightness; the farther, the lower a band's energy."""
    rng = np.random.default_rng(seed)
    angle, apart, bright = rng.uniform(-np.pi, np.pi, n), rng.uniform(4, 8, n), rng.uniform(0.7, 1.3, n)
    line, images, channel = np.arange(16) - 7.5, np.zeros((n, 16, 16, 1), np.float32), np.arange(48)
    for side in (-0.5, 0.5):
        x, y = side * apart * np.cos(angle), -side * apart * np.sin(angle)
        dx, dy = (line[None] - x[:, None]) ** 2, (line[None] - y[:, None]) ** 2
        images[..., 0] += bright[:, None, None] * np.exp(-(dy[:, :, None] + dx[:, None, :]) / (2 * 1.5**2))
    band = 38 - 7 * (apart - 4)  # channel
    spectra = 1 / (1 + ((channel[None] - band[:, None]) / 3) ** 2)
    images += 0.03 * rng.standard_normal(images.shape)
    return images.astype(np.float32), (spectra + 0.05 * rng.standard_normal(spectra.shape)).astype(np.float32), band


def _middle(spectra):
    """The channel of the band: the mean of channels weighted by what is above half of the highest."""
    weight = np.maximum(spectra - 0.5 * spectra.max(1, keepdims=True), 0)
    return (weight * np.arange(spectra.shape[1])).sum(1) / weight.sum(1)


@pytest.mark.slow
def test_the_band_of_a_structure_is_foretold_from_its_image_at_every_angle():
    """Spectra of windows that the training did not see: the band lies where the structure puts it, to half a channel.

    The mean spectrum would be some 7 channels off, and so would be what is told from angle or brightness alone.
    """
    images, spectra, _ = _pairs(1000, seed=0)
    training = TrainingConfig(steps=900, batch_size=32, learning_rate=4e-3, warmup=20, piece=50, evaluate_every=900)
    config = RVAEConfig(
        encoder=PolarEncoder(orientations=32, hidden=64, harmonics=8),
        decoder=FourierDecoder(hidden=32, cutoff=0.3),
        content_dim=1,
        target=Spectra(),
        training=training,
    )
    model = train(dataclasses.replace(_record(images), spectra=spectra), config=config)
    unseen, _, band = _pairs(100, seed=1)
    foretold = []
    for windows in (unseen, np.rot90(unseen, axes=(1, 2)).copy()):
        latents = encode(model, _record(windows))
        foretold.append(decode(model, latents.angle, latents.shift, latents.content)[:, 0, :, 0])
    error = _middle(foretold[0]) - band
    assert np.abs(band - band.mean()).mean() > 6
    assert np.median(np.abs(error)) < 0.5 and np.abs(error).max() < 3
    assert np.abs(foretold[1] - foretold[0]).max() < 0.05


def _crosses(n, seed=0):
    """Three blobs in a row or in a triangle, at any angle, enlarged by a factor of 0.8 to 1.25."""
    rng = np.random.default_rng(seed)
    kind, angle, scale = rng.integers(0, 2, n), rng.uniform(-np.pi, np.pi, n), np.exp(rng.uniform(-0.22, 0.22, n))
    line, images = np.arange(20) - 9.5, np.zeros((n, 20, 20, 1), np.float32)
    for j in range(3):
        phi = angle + np.where(kind == 0, 2 * np.pi * j / 3, np.pi * (j == 1))
        radius = 5 * scale * np.where((kind == 1) & (j == 2), 0, 1)
        x, y = radius * np.cos(phi), -radius * np.sin(phi)
        dx, dy = (line[None] - x[:, None]) ** 2, (line[None] - y[:, None]) ** 2
        images[..., 0] += np.exp(-(dy[:, :, None] + dx[:, None, :]) / (2 * 1.5**2 * scale[:, None, None] ** 2))
    return images + 0.03 * rng.standard_normal(images.shape).astype(np.float32), kind, scale


@pytest.mark.slow
def test_kinds_become_classes_and_the_scale_is_found_without_labels():
    images, kind, scale = _crosses(800)
    training = TrainingConfig(steps=1200, batch_size=32, learning_rate=4e-3, warmup=20, piece=50, evaluate_every=1200)
    config = RVAEConfig(
        encoder=PolarEncoder(orientations=32, hidden=32, harmonics=8),
        decoder=FourierDecoder(hidden=32),
        content_dim=1,
        classes=Classes(2, head_start=400),
        pose=Pose(scale=True),
        training=training,
    )
    latents = encode(train(_record(images), config=config), _record(images))
    assert class_accuracy(latents.class_probability.argmax(1), kind) > 0.95
    for k in (0, 1):
        off = np.log(latents.scale / scale)[kind == k]
        assert np.median(np.abs(off - np.median(off))) < 0.03
