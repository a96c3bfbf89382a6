import logging
import shutil

import numpy as np
import pytest
from PIL import Image

from rvaejax.errors import FormatError, ImageError, MissingFileError, PixelSizeError
from rvaejax.io import check_frame, read_movie

FRAMES = np.random.default_rng(0).integers(0, 4000, (5, 24, 32)).astype(np.uint16)


def one_line(error) -> str:
    text = str(error.value)
    assert "\n" not in text and text
    return text


def test_missing_file(tmp_path):
    with pytest.raises(MissingFileError) as error:
        read_movie(tmp_path / "absent.npy")
    assert "absent.npy" in one_line(error)


def test_unknown_format_names_those_that_are_read(tmp_path):
    (tmp_path / "scan.xyz").write_bytes(b"123")
    with pytest.raises(FormatError, match=r"\.npy.*\.tif.*\.csv\.gz") as error:
        read_movie(tmp_path / "scan.xyz")
    assert "scan.xyz" in one_line(error)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".tif", ".png", ".jpg", ".h5", ".csv", ".csv.gz"])
@pytest.mark.parametrize("content", [b"", b"\x00\x01 this is not an image \xff" * 20], ids=["empty", "garbage"])
def test_empty_and_damaged_files(tmp_path, suffix, content):
    file = tmp_path / f"bad{suffix}"
    file.write_bytes(content)
    with pytest.raises(FormatError) as error:
        read_movie(file)
    assert f"bad{suffix}" in one_line(error)


@pytest.mark.parametrize("keep", [0.3, 0.9])
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".tif", ".png", ".h5"])
def test_files_cut_short_are_errors_not_wrong_pixels(tmp_path, suffix, keep):
    whole = tmp_path / f"whole{suffix}"
    save(whole, FRAMES)
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(whole.read_bytes()[: int(keep * whole.stat().st_size)])
    with pytest.raises(FormatError) as error:
        movie = read_movie(cut)
        for i in range(len(movie)):
            movie.frames[i]
    assert "cut" in one_line(error)


def save(file, frames):
    if file.suffix == ".npy":
        np.save(file, frames)
    elif file.suffix == ".npz":
        np.savez(file, frames=frames)
    elif file.suffix == ".tif":
        import tifffile

        tifffile.imwrite(file, frames, photometric="minisblack")
    elif file.suffix == ".png":
        Image.fromarray(frames[0]).save(file)
    else:
        import h5py

        with h5py.File(file, "w") as stored:
            stored["image_data"] = frames


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".tif", ".png", ".h5"])
def test_every_format_returns_the_same_pixels(tmp_path, suffix):
    save(tmp_path / f"a.movie{suffix}", FRAMES)
    movie = read_movie(tmp_path / f"a.movie{suffix}")
    expected = FRAMES[:1] if suffix == ".png" else FRAMES
    assert movie.frames.shape == expected.shape and len(movie) == len(expected) and movie.size == (24, 32)
    assert movie.name == "a.movie" and movie.pixel_size_nm is None and movie.pixel_size_source == ""
    for i in range(len(movie)):
        np.testing.assert_array_equal(movie.frames[i], expected[i])
    np.testing.assert_array_equal(movie.frames[-1], expected[-1])
    with pytest.raises(IndexError):
        movie.frames[len(expected)]


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".tif", ".h5"])
def test_a_single_image_is_a_movie_of_one_frame(tmp_path, suffix):
    save(tmp_path / f"image{suffix}", FRAMES[2])
    movie = read_movie(tmp_path / f"image{suffix}")
    assert movie.frames.shape == (1, 24, 32)
    np.testing.assert_array_equal(movie.frames[0], FRAMES[2])


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.arange(30.0), "1 axes"),
        (np.zeros((2, 3, 8, 8)), "4 axes"),
        (np.ones((8, 8), complex), "complex"),
        (np.zeros((0, 8, 8)), "empty"),
        (np.random.default_rng(1).random((16, 16, 3)), "colour"),
    ],
)
def test_arrays_that_are_no_images(tmp_path, suffix, array, said):
    save(tmp_path / f"array{suffix}", array)
    with pytest.raises(ImageError, match=said) as error:
        read_movie(tmp_path / f"array{suffix}").frames[0]
    assert f"array{suffix}" in one_line(error)


