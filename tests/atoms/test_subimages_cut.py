"""Windows around atoms: what lies in their middle, which ones exist, and what they are cut from."""

import numpy as np
import pytest

from rvaejax.atoms.config import WindowConfig
from rvaejax.atoms.subimages import cut_subimages, inside, window_side, windows
from rvaejax.errors import ConfigError, ImageError, NoAtomsError
from rvaejax.io import read_movie
from rvaejax.types import Atoms, Maps, Movie

PX = 0.02
SIGMA = 1.7


def _atoms(x, y, species=None, frame=None, px=PX):
    n = len(x)
    species = np.full(n, "C") if species is None else np.asarray(species)
    frame = np.zeros(n, int) if frame is None else np.asarray(frame)
    return Atoms(frame, np.asarray(x, float), np.asarray(y, float), species, np.ones(n), np.zeros(n), px)


def _blobs(x, y, size):
    rows, columns = np.indices(size)
    return sum(np.exp(-((columns - a) ** 2 + (rows - b) ** 2) / (2 * SIGMA**2)) for a, b in zip(x, y, strict=True))


@pytest.fixture(scope="module")
def scattered():
    """Atoms far enough apart that each window holds one."""
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.arange(20, 110, 30), np.arange(20, 140, 30)), -1).reshape(-1, 2)
    return (grid + rng.uniform(-0.5, 0.5, grid.shape)).T


def _centroid(windows):
    d = np.arange(windows.shape[1]) - (windows.shape[1] - 1) / 2
    images = windows[..., 0].astype(np.float64)
    total = images.sum((1, 2))
    return np.column_stack([images.sum(1) @ d / total, images.sum(2) @ d / total])


def test_the_atom_is_in_the_windows_middle_to_a_part_of_a_pixel(scattered):
    x, y = scattered
    frame = _blobs(x, y, (150, 130)).astype(np.float32)
    cut = windows(frame[..., None], x, y, 20)
    assert cut.shape == (len(x), 20, 20, 1)
    assert np.abs(_centroid(cut)).max() < 2e-3
    assert np.abs(cut - cut[0]).max() < 0.02  # one and the same blob, whatever its place in the pixel


def test_a_window_at_half_pixels_is_a_slice():
    image = np.random.default_rng(1).random((30, 40, 2)).astype(np.float32)
    cut = windows(image, np.array([15.5]), np.array([12.5]), 8)
    assert np.allclose(cut[0], image[9:17, 12:20], atol=1e-5)


def test_maps_of_another_pixel_are_cut_where_the_atom_is(scattered):
    x, y = scattered
    drawn = _blobs(x, y, (150, 130))[None, ..., None]
    maps = Maps(drawn.astype(np.float16), ("C",), PX, (300, 260), PX / 2)
    fine = _atoms(2 * x + 0.5, 2 * y + 0.5, px=PX / 2)
    cut = cut_subimages(maps, fine, window_nm=0.4)
    assert cut.images.shape == (len(x), 20, 20, 1) and cut.pixel_size_nm == PX
    assert np.abs(_centroid(cut.images)).max() < 5e-3
    assert np.array_equal(cut.x, fine.x) and cut.channels == ("C",)


def test_raw_frames_are_cut_on_their_own_scale(scattered):
    """Gain and offset of a frame do not reach its sub-images."""
    x, y = scattered
    frame = _blobs(x, y, (150, 130))
    both = Movie(np.stack([frame, 500 * frame + 70]), PX, "option")
    n = len(x)
    atoms = _atoms(np.tile(x, 2), np.tile(y, 2), frame=np.repeat([0, 1], n))
    cut = cut_subimages(both, atoms, window_nm=0.4)
    assert cut.channels == ("intensity",) and cut.images.shape == (2 * n, 20, 20, 1)
    assert np.abs(cut.images[:n].astype(float) - cut.images[n:]).max() < 2e-3 * cut.images.max()


