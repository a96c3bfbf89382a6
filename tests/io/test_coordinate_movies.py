import gzip

import numpy as np
import pytest

from rvaejax.errors import FormatError
from rvaejax.io import read_movie
from rvaejax.io.render import SIGMA_OF_SPACING, blob_sigma, render

HEADER = "frame,row_px,col_px,class(0=C;1=Si)\n"


def test_the_centroid_of_a_blob_is_its_coordinate():
    """Sampling a Gaussian at whole numbers keeps its first moment."""
    rng = np.random.default_rng(0)
    for x, y in rng.uniform(20, 40, (20, 2)):
        image = render(np.array([x]), np.array([y]), np.array([1.5]), 2.0, (60, 64)).astype(np.float64)
        rows, cols = np.indices(image.shape)
        assert (image * cols).sum() / image.sum() == pytest.approx(x, abs=3e-3)
        assert (image * rows).sum() / image.sum() == pytest.approx(y, abs=3e-3)


def test_rendering_is_the_maximum_of_the_blobs():
    rng = np.random.default_rng(1)
    x, y, height = rng.uniform(-0.4, 39.4, 30), rng.uniform(-0.4, 31.4, 30), rng.uniform(0.5, 2, 30)
    rows, cols = np.indices((32, 40))
    r2 = (rows[..., None] - y) ** 2 + (cols[..., None] - x) ** 2
    oracle = (height * np.exp(-r2 / (2 * 1.7**2))).max(-1)
    image = render(x, y, height, 1.7, (32, 40))
    assert np.abs(image - oracle).max() < 2 * np.exp(-8)  # what is cut off beyond four standard deviations
    doubled = render(np.tile(x, 2), np.tile(y, 2), np.tile(height, 2), 1.7, (32, 40))
    np.testing.assert_array_equal(doubled, image)


def test_width_of_the_blobs_follows_the_spacing():
    grid = np.mgrid[0:5, 0:5].reshape(2, -1) * 9.0
    frame = np.repeat([0, 1], 25)
    x, y = np.tile(grid[0], 2), np.tile(grid[1], 2)
    assert blob_sigma(frame, x, y) == pytest.approx(SIGMA_OF_SPACING * 9.0)


def test_a_table_becomes_a_movie(tmp_path):
    (tmp_path / "t.csv").write_text(HEADER + "0,10.25,20.5,0\n0,30,44.75,1\n2,100.5,17,0\n")
    movie = read_movie(tmp_path / "t.csv")
    assert movie.frames.shape == (3, 112, 48) and movie.atoms is not None
    assert movie.atoms.species.tolist() == ["C", "Si", "C"] and movie.atoms.frame.tolist() == [0, 0, 2]
    assert np.isnan(movie.atoms.pixel_size_nm) and movie.pixel_size_nm is None
    np.testing.assert_array_equal(movie.atoms.x, [20.5, 44.75, 17])
    np.testing.assert_array_equal(movie.atoms.y, [10.25, 30, 100.5])
    assert movie.frames[1].max() == 0 and movie.frames[0][30, 45] > 1.5 > movie.frames[0][10, 20]
    assert read_movie(tmp_path / "t.csv", 0.0157).atoms.pixel_size_nm == 0.0157


def test_frames_that_do_not_start_at_zero(tmp_path):
    (tmp_path / "t.csv").write_text("frame,x_px,y_px,species\n3,5,6,C\n4,7,8,Si\n")
    movie = read_movie(tmp_path / "t.csv")
    assert len(movie) == 2 and movie.atoms.frame.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "no coordinates"),
        (HEADER, "without atoms"),
        (HEADER + "0,1,2\n", "line 2"),
        (HEADER + "0,one,2,0\n", "row_px"),
        (HEADER + "0,nan,2,0\n", "NaN"),
        (HEADER + "0,1,2,7\n", "class '7'"),
        (HEADER + "0,1,200000,0\n", "px of the frame"),
        (HEADER + "0,-40,2,0\n", "px of the frame"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, text, said):
    with gzip.open(tmp_path / "t.csv.gz", "wt") as handle:
        handle.write(text)
    with pytest.raises(FormatError, match=said) as error:
        read_movie(tmp_path / "t.csv.gz")
    assert "t.csv.gz" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.real
def test_the_papers_movie(real_data):
    movie = read_movie(real_data / "paper_movie" / "coordinates.csv.gz")
    assert movie.frames.shape == (50, 512, 512)
    assert (movie.atoms.species == "C").sum() == 88_657 and (movie.atoms.species == "Si").sum() == 906
    frame = movie.frames[10]
    here = movie.atoms.select(movie.atoms.frame == 10)
    at_atoms = frame[np.round(here.y).astype(int), np.round(here.x).astype(int)]
    assert at_atoms.min() > 0.8 and np.median(frame) < 0.2
