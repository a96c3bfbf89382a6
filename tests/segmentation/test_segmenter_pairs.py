"""A user's pairs as training examples: labels mean what they mean in simulated images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.errors import ImageError, PixelSizeError
from rvaejax.io.pairs import Pairs
from rvaejax.segmentation.config import SegmenterConfig
from rvaejax.segmentation.pairs import movies, pairs_batch, split, stack
from rvaejax.simulate.augment.config import AugmentConfig
from rvaejax.simulate.config import ImagingConfig
from rvaejax.simulate.imaging import gaussians
from rvaejax.types import Atoms

CONFIG = SegmenterConfig(imaging=ImagingConfig(size_px=48), augment=AugmentConfig.none())
PX = 0.025


def _pairs(xy=((20.0, 31.0), (35.5, 12.25)), px=PX, size=(44, 60)):
    """Two images of different sizes; atoms as narrow Gaussians."""
    atoms = Atoms(
        np.repeat([0, 1], len(xy)), *np.tile(np.array(xy), (2, 1)).T, np.array(["C", "Si"] * 2)[: 2 * len(xy)],
        np.ones(2 * len(xy)), np.zeros(2 * len(xy)), float("nan"),
    )  # fmt: skip
    images = []
    for height in (size[0], size[0] + 6):
        rows, columns = jnp.arange(float(height)), jnp.arange(float(size[1]))
        drawn = gaussians(jnp.array(xy), jnp.ones(len(xy)), 0.05 / PX, rows, columns)
        images.append(1000 + 50 * np.asarray(drawn))
    return Pairs(tuple(images), atoms, (px, px), ("a", "b"))


def test_labels_are_gaussians_of_the_networks_width_at_the_canonical_pixel():
    made = stack(movies(_pairs()), CONFIG)
    assert made.extent.tolist() == [[55, 75], [62, 75]] and made.images.shape == (2, 62, 75)
    y, x = np.mgrid[:62, :75]
    for channel, (px, py) in zip((1, 2), ((20.0, 31.0), (35.5, 12.25)), strict=True):
        blob = np.asarray(made.labels[1, ..., channel], np.float64)
        where = (blob * x).sum() / blob.sum(), (blob * y).sum() / blob.sum()
        assert where == pytest.approx(((px + 0.5) * 75 / 60 - 0.5, (py + 0.5) * 62 / 50 - 0.5), abs=0.01)
        spread = np.sqrt((blob * (x - where[0]) ** 2).sum() / blob.sum())
        assert spread == pytest.approx(CONFIG.imaging.label_nm / CONFIG.pixel_size_nm, rel=0.01)
    assert np.allclose(made.labels.astype(np.float32).sum(-1)[0, :55], 1, atol=2e-3)
    # the image is brightest where the labels are, and on a scale from about 0 to about 1
    peak = np.unravel_index(made.images[0].argmax(), made.images[0].shape)
    assert made.labels[0, peak[0], peak[1], 1:].max() > 0.8 and abs(np.median(made.images[0])) < 0.05


def test_a_batch_is_scaled_as_the_network_takes_it():
    """With augmentation off a crop is a part of the image; robust scaling forgets gain and offset."""
    made = stack(movies(_pairs()), CONFIG)
    images, labels = jax.jit(lambda key: pairs_batch(made, 3, CONFIG, key=key))(jax.random.key(0))
    assert images.shape == (3, 48, 48) and labels.shape == (3, 48, 48, 3)
    assert np.allclose(np.median(images, (1, 2)), 0, atol=1e-3)
    assert np.allclose(labels.sum(-1), 1, atol=2e-3)


@pytest.mark.parametrize("n", [2, 3, 5, 40])
def test_every_pair_is_learned_from_or_held_out(n):
    learn, held = split([True] * n, 0.2, seed=1)
    assert sorted(learn + held) == list(range(n)) and learn and held
    assert len(held) == max(1, round(0.2 * n)) and split([True] * n, 0.2, seed=1) == (learn, held)


@pytest.mark.parametrize("seed", range(5))
def test_both_sides_of_the_split_have_atoms(seed):
    has_atoms = [False, False, True, False, True, False]
    for numbers in split(has_atoms, 0.3, seed):
        assert any(has_atoms[number] for number in numbers)


def test_pairs_without_a_scale_or_too_small_are_errors():
    with pytest.raises(PixelSizeError, match="--px-nm"):
        movies(_pairs(px=None))
    with pytest.raises(ImageError, match="too small"):
        stack(movies(_pairs(px=0.005)), CONFIG)
