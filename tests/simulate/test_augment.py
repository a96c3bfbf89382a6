"""Augmentation moves labels with the atoms, leaves alone what it is told to, and makes no black corners."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.errors import ConfigError
from rvaejax.simulate.augment.augment import augment
from rvaejax.simulate.augment.config import AugmentConfig
from rvaejax.simulate.augment.geometry import Warp, sample, sources
from rvaejax.simulate.imaging import gaussians

SIZE, SIGMA = 64, 1.7
QUICK = {"xla_backend_optimization_level": 0}  # compiles in half the time
OFF = AugmentConfig.none()


def _atoms(seed=0, n=14, size=SIZE):
    """Gaussian atoms well inside the image; the label of an atom is its image."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform(8, size - 9, (400, 2))
    kept = [xy[0]]
    for point in xy:
        if len(kept) < n and np.min(np.hypot(*(np.array(kept) - point).T)) > 9:
            kept.append(point)
    axis = jnp.arange(float(size))
    species = np.arange(len(kept)) % 2
    maps = [gaussians(jnp.asarray(kept), jnp.asarray(species == s, jnp.float32), SIGMA, axis, axis) for s in (0, 1)]
    atoms = jnp.stack(maps, -1)
    return atoms.sum(-1), jnp.concatenate([1 - atoms.sum(-1, keepdims=True), atoms], -1)


@functools.cache
def _compiled(config, size_px=None):
    run = lambda image, labels, key: augment(image, labels, config, key=key, size_px=size_px)  # noqa: E731
    return jax.jit(run, compiler_options=QUICK)


