import logging

import numpy as np
import pytest

from rvaejax.errors import FormatError, ImageError, PixelSizeError
from rvaejax.io import read_movie

FRAMES = np.random.default_rng(0).integers(0, 4000, (5, 24, 32)).astype(np.uint16)


@pytest.mark.parametrize("key", ["frames", "movie", "images", "image", "whatever"])
def test_the_array_with_the_frames(tmp_path, key):
    np.savez_compressed(tmp_path / "m.npz", **{key: FRAMES, "note": np.array("text"), "times": np.arange(5.0)})
    movie = read_movie(tmp_path / "m.npz")
    np.testing.assert_array_equal(movie.frames[3], FRAMES[3])
    assert movie.metadata["note"] == "text"
    np.testing.assert_array_equal(movie.metadata["times"], np.arange(5.0))


def test_a_named_array_wins_over_other_images(tmp_path):
    np.savez(tmp_path / "m.npz", labels=np.zeros((192, 5)), images=FRAMES)
    assert read_movie(tmp_path / "m.npz").frames.shape == FRAMES.shape


def test_several_candidates_are_named(tmp_path):
    np.savez(tmp_path / "m.npz", a=FRAMES, b=FRAMES)
    with pytest.raises(FormatError, match="a, b"):
        read_movie(tmp_path / "m.npz")


def test_scale_dose_and_time(tmp_path):
    np.savez(tmp_path / "m.npz", frames=FRAMES, scale=0.5, frame_time_s=33.5, dose=np.arange(5.0), px_nm=0.016)
    movie = read_movie(tmp_path / "m.npz")
    np.testing.assert_allclose(movie.frames[1], 0.5 * FRAMES[1])
    assert movie.frames[1].dtype == np.float32
    assert movie.frame_time_s == 33.5 and movie.pixel_size_nm == 0.016
    np.testing.assert_array_equal(movie.dose, np.arange(5.0))
    np.savez(tmp_path / "m.npz", frames=FRAMES, dose=7.0)
    np.testing.assert_array_equal(read_movie(tmp_path / "m.npz").dose, np.full(5, 7.0))
    np.savez(tmp_path / "m.npz", frames=FRAMES, dose=np.arange(4.0))
    with pytest.raises(FormatError, match="dose"):
        read_movie(tmp_path / "m.npz")


def test_scan_size_is_divided_by_the_width(tmp_path):
    np.savez(tmp_path / "m.npz", frames=FRAMES, scan_size_pm=np.full(5, 640.0))
    assert read_movie(tmp_path / "m.npz").pixel_size_nm == pytest.approx(0.02)
    np.savez(tmp_path / "m.npz", frames=FRAMES, scan_size_nm=0.64)
    assert read_movie(tmp_path / "m.npz").pixel_size_nm == pytest.approx(0.02)
    np.savez(tmp_path / "m.npz", frames=FRAMES, scan_size_nm=np.array([0.6, 0.6, 1.2, 1.2, 1.2]))
    with pytest.raises(PixelSizeError, match="differ"):
        read_movie(tmp_path / "m.npz")


def test_a_size_of_nan_says_nothing_and_text_is_an_error(tmp_path):
    np.savez(tmp_path / "m.npz", frames=FRAMES, pixel_size_nm=np.nan)
    assert read_movie(tmp_path / "m.npz").pixel_size_nm is None
    np.savez(tmp_path / "m.npz", frames=FRAMES, pixel_size_nm="small")
    with pytest.raises(FormatError, match="pixel_size_nm"):
        read_movie(tmp_path / "m.npz")


def test_pickled_extras_are_left_alone(tmp_path, caplog):
    np.savez(tmp_path / "m.npz", frames=FRAMES, extra=np.array([{}], dtype=object))
    with caplog.at_level(logging.WARNING):
        movie = read_movie(tmp_path / "m.npz")
    np.testing.assert_array_equal(movie.frames[0], FRAMES[0])
    assert "extra" in caplog.text and "extra" not in movie.metadata


def test_a_grey_image_with_equal_channels_and_one_without(tmp_path):
    np.savez(tmp_path / "m.npz", image=np.repeat(FRAMES[0][..., None], 3, axis=-1))
    np.testing.assert_array_equal(read_movie(tmp_path / "m.npz").frames[0], FRAMES[0])
    np.savez(tmp_path / "m.npz", image=np.stack([FRAMES[0], FRAMES[1], FRAMES[2]], axis=-1))
    with pytest.raises(ImageError, match="colour"):
        read_movie(tmp_path / "m.npz").frames[0]


def test_fortran_order(tmp_path):
    np.savez(tmp_path / "m.npz", frames=np.asfortranarray(FRAMES))
    np.testing.assert_array_equal(read_movie(tmp_path / "m.npz").frames[2], FRAMES[2])


@pytest.mark.real
def test_si_hopping(real_data):
    movie = read_movie(real_data / "si_hopping" / "si_hopping_48frames.npz")
    assert movie.frames.shape == (48, 256, 256)
    assert movie.pixel_size_nm == pytest.approx(2.0 / 256) and movie.pixel_size_source == "file"
    assert movie.frames[0].max() == pytest.approx(1.0, abs=1e-4)  # the source's intensities lie in [0, 1]
    assert movie.metadata["labels"].shape == (192, 5)
