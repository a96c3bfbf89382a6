"""N-fold symmetry from patterns whose symmetry is known."""

import numpy as np
import pytest
from scipy import ndimage

from rvaejax.analysis.symmetry import energies, image_energies, lacks, pooled, site_symmetry

SIZE = 32


def pattern(fold, angle, *, size=SIZE, missing=0, shells=((7.0, 1.0), (12.0, 0.6))):
    """Atoms on shells of N (N = 1: three, one of which is brighter) around a central one, turned by each angle [rad].

    `missing` atoms of the inner shell are left out.
    """
    line = np.arange(size) - (size - 1) / 2
    images = np.zeros((len(angle), size, size, 1))
    atoms = [(0.0, 0.0, 1.0)]
    for s, (radius, height) in enumerate(shells):
        count = 3 if fold == 1 else fold
        for j in range(count):
            bright = 2.5 if fold == 1 and j == 0 else 1.0
            if not (s == 0 and j < missing):
                atoms.append((radius, 2 * np.pi * j / count + 0.2 * s, height * bright))
    for radius, phi, height in atoms:
        x, y = radius * np.cos(phi + angle), -radius * np.sin(phi + angle)
        dx, dy = (line[None] - x[:, None]) ** 2, (line[None] - y[:, None]) ** 2
        images[..., 0] += height * np.exp(-(dy[:, :, None] + dx[:, None, :]) / (2 * 1.8**2))
    return images


@pytest.mark.parametrize("fold", [1, 2, 3, 4, 6])
def test_the_symmetry_of_known_patterns_is_found_through_noise(fold):
    """One by one where the noise is a tenth of an atom's height; of all together where it is a quarter."""
    rng = np.random.default_rng(fold)
    images = pattern(fold, rng.uniform(0, 2 * np.pi, 60))
    noise = rng.standard_normal(images.shape)
    for sd in (0.0, 0.05, 0.1):
        assert (site_symmetry(image_energies(images + sd * noise)).fold == fold).mean() >= (1 if sd < 0.1 else 0.8)
    assert site_symmetry(pooled(image_energies(images + 0.25 * noise))).fold.tolist() == [fold]


def test_noise_alone_has_no_energy():
    noise = np.random.default_rng(5).standard_normal((400, SIZE, SIZE, 2))
    found = image_energies(noise)
    assert abs(found.angular.sum(1).mean()) < 0.5 * found.noise.mean()
    assert (site_symmetry(found).fold == 0).mean() > 0.9


@pytest.mark.parametrize(("fold", "missing"), [(3, 1), (4, 1), (6, 1)])
def test_a_missing_neighbour_takes_the_symmetry_away(fold, missing):
    images = pattern(fold, np.linspace(0, 6, 40), missing=missing)
    assert (site_symmetry(image_energies(images)).fold == 1).all()


def test_a_site_that_is_drawn_with_a_symmetry_its_image_lacks_is_told():
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 6, 40)
    for sd in (0.0, 0.1):
        noise = sd * rng.standard_normal((40, SIZE, SIZE, 1))
        whole, broken = (image_energies(pattern(3, angle, missing=m) + noise) for m in (0, 1))
        assert not lacks(whole, np.full(40, 3)).any() and lacks(whole, np.full(40, 6)).all()
        assert lacks(broken, np.full(40, 3)).all() and not lacks(broken, np.full(40, 1)).any()
        assert lacks(whole, np.zeros(40, int)).all()  # not round either


def test_two_opposite_of_four_neighbours_missing_leave_a_twofold_site():
    images = pattern(4, np.zeros(1)) - 0.6 * (pattern(4, np.zeros(1)) - pattern(2, np.zeros(1)))
    assert site_symmetry(image_energies(images)).fold.tolist() == [2]


def test_a_lone_atom_looks_the_same_at_every_angle():
    rng = np.random.default_rng(0)
    images = pattern(3, np.zeros(20), shells=())
    for noise in (0.0, 0.05):
        assert (site_symmetry(image_energies(images + noise * rng.standard_normal(images.shape))).fold == 0).all()


def test_the_share_is_what_the_mean_of_the_turned_copies_keeps():
    """Brute force: the N-fold part is the mean of the N turned copies."""
    rng = np.random.default_rng(1)
    orders, radius = np.arange(1, 20), np.arange(1, 6) / np.pi  # radii so small that no order counts as noise
    phase = orders[:, None] * 2 * np.pi * np.arange(48)[None] / 48
    wave = rng.standard_normal((2, 3, 5, 2, len(orders)))
    samples = np.einsum("nrcm,mk->nkrc", wave[0], np.cos(phase)) + np.einsum("nrcm,mk->nkrc", wave[1], np.sin(phase))
    angular = energies(samples, radius).angular
    for n in (2, 3, 4, 6):
        folded = np.mean([np.roll(samples, 48 // n * j, axis=1) for j in range(n)], axis=0)
        norms = [(radius[:, None] * x**2).sum((1, 2, 3)) for x in (folded, samples)]
        assert np.allclose(angular[:, n - 1 :: n].sum(1) / angular.sum(1), norms[0] / norms[1], rtol=1e-9)


def test_symmetry_does_not_depend_on_how_the_site_is_turned():
    turned = np.stack(
        [ndimage.rotate(pattern(3, np.zeros(1))[0], a, reshape=False, order=3) for a in range(0, 360, 17)]
    )
    found = site_symmetry(image_energies(turned))
    assert (found.fold == 3).all() and (found.similarity > 0.97).all()
