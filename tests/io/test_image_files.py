import numpy as np
import pytest
from PIL import Image

from rvaejax.errors import ImageError
from rvaejax.io import read_movie

GREY = np.random.default_rng(0).integers(0, 255, (24, 32)).astype(np.uint8)


def write(file, array, mode=None):
    Image.fromarray(array).convert(mode or "L" if array.ndim == 2 else mode).save(file)


@pytest.mark.parametrize("mode", ["L", "RGB", "LA", "RGBA", "P"])
def test_grey_images_in_any_mode(tmp_path, mode):
    Image.fromarray(GREY).convert(mode).save(tmp_path / "i.png")
    movie = read_movie(tmp_path / "i.png")
    assert movie.frames.shape == (1, 24, 32)
    np.testing.assert_array_equal(movie.frames[0], GREY)


def test_sixteen_bits_are_kept(tmp_path):
    deep = GREY.astype(np.uint16) * 257
    Image.fromarray(deep).save(tmp_path / "i.png")
    np.testing.assert_array_equal(read_movie(tmp_path / "i.png").frames[0], deep)


def test_a_grey_jpeg_in_colour_mode(tmp_path):
    smooth = np.add.outer(np.arange(24), 3 * np.arange(32)).astype(np.uint8)
    Image.fromarray(smooth).convert("RGB").save(tmp_path / "i.jpg", quality=95)
    assert np.abs(read_movie(tmp_path / "i.jpg").frames[0].astype(int) - smooth).mean() < 2


@pytest.mark.parametrize("mode", ["RGB", "P", "RGBA"])
def test_colour_images(tmp_path, mode):
    colours = np.zeros((24, 32, 3), np.uint8)
    colours[3:9, 4:9, 0] = 200
    Image.fromarray(colours).convert(mode).save(tmp_path / "i.png")
    with pytest.raises(ImageError, match=r"i\.png: a colour image"):
        read_movie(tmp_path / "i.png")


def test_opacity_that_varies(tmp_path):
    image = np.dstack([GREY, GREY, GREY, GREY])
    Image.fromarray(image).save(tmp_path / "i.png")
    with pytest.raises(ImageError, match="opacity"):
        read_movie(tmp_path / "i.png")


@pytest.mark.real
def test_the_papers_panels(real_data):
    assert read_movie(real_data / "paper_movie" / "frame10_experimental.png").frames.shape == (1, 342, 342)
    with pytest.raises(ImageError, match="colour"):
        read_movie(real_data / "paper_movie" / "frame10_dcnn_jet.png")