def test_objects_are_never_unpickled(tmp_path):
    objects = np.array([{"a": 1}, None], dtype=object)
    np.save(tmp_path / "o.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "o.npz", frames=objects)
    for name in ("o.npy", "o.npz"):
        with pytest.raises(FormatError) as error:
            read_movie(tmp_path / name)
        assert name in one_line(error)


@pytest.mark.parametrize(("value", "said"), [(np.nan, "1 pixels"), (np.inf, "1 pixels"), (None, "same value")])
def test_check_frame_names_what_cannot_be_analysed(value, said):
    frame = np.full((8, 8), 3.0)
    if value is not None:
        frame[0, 0], frame[1, 1] = value, 7
    with pytest.raises(ImageError, match=said) as error:
        check_frame(frame, "movie.tif", 4)
    assert "movie.tif: frame 4" in one_line(error)


def test_check_frame_gives_float32_and_rejects_what_does_not_fit():
    out = check_frame(FRAMES[0], "m", 0)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, FRAMES[0])
    with pytest.raises(ImageError, match="infinite"):
        check_frame(np.array([[0.0, 1e300]]), "m", 0)
    with pytest.raises(ImageError, match="3 axes"):
        check_frame(FRAMES, "m", 0)


@pytest.mark.parametrize("option", [0.0, -0.01, np.nan, np.inf, 1.0, 1e-5])
def test_pixel_sizes_that_make_no_sense(tmp_path, option):
    np.save(tmp_path / "m.npy", FRAMES)
    with pytest.raises(PixelSizeError) as error:
        read_movie(tmp_path / "m.npy", pixel_size_nm=option)
    assert "m.npy" in one_line(error)


def test_who_says_the_pixel_size(tmp_path, caplog):
    np.savez(tmp_path / "m.npz", frames=FRAMES, pixel_size_nm=0.02)
    movie = read_movie(tmp_path / "m.npz")
    assert (movie.pixel_size_nm, movie.pixel_size_source) == (0.02, "file")
    with caplog.at_level(logging.WARNING):
        assert read_movie(tmp_path / "m.npz", 0.0201).pixel_size_source == "option"
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        movie = read_movie(tmp_path / "m.npz", 0.025)
    assert (movie.pixel_size_nm, movie.pixel_size_source) == (0.025, "option")
    assert "0.025" in caplog.text and "0.02 nm" in caplog.text


def test_an_unreasonable_size_in_the_file_can_be_overruled(tmp_path):
    np.savez(tmp_path / "m.npz", frames=FRAMES, pixel_size_nm=12.0)
    with pytest.raises(PixelSizeError, match="px-nm"):
        read_movie(tmp_path / "m.npz")
    assert read_movie(tmp_path / "m.npz", 0.012).pixel_size_nm == 0.012


def test_a_folder_is_a_movie_in_natural_order(tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in (10, 2, 1):
        Image.fromarray(FRAMES[number % 5]).save(folder / f"frame_{number}.png")
    (folder / "notes.txt").write_text("not an image")
    movie = read_movie(folder)
    assert movie.name == "scans" and movie.metadata["files"] == ["frame_1.png", "frame_2.png", "frame_10.png"]
    for i, number in enumerate((1, 2, 10)):
        np.testing.assert_array_equal(movie.frames[i], FRAMES[number % 5])


def test_folders_without_images_or_with_images_of_different_size(tmp_path):
    with pytest.raises(FormatError, match="no images"):
        read_movie(tmp_path)
    Image.fromarray(FRAMES[0]).save(tmp_path / "a.png")
    Image.fromarray(FRAMES[0][:20]).save(tmp_path / "b.png")
    movie = read_movie(tmp_path)
    with pytest.raises(ImageError, match=r"b\.png"):
        movie.frames[1]


def test_frames_are_read_when_asked_for(tmp_path):
    """What lies beyond the header may change, or vanish, between opening and reading."""
    Image.fromarray(FRAMES[0]).save(tmp_path / "0.png")
    Image.fromarray(FRAMES[1]).save(tmp_path / "1.png")
    movie = read_movie(tmp_path)
    shutil.copy(tmp_path / "0.png", tmp_path / "1.png")
    np.testing.assert_array_equal(movie.frames[1], FRAMES[0])
    np.save(tmp_path / "m.npy", FRAMES)
    mapped = read_movie(tmp_path / "m.npy").frames[0]
    assert isinstance(mapped, np.memmap)
