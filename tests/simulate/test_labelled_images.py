"""Training images: one pure function of a key, and an exposure that adds what it says."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from rvaejax.simulate.config import ImagingConfig, SheetConfig
from rvaejax.simulate.dataset import (
    AREA_PER_ATOM_NM2,
    expose,
    labelled_batch,
    labelled_image,
    rim_dirt,
    wobbled,
)
from rvaejax.simulate.sheet import Sheet

SHEET = SheetConfig(field_nm=0.96, max_holes=1, max_bond_rotations=1, relaxation_steps=4)
IMAGING = ImagingConfig(size_px=48, contamination_probability=0.5, contamination=(8.0, 12.0), clip_probability=0.0)
QUICK = {"xla_backend_optimization_level": 0}  # compiled in half the time
CLEAN = ImagingConfig(
    size_px=48, counts=(1e9, 1e9), readout=(0, 0), noise_blur_px=(0, 0), background=(0, 0), row_jitter_px=(0, 0),
    row_flicker=(0, 0), clip_probability=0.0, gamma=(1, 1), hot_pixels=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def draw():
    one = jax.jit(lambda key: labelled_image(SHEET, IMAGING, key=key), compiler_options=QUICK)
    return lambda seed: jax.device_get(one(jax.random.key(seed) if isinstance(seed, int) else seed))


def test_a_key_is_an_image(draw):
    first, again, other = draw(0), draw(0), draw(1)
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(again), strict=True))
    assert not np.allclose(first.image, other.image)


def test_images_are_finite_and_their_labels_probabilities(draw):
    for seed in range(12):
        image, labels, sheet = draw(seed)
        assert np.isfinite(image).all() and image.std() > 0
        assert np.allclose(labels.sum(-1), 1, atol=1e-5)
        at = np.round(sheet.xy[sheet.mask] / IMAGING.pixel_size_nm).astype(int)
        at = at[((at >= 0) & (at < 48)).all(1)]
        assert (labels[at[:, 1], at[:, 0], 0] < 0.5).all()  # no atom that the sheet shows is background


def test_a_batch_is_its_images(draw):
    batch = jax.jit(partial(labelled_batch, 3, SHEET, IMAGING), compiler_options=QUICK)(key=jax.random.key(5))
    for i, key in enumerate(jax.random.split(jax.random.key(5), 3)):
        single = draw(key)
        assert np.allclose(batch.image[i], single.image, atol=2e-3)
        assert np.allclose(batch.labels[i], single.labels, atol=1e-3)


def _record(config, clean, n=1):
    """`n` exposures; the numbers in the config are compiled in."""
    exposed = jax.jit(jax.vmap(lambda key: expose(jnp.asarray(clean), config, key=key)), compiler_options=QUICK)
    return np.asarray(exposed(jax.random.split(jax.random.key(0), n)))


@pytest.fixture(scope="module")
def clean():
    d = jnp.arange(48) - 23.5
    return np.asarray(2.0 * jnp.exp(-(d[:, None] ** 2 + d[None] ** 2) / 200))


def test_a_perfect_exposure_is_the_image_itself(clean):
    assert np.allclose(_record(CLEAN, clean), clean, atol=1e-3)
    raised = dataclasses.replace(CLEAN, background=(0.7, 0.7))
    assert float((_record(raised, clean) - clean).mean()) == pytest.approx(0.7, abs=0.15)


def test_noise_is_that_of_the_counts(clean):
    """Variance over mean: one over the electrons per unit of intensity."""
    counted = dataclasses.replace(CLEAN, counts=(50.0, 50.0))
    noise = _record(counted, clean, n=20) - clean
    bright = clean > 0.2
    assert (noise.var(0, ddof=1) / clean)[bright].mean() == pytest.approx(1 / 50, rel=0.05)
    assert abs(noise.mean()) < 0.002


def test_read_out_noise_and_hot_pixels_come_in_their_amounts(clean):
    """Both at once; the hot ones are brighter than any noise."""
    noise = _record(dataclasses.replace(CLEAN, readout=(0.1, 0.1), hot_pixels=0.02), clean, n=20) - clean
    hot = np.abs(noise) > 0.6
    assert hot.mean() == pytest.approx(0.02 * (1 - 0.6 / 20), rel=0.1)
    assert noise[~hot].std() == pytest.approx(0.1, rel=0.05)


def test_contamination_hides_the_atoms_under_it(draw):
    """Where a bright layer lies, next to nothing is labelled; beside it, atoms are."""
    under, beside = [], []
    for seed in range(12):
        image, labels, _ = draw(seed)
        atoms = labels[..., 1:].sum(-1)
        bright = ndimage.gaussian_filter(image, 4) > 5 + np.quantile(image, 0.1)
        under.append(atoms[bright])
        beside.append(atoms[ndimage.gaussian_filter(image, 4) < 3 + np.quantile(image, 0.1)])
    assert len(np.concatenate(under)) > 1000
    assert np.concatenate(under).mean() < 0.1 * np.concatenate(beside).mean()


def test_rows_that_swing_carry_atoms_and_labels_with_them():
    """Atoms of a row move together, along the row, by about what was asked for; none moves where nothing swings."""
    config = dataclasses.replace(IMAGING, size_px=128, wobble_nm=(0.01, 0.01))
    xy = jnp.asarray(np.random.default_rng(0).uniform(0, 2.5, (400, 2)), jnp.float32)
    moved = np.stack([wobbled(xy, config, key=jax.random.key(i)) - xy for i in range(8)])
    assert np.abs(moved[..., 1]).max() == 0
    assert np.sqrt((moved[..., 0] ** 2).mean()) == pytest.approx(0.01, rel=0.2)
    order = np.argsort(np.asarray(xy[:, 1]))
    assert np.abs(np.diff(moved[:, order, 0], axis=1)).max() < 0.008  # neighbouring rows, 0.02 nm apart at most
    still = wobbled(xy, dataclasses.replace(config, wobble_nm=(0.0, 0.0)), key=jax.random.key(0))
    np.testing.assert_array_equal(still, xy)


def test_rims_are_dirty_where_the_sheet_ends_and_nowhere_else():
    side = jnp.arange(40) * 0.05  # a dense square lattice as a sheet that ends at x = 1.3 nm
    grid = jnp.stack(jnp.meshgrid(side, side), -1).reshape(-1, 2) - 0.3
    spacing = AREA_PER_ATOM_NM2**0.5
    xy = grid * spacing / 0.05
    inside = xy[:, 0] < 1.3
    sheet = Sheet(xy, jnp.zeros(len(xy), jnp.int32), inside)
    config = dataclasses.replace(IMAGING, size_px=128, rim=(1.0, 1.0))
    dirt = np.mean([rim_dirt(sheet, config, key=jax.random.key(i)) for i in range(8)], 0)[30:98]
    assert dirt[:, :45].max() < 0.05 and dirt[:, 95:].max() < 0.05
    assert dirt[:, 55:75].mean() > 0.15
