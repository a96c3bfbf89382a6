"""The pixel size out of graphene's own lattice, and nothing out of what is no lattice."""

import numpy as np
import pytest
from scipy import ndimage

from rvaejax.errors import PixelSizeError
from rvaejax.segmentation.pixel_size import (
    COARSEST_NM,
    D_SPACING_NM,
    FINEST_NM,
    known_pixel_size,
    pixel_size_from_lattice,
)
from rvaejax.simulate.config import BOND_NM
from rvaejax.types import Movie

SIDE = 256


def _graphene(pixel_nm, angle, seed=0, *, size=SIDE, noise=0.5, spot_nm=0.05):
    """Graphene of unit peaks with Gaussian noise; sites from the lattice vectors, independent of the simulator."""
    rng = np.random.default_rng(seed)
    reach = int(np.ceil(size * pixel_nm / BOND_NM))
    i, j = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1)
    cell = BOND_NM * np.exp(1j * (angle + np.pi / 6)) * np.sqrt(3)
    sites = i * cell + j * cell * np.exp(1j * np.pi / 3)
    sites = np.concatenate([sites, sites + BOND_NM * np.exp(1j * (angle + np.pi / 3))]) / pixel_nm + size / 2 * (1 + 1j)
    sites = sites + rng.uniform(-5, 5) + 1j * rng.uniform(-5, 5)
    sites = sites[(abs(sites - size / 2 * (1 + 1j)) < size)]
    sigma, axis = spot_nm / pixel_nm, np.arange(size)[:, None]
    gx, gy = (np.exp(-0.5 * ((axis - p) / sigma) ** 2) for p in (sites.real, sites.imag))
    return gy @ gx.T + noise * rng.standard_normal((size, size))


def _found(*frames):
    return pixel_size_from_lattice(Movie(np.stack(frames)))


@pytest.mark.parametrize("angle", [0.0, 0.21, 0.5])
@pytest.mark.parametrize("pixel_nm", [0.0078, 0.012, 0.0157, 0.023, 0.035])
def test_the_pixel_size_of_simulated_graphene(pixel_nm, angle):
    assert _found(_graphene(pixel_nm, angle)) == pytest.approx(pixel_nm, rel=0.003)


@pytest.mark.parametrize("seed", [8, 26, 31, 39])
def test_noise_inside_the_first_order_is_not_taken_for_it(seed):
    """Many periods and little noise: chance peaks 30 degrees off, at 1 / sqrt 3 of the frequency, must not win."""
    angle = np.random.default_rng(seed).uniform(0, np.pi / 3)
    assert _found(_graphene(0.035, angle, seed, noise=0.3)) == pytest.approx(0.035, rel=0.003)


def test_a_blurred_background_does_not_hide_the_first_order():
    """Blobs of an uneven layer swamp the low frequencies, and narrow atoms make the second order strong."""
    layer = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((SIDE, SIDE)), 6)
    frame = _graphene(0.0157, 0.3, spot_nm=0.03) + 0.6 * layer / layer.std()
    assert _found(frame) == pytest.approx(0.0157, rel=0.01)


def test_the_spacing_is_that_of_the_first_order():
    assert D_SPACING_NM == pytest.approx(1.5 * BOND_NM, rel=2e-3)


def test_gain_offset_and_a_hot_pixel_do_not_matter():
    frame = _graphene(0.0157, 0.3)
    plain = _found(frame)
    assert _found(1e4 * frame - 300) == pytest.approx(plain, rel=1e-9)
    frame[100, 90] = 1e6
    assert _found(frame) == pytest.approx(plain, rel=2e-3)


def test_two_grains_and_a_contaminated_corner_change_little():
    frame = _graphene(0.0157, 0.1)
    frame[:, SIDE // 2 :] = _graphene(0.0157, 0.45)[:, SIDE // 2 :]
    frame[:70, :70] += 8 + ndimage.gaussian_filter(np.random.default_rng(1).standard_normal((70, 70)), 3) * 10
    assert _found(frame) == pytest.approx(0.0157, rel=0.025)


def test_several_noisy_frames_show_what_one_may_not():
    frames = [_graphene(0.0157, 0.2, seed, noise=3.0) for seed in range(8)]
    assert _found(*frames) == pytest.approx(0.0157, rel=0.025)


def test_an_image_that_is_not_square_will_do():
    assert _found(_graphene(0.0157, 0.2)[:150]) == pytest.approx(0.0157, rel=0.025)


@pytest.mark.parametrize("seed", range(6))
def test_white_noise_has_no_lattice(seed):
    assert _found(np.random.default_rng(seed).standard_normal((SIDE, SIDE))) is None


@pytest.mark.parametrize("grain_px", [1.5, 3.0, 6.0, 12.0])
def test_amorphous_textures_have_no_lattice(grain_px):
    for seed in range(3):
        noise = np.random.default_rng(seed).standard_normal((SIDE, SIDE))
        assert _found(ndimage.gaussian_filter(noise, grain_px)) is None
        # a band of frequencies, as a transfer function leaves it: a ring in the transform, but no spots
        ring = ndimage.gaussian_filter(noise, grain_px) - ndimage.gaussian_filter(noise, 1.3 * grain_px)
        assert _found(ring) is None


def test_a_square_lattice_is_not_graphene():
    y, x = np.indices((SIDE, SIDE))
    squares = np.cos(2 * np.pi * x / 13.5) + np.cos(2 * np.pi * y / 13.5)
    assert _found(squares + np.random.default_rng(0).standard_normal((SIDE, SIDE))) is None


@pytest.fixture(scope="module")
def lattice():
    return _graphene(0.0157, 0.1)[None]


def test_the_file_comes_before_the_lattice(lattice):
    assert known_pixel_size(Movie(lattice, 0.02, "file")) == (0.02, "file")
    assert known_pixel_size(Movie(lattice, 0.02, "option")) == (0.02, "option")
    assert known_pixel_size(Movie(lattice, 0.02)) == (0.02, "option")
    size, source = known_pixel_size(Movie(lattice))
    assert source == "lattice" and size == pytest.approx(0.0157, rel=0.025)


@pytest.mark.parametrize("size", [FINEST_NM / 2, COARSEST_NM * 1.1, 15.7, 0.0, -0.01, float("nan")])
def test_a_pixel_size_that_cannot_show_atoms_is_refused(lattice, size):
    with pytest.raises(PixelSizeError, match="makes no sense"):
        known_pixel_size(Movie(lattice, size, "file", name="movie"))


def test_without_a_lattice_the_option_is_asked_for():
    noise = np.random.default_rng(0).standard_normal((1, 128, 128))
    with pytest.raises(PixelSizeError, match="--px-nm") as error:
        known_pixel_size(Movie(noise, name="noise.tif"))
    assert "noise.tif" in str(error.value) and "\n" not in str(error.value)