def test_with_everything_off_nothing_changes():
    image, labels = _atoms()
    made, moved = _compiled(OFF)(image, labels, jax.random.key(0))
    assert np.array_equal(made, image) and np.allclose(moved, labels, atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_labels_stay_on_the_atoms_at_any_angle(seed):
    """The image is the sum of its labels; after any motion it still is."""
    config = dataclasses.replace(OFF, rotate=True, flip=True, scale_jitter=0.1, shear=0.02, wobble_px=(0.3, 0.7))
    made, moved = _compiled(config)(*_atoms(seed), jax.random.key(seed))
    assert np.abs(np.asarray(made - moved[..., 1:].sum(-1))).max() < 0.02
    assert np.asarray(made).max() > 0.85 and np.abs(np.asarray(made) - np.asarray(_atoms(seed)[0])).max() > 0.3


@pytest.mark.parametrize("angle", [0.3, 1.0, 2.5])
def test_a_turned_atom_is_where_geometry_says(angle):
    image, _ = _atoms()
    turn = jnp.array([[jnp.cos(angle), -jnp.sin(angle)], [jnp.sin(angle), jnp.cos(angle)]])
    middle = (SIZE - 1) / 2
    warp = Warp(jnp.array([middle, middle]), turn, jnp.zeros(SIZE))
    axis = jnp.arange(float(SIZE))
    atom = jnp.array([[41.3, 22.6]])
    drawn = gaussians(atom, jnp.ones(1), SIGMA, axis, axis)
    turned = sample(drawn[..., None], sources(warp), jnp.array([SIZE, SIZE]))[..., 0]
    where = middle + (atom - middle) @ turn  # the inverse of a rotation is its transpose
    assert np.abs(np.asarray(turned - gaussians(where, jnp.ones(1), SIGMA, axis, axis))).max() < 0.02
    mass = turned / turned.sum()
    centroid = np.array([(mass * axis[None]).sum(), (mass * axis[:, None]).sum()])
    assert np.allclose(centroid, where[0], atol=0.01)


def test_cubic_sampling_is_exact_for_parabolas_and_mirrors_at_borders():
    """Keys' kernel reproduces polynomials of second degree."""
    y, x = np.mgrid[:20, :24].astype(np.float32) / 10
    image = jnp.asarray(1 + 2 * x - x * y + 0.5 * x**2 - y**2)[..., None]
    xy = jnp.asarray(np.random.default_rng(0).uniform(2, 17, (50, 2)), jnp.float32)
    px, py = np.asarray(xy).T / 10
    extent = jnp.array([20, 24])
    expected = 1 + 2 * px - px * py + 0.5 * px**2 - py**2
    assert np.allclose(sample(image, xy, extent)[:, 0], expected, atol=1e-4)
    outside = sample(image, jnp.array([[-3.0, 5.0], [25.0, 5.0], [7.0, 22.0]]), extent)[:, 0]
    assert np.allclose(outside, [image[5, 3, 0], image[5, 21, 0], image[16, 7, 0]])


@pytest.mark.parametrize("seed", range(3))
def test_no_black_corners(seed):
    """A bright constant image stays bright and constant wherever it is turned, even where the crop barely fits."""
    config = dataclasses.replace(OFF, rotate=True, scale_jitter=0.2, wobble_px=(1.0, 2.0))
    labels = jnp.zeros((SIZE, SIZE, 3)).at[..., 0].set(1.0)
    made, moved = _compiled(config)(jnp.full((SIZE, SIZE), 7.0), labels, jax.random.key(seed))
    assert np.allclose(made, 7.0, atol=1e-4) and np.allclose(moved[..., 0], 1.0)


def test_crops_come_from_inside_the_extent():
    """Padding of a smaller image (here NaN) is never looked at, and crops differ."""
    image = jnp.full((SIZE, SIZE), jnp.nan).at[:50, :40].set(jnp.arange(40.0)[None])
    labels = jnp.zeros((SIZE, SIZE, 3))
    config = dataclasses.replace(OFF, rotate=True)
    make = jax.jit(lambda key: augment(image, labels, config, key=key, size_px=24, extent=jnp.array([50, 40]))[0])
    crops = np.stack([make(jax.random.key(s)) for s in range(5)])
    assert np.isfinite(crops).all() and crops.min() > -1e-3 and crops.max() < 39 + 1e-3
    assert len({round(float(crop.mean()), 3) for crop in crops}) == 5


def test_the_same_key_gives_the_same_and_vmap_is_a_loop():
    image, labels = _atoms()
    one = _compiled(AugmentConfig(), 48)
    many = jax.jit(
        jax.vmap(lambda key: augment(image, labels, AugmentConfig(), key=key, size_px=48)), compiler_options=QUICK
    )
    images, moved = many(jax.random.split(jax.random.key(3), 3))
    for i in range(3):
        made = one(image, labels, jax.random.split(jax.random.key(3), 3)[i])
        again = one(image, labels, jax.random.split(jax.random.key(3), 3)[i])
        assert np.array_equal(made[0], again[0])
        assert np.allclose(images[i], made[0], atol=1e-4) and np.allclose(moved[i], made[1], atol=1e-5)
        assert np.allclose(made[1].sum(-1), 1, atol=1e-5) and np.asarray(made[1]).min() >= 0  # still probabilities
    assert images.shape == (3, 48, 48) and np.abs(np.asarray(images[0] - images[1])).max() > 0.1


@pytest.mark.parametrize("counts", [4.0, 100.0])
def test_the_noise_is_that_of_the_dose(counts):
    """The variance of a count's rate is its mean over the dose."""
    config = dataclasses.replace(OFF, counts=(counts, counts))
    labels = jnp.zeros((SIZE, SIZE, 3))
    made, _ = _compiled(config)(jnp.full((SIZE, SIZE), 0.8), labels, jax.random.key(1))
    assert np.mean(made) == pytest.approx(0.8, rel=0.03) and np.var(made) == pytest.approx(0.8 / counts, rel=0.12)


@pytest.mark.parametrize(
    "wrong",
    [{"scale_jitter": 0.7}, {"counts": (0.0, 3.0)}, {"gamma": (0.0, 1.0)}, {"blur_px": (2.0, 1.0)},
     {"contamination_probability": 1.5}, {"contrast": -1.0}],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        AugmentConfig(**wrong)
