"""Baselines on sub-images of which it is known what they are made of."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from rvaejax.baselines.config import GMM, NMF, PCA, ConvAutoencoder, PlainVAE
from rvaejax.baselines.fit import fit, latent_gmm, of_rvae
from rvaejax.baselines.pixels import mixture
from rvaejax.errors import ConfigError, ImageError
from rvaejax.rvae.config import preset
from rvaejax.rvae.model import train
from rvaejax.training.config import TrainingConfig
from rvaejax.types import SubImages

SIZE = 12
SHORT = TrainingConfig(steps=200, batch_size=32, learning_rate=3e-3, schedule="constant", holdout=0.0)


def stack(images):
    n = len(images)
    zero = np.zeros(n)
    return SubImages(images, zero.astype(int), zero, zero, np.full(n, "C"), np.arange(n), 0.02)


@pytest.fixture(scope="module")
def made():
    """Three kinds of images: a blob at one of three places, with noise; and which is which."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, 400)
    y, x = np.mgrid[:SIZE, :SIZE]
    centres = np.array([[3, 3], [8, 3], [5.5, 8]])[kind]
    images = np.exp(-((x - centres[:, 0, None, None]) ** 2 + (y - centres[:, 1, None, None]) ** 2) / 4)
    images = images + rng.normal(0, 0.05, images.shape)
    return stack(images[..., None].astype(np.float32)), kind


CONFIGS = {
    "PCA": PCA(components=3),
    "NMF": NMF(components=3),
    "GMM": GMM(classes=3),
    "convolutional AE": ConvAutoencoder(training=SHORT),
    "VAE": PlainVAE(training=replace(SHORT, steps=500)),
}


@pytest.fixture(scope="module")
def fitted(made):
    return {name: fit(config, made[0], seed=0) for name, config in CONFIGS.items()}


@pytest.mark.parametrize("name", CONFIGS)
def test_one_interface(name, made, fitted):
    subimages, _ = made
    one = fitted[name]
    codes = one.encode(subimages)
    assert one.name == name
    assert len(codes.latents) == len(codes.label) == len(subimages)
    assert one.components().shape[1:] == (SIZE, SIZE, 1)
    drawn = one.decode(codes.latents)
    left = ((drawn - subimages.images) ** 2).mean() / subimages.images.var()
    assert left < 0.25  # what is left is mostly the noise, 0.09 of the variance here
    part = one.encode(replace(subimages, images=subimages.images[:7]))
    np.testing.assert_allclose(part.latents, codes.latents[:7], atol=1e-4)
    with pytest.raises(ImageError, match="cut them the same way"):
        one.encode(stack(subimages.images[:, :8, :8]))


def test_mixtures_find_the_kinds_in_pixels_and_in_latents(made, fitted):
    subimages, kind = made
    assert adjusted_rand_score(kind, fitted["GMM"].encode(subimages).label) > 0.98
    assert adjusted_rand_score(kind, fitted["NMF"].encode(subimages).label) > 0.9
    for name in ("convolutional AE", "VAE"):
        found = latent_gmm(fitted[name], subimages, classes=3)
        assert adjusted_rand_score(kind, found.encode(subimages).label) > 0.95, name
        means = np.stack([subimages.images[kind == k].mean(0) for k in range(3)])
        error = ((found.components()[:, None] - means[None]) ** 2).mean((2, 3, 4)).min(0)
        assert error.max() < 0.01, name  # decoded centroids are the three kinds


def test_components_of_pca_are_orthogonal_and_those_of_nmf_not_negative(fitted):
    rows = fitted["PCA"].components().reshape(3, -1)
    np.testing.assert_allclose(rows @ rows.T, np.eye(3), atol=1e-5)
    assert fitted["NMF"].components().min() >= 0


def test_large_windows_are_reduced_first_and_it_is_said(made):
    subimages, kind = made
    assert fit(GMM(classes=3), subimages).note == ""
    reduced = fit(GMM(classes=3, largest=100, reduced=8), subimages)
    assert reduced.note.startswith("after PCA to 8 components")
    assert adjusted_rand_score(kind, reduced.encode(subimages).label) > 0.98
    with pytest.raises(ConfigError, match="at most 50"):
        GMM(reduced=51)
    with pytest.raises(ConfigError, match="starts"):
        GMM(starts=0)


def test_the_likeliest_of_several_starts_is_kept():
    """On images without kinds, where each start ends elsewhere."""
    x = np.random.default_rng(0).normal(size=(300, 6))
    once, often = ([mixture(x, 8, "diag", seed, starts).lower_bound_ for seed in range(3)] for starts in (1, 6))
    assert all(b >= a for a, b in zip(once, often, strict=True)) and sum(often) > sum(once) + 1e-3


def test_starts_are_those_of_the_options(made, monkeypatch):
    subimages, _ = made
    asked = []

    def spy(*args):
        asked.append(args[4])
        return mixture(*args)

    monkeypatch.setattr("rvaejax.baselines.pixels.mixture", spy)
    for starts in (1, 3):
        fit(GMM(classes=2, starts=starts), subimages)
    assert asked == [1, 3]


def test_the_papers_autoencoder_to_the_letter():
    config = ConvAutoencoder()
    assert config.filters == (32, 64) and config.latents == 2
    assert (config.training.learning_rate, config.training.schedule) == (1e-3, "constant")


@pytest.mark.slow
def test_an_rvae_behind_the_same_interface(made):
    subimages, _ = made
    short = replace(preset("default").training, steps=20)
    model = train(subimages, config=replace(preset("default"), training=short), seed=0)
    one = of_rvae(model, subimages)
    assert one.encode(subimages).latents.shape == (400, model.config.content_dim)
    assert latent_gmm(one, subimages, classes=2).components().shape == (2, SIZE, SIZE, 1)