def test_windows_beyond_the_border_are_dropped_and_counted():
    x, y = np.array([9.4, 9.6, 50, 69.4, 70.6, 30]), np.array([40, 40, 9.4, 69.4, 40, 30.0])
    movie = Movie(np.random.default_rng(2).random((1, 80, 80)), PX, "option")
    cut = cut_subimages(movie, _atoms(x, y), window_nm=0.4)
    kept = [i for i in range(6) if 10 <= round(x[i]) <= 70 and 10 <= round(y[i]) <= 70]
    assert cut.atom.tolist() == kept and cut.dropped == 6 - len(kept)
    assert (inside(x, y, 20, (80, 80)) == np.isin(np.arange(6), kept)).all()


def test_frame_position_species_and_atom_come_along():
    rng = np.random.default_rng(4)
    x, y = rng.uniform(0, 90, (2, 60))
    species, frame = rng.choice(["C", "Si"], 60), np.sort(rng.integers(0, 3, 60))
    movie = Movie(rng.random((3, 90, 90)), PX, "option")
    atoms = _atoms(x, y, species, frame)
    cut = cut_subimages(movie, atoms, window_nm=0.4, centres=("Si",))
    rows = cut.atom
    assert (species[rows] == "Si").all() and (cut.species == "Si").all()
    assert len(cut) + cut.dropped == (species == "Si").sum()
    for mine, theirs in ((cut.frame, frame), (cut.x, x), (cut.y, y)):
        assert np.array_equal(mine, theirs[rows])
    second = _atoms(x[frame == 1], y[frame == 1], species[frame == 1])
    one = cut_subimages(Movie(movie.frames[1:2], PX, "option"), second, window_nm=0.4, centres=("Si",))
    assert np.array_equal(one.images, cut.images[cut.frame == 1])  # a frame is cut by itself


@pytest.mark.parametrize(("window_nm", "pixel_nm", "side"), [(0.4, 0.02, 20), (0.4, 0.0157, 26), (0.01, 0.02, 8)])
def test_the_side_is_even_and_near_the_length(window_nm, pixel_nm, side):
    assert window_side(window_nm, pixel_nm) == side


def test_an_image_smaller_than_the_window_is_an_error():
    movie = Movie(np.random.default_rng(0).random((1, 16, 90)), PX, "option", name="slit")
    with pytest.raises(ImageError, match="slit: the image .* is smaller than the window .* --window-nm"):
        cut_subimages(movie, _atoms([40], [8]), window_nm=0.4)


def test_no_atom_far_enough_from_the_border_is_an_error():
    movie = Movie(np.random.default_rng(0).random((1, 40, 40)), PX, "option", name="tiny")
    with pytest.raises(NoAtomsError, match="tiny: none of 2 atoms"):
        cut_subimages(movie, _atoms([3, 38], [20, 20]), window_nm=0.4)
    with pytest.raises(NoAtomsError, match="none of 0 atoms"):
        cut_subimages(movie, _atoms([20], [20]), window_nm=0.4, centres=("Si",))


@pytest.mark.parametrize("wrong", [{"window_nm": 0.0}, {"window_nm": float("nan")}, {"source": "movie"}])
def test_options_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        WindowConfig(**wrong)


@pytest.mark.real
def test_the_papers_sub_images_of_24_pixels(real_data):
    """80,867 in the paper's account; the table's two decimals leave 18 windows on the edge of a pixel undecided."""
    movie = read_movie(real_data / "paper_movie" / "coordinates.csv.gz", 0.0157)
    carbon = movie.atoms.select(movie.atoms.species == "C")
    x, y = carbon.x, carbon.y
    assert window_side(24 * 0.0157, 0.0157) == 24
    kept = inside(x, y, 24, movie.size).sum()
    surely = ((np.minimum(x, y) > 11.5) & (np.maximum(x, y) < 500.5)).sum()
    possibly = ((np.minimum(x, y) >= 11.5) & (np.maximum(x, y) <= 500.5)).sum()
    assert surely <= 80_867 <= possibly and possibly - surely == 18
    assert surely <= kept <= possibly
