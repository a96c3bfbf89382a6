"""Transforms of windows against what is known of them; local crystallography; the bond graph's numbers."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from skimage.transform import radon

from rvaejax.analysis.copies import disc, moved, turned
from rvaejax.analysis.crystallography import Neighbourhoods, classify_sites, neighbourhoods
from rvaejax.analysis.descriptors import fourier_magnitudes, graph_descriptors, radon_transforms, transformed
from rvaejax.analysis.sites import movie_sites
from rvaejax.baselines.config import NMF, PCA
from rvaejax.baselines.fit import fit
from rvaejax.simulate.sheet import honeycomb
from rvaejax.types import Atoms, SubImages

SIZE, PX = 24, 0.016


def blobs(seed=0, n=3):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    out = np.zeros((n, SIZE, SIZE, 1))
    for image in out:
        for cx, cy in rng.uniform(7, SIZE - 8, (4, 2)):
            image[..., 0] += np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 6)
    return out


def test_the_radon_transform_is_the_one_of_scikit_image():
    size = SIZE + 1  # its axis of rotation lies in the centre of odd windows
    y, x = np.mgrid[:size, :size] - SIZE / 2
    images = np.pad(blobs(), ((0, 0), (0, 1), (0, 1), (0, 0))) * (np.hypot(x, y) < SIZE / 2 - 1)[None, :, :, None]
    found = radon_transforms(images)
    for image, mine in zip(images, found, strict=True):
        theirs = radon(image[..., 0], theta=180 * np.arange(size) / size, circle=True).T
        assert np.corrcoef(theirs.ravel(), mine[..., 0].ravel())[0, 1] > 0.995
    np.testing.assert_allclose(found.sum(2), images.sum((1, 2))[:, None] * np.ones((1, size, 1)), rtol=1e-5)


def test_a_turn_moves_the_rows_of_the_radon_transform():
    images = blobs(1)
    steps = 5
    a, b = radon_transforms(images), radon_transforms(turned(images, np.full(3, steps * np.pi / SIZE)))
    x, y = a[:, : SIZE - steps].ravel(), b[:, steps:].ravel()
    assert np.corrcoef(x, y)[0, 1] > 0.97


def test_fourier_magnitudes_hardly_see_a_shift():
    images = blobs(2) * disc(SIZE)[None, :, :, None]
    a, b = fourier_magnitudes(images), fourier_magnitudes(moved(images, 1, 1))
    assert a.shape == images.shape and np.allclose(a[:, 1:, 1:], a[:, :0:-1, :0:-1], atol=1e-4)
    assert np.abs(a - b).mean() < 0.35 * np.abs(images - moved(images, 1, 1)).mean() / images.std() * a.std()


@pytest.mark.parametrize("kind", ["fourier", "radon"])
def test_transforms_tell_two_lattices_apart_with_the_baselines(kind):
    y, x = np.mgrid[:SIZE, :SIZE]
    rng = np.random.default_rng(3)
    which = rng.integers(0, 2, 80)
    waves = [
        np.cos(0.9 * x[None] + p) if w else np.cos(0.9 * y[None] + p)
        for w, p in zip(which, rng.uniform(0, 6, 80), strict=True)
    ]
    images = (1 + np.concatenate(waves))[..., None]
    zero = np.zeros(80)
    stack = SubImages(images, zero.astype(int), zero, zero, np.full(80, ""), zero.astype(int) - 1)
    made = transformed(stack, kind)
    first = fit(PCA(2), made).encode(made).latents[:, 0]
    split = max(np.mean((first > 0) == which), np.mean((first < 0) == which))
    assert split > (0.95 if kind == "fourier" else 0.5)
    label = fit(NMF(2), transformed(stack, "fourier")).encode(transformed(stack, "fourier")).label
    assert max(np.mean(label == which), np.mean(label != which)) > 0.95


def two_turned_sheets():
    """Two frames of a sheet with a vacancy, turned against each other."""
    frames, xy = [], []
    for t, angle in enumerate((0.1, 0.6)):
        zero, centre = jnp.zeros(2), jnp.full(2, 1.5)
        sites = np.asarray(honeycomb(jnp.float32(angle), zero, centre, 3.0), np.float64)
        sites = sites[((sites > 0) & (sites < 3)).all(1)]
        sites = np.delete(sites, np.argmin(np.hypot(*(sites - 1.5).T)), axis=0)
        frames += [t] * len(sites)
        xy.append(sites)
    x, y = np.concatenate(xy).T / PX
    one = np.ones(len(x))
    return Atoms(np.array(frames), x, y, np.full(len(x), "C"), one, 0 * one, PX)


@pytest.mark.parametrize("method", ["kmeans", "gmm"])
def test_neighbourhoods_are_alike_in_all_orientations_and_edges_are_not(method):
    atoms = two_turned_sheets()
    sites = movie_sites(atoms)
    found = neighbourhoods(atoms)
    found = Neighbourhoods(*(part[~sites.border[found.atom]] for part in found))
    bulk = (sites.sites.coordination == 3)[found.atom]
    vectors = found.vectors[bulk]
    np.testing.assert_allclose(np.hypot(*vectors.transpose(2, 0, 1)), 0.142, atol=1e-4)
    assert vectors.std(0).max() < 1e-3  # both sublattices, both frames
    classes = classify_sites(found, 4, method=method)
    assert (classes.label[bulk] == 0).all() and classes.share.sum() == pytest.approx(1)
    assert (~bulk).sum() == 6 and (classes.label[~bulk] > 0).all()  # the three neighbours of the vacancy in each


def test_noise_leaves_the_sorting_as_it_is():
    atoms = two_turned_sheets()
    rng = np.random.default_rng(0)
    noisy = replace(atoms, x=atoms.x + rng.normal(0, 0.3, len(atoms)), y=atoms.y + rng.normal(0, 0.3, len(atoms)))
    found = neighbourhoods(noisy)
    bulk = (movie_sites(atoms).sites.coordination == 3)[found.atom]
    spread = found.vectors[bulk].std(0)
    assert spread.max() < 0.012  # nm: the noise of two positions, 0.3 px each


def test_few_atoms_have_no_neighbourhoods():
    atoms = two_turned_sheets().select(np.arange(3))
    found = neighbourhoods(atoms)
    assert len(found.atom) == 0 and len(classify_sites(found).share) == 0


def test_numbers_of_the_bond_graph():
    atoms = two_turned_sheets()
    found = graph_descriptors(atoms, movie_sites(atoms))
    assert all(len(values) == len(atoms) for values in found.values())
    assert np.nanmax(np.abs(found["dilatation"])) < 1e-3 and np.isfinite(found["shear"]).sum() > 100
    assert found["community"].max() > 0
