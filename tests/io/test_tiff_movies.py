import numpy as np
import pytest
import tifffile
from PIL import Image

from rvaejax.errors import ImageError
from rvaejax.io import read_movie

FRAMES = np.random.default_rng(0).integers(0, 4000, (5, 24, 32)).astype(np.uint16)


@pytest.mark.parametrize("dpi", [72, 96, 300])
def test_a_printers_resolution_is_not_a_pixel_size(tmp_path, dpi):
    tifffile.imwrite(tmp_path / "m.tif", FRAMES, resolution=(dpi, dpi), resolutionunit="INCH", metadata=None)
    assert read_movie(tmp_path / "m.tif").pixel_size_nm is None


def test_resolution_tags_of_a_microscope(tmp_path):
    tifffile.imwrite(tmp_path / "m.tif", FRAMES, resolution=(5e8, 5e8), resolutionunit="CENTIMETER", metadata=None)
    assert read_movie(tmp_path / "m.tif").pixel_size_nm == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("unit", "per_unit"), [("nm", 1 / 0.02), ("micron", 1e3 / 0.02), ("\\u00B5m", 1e3 / 0.02), ("A", 5)]
)
def test_imagej(tmp_path, unit, per_unit):
    metadata = {"unit": unit, "axes": "TYX", "finterval": 33.5}
    tifffile.imwrite(tmp_path / "m.tif", FRAMES, imagej=True, resolution=(per_unit, per_unit), metadata=metadata)
    movie = read_movie(tmp_path / "m.tif")
    assert movie.pixel_size_nm == pytest.approx(0.02, rel=1e-4) and movie.frame_time_s == 33.5
    np.testing.assert_array_equal(movie.frames[4], FRAMES[4])


def test_imagej_in_pixels_says_nothing(tmp_path):
    tifffile.imwrite(tmp_path / "m.tif", FRAMES, imagej=True, resolution=(50, 50), metadata={"unit": "pixel"})
    assert read_movie(tmp_path / "m.tif").pixel_size_nm is None


def test_ome(tmp_path):
    metadata = {
        "axes": "TYX",
        "PhysicalSizeX": 20.0,
        "PhysicalSizeXUnit": "pm",
        "PhysicalSizeY": 20.0,
        "PhysicalSizeYUnit": "pm",
    }
    tifffile.imwrite(tmp_path / "m.ome.tif", FRAMES, ome=True, metadata=metadata)
    movie = read_movie(tmp_path / "m.ome.tif")
    assert movie.pixel_size_nm == pytest.approx(0.02) and movie.frames.shape == FRAMES.shape


def test_compressed_stacks_are_read_page_by_page(tmp_path):
    tifffile.imwrite(tmp_path / "m.tif", FRAMES, compression="zlib", photometric="minisblack")
    movie = read_movie(tmp_path / "m.tif")
    assert movie.frames.shape == FRAMES.shape
    np.testing.assert_array_equal(movie.frames[3], FRAMES[3])


def test_lzw_without_a_codec_of_its_own(tmp_path):
    images = [Image.fromarray(frame) for frame in FRAMES]
    images[0].save(tmp_path / "m.tif", save_all=True, append_images=images[1:], compression="tiff_lzw")
    np.testing.assert_array_equal(read_movie(tmp_path / "m.tif").frames[3], FRAMES[3])


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("grey", [False, True])
def test_colour(tmp_path, grey, planar):
    frames = (FRAMES >> 4).astype(np.uint8)
    channels = [frames[0]] * 3 if grey else list(frames[:3])
    image = np.stack(channels, axis=0 if planar else -1)
    tifffile.imwrite(tmp_path / "m.tif", image, photometric="rgb", planarconfig="separate" if planar else "contig")
    if grey:
        movie = read_movie(tmp_path / "m.tif")
        assert movie.frames.shape == (1, 24, 32)
        np.testing.assert_array_equal(movie.frames[0], frames[0])
    else:
        with pytest.raises(ImageError, match="colour"):
            read_movie(tmp_path / "m.tif").frames[0]


def test_a_stack_of_grey_rgb_frames(tmp_path):
    frames = (FRAMES >> 4).astype(np.uint8)
    tifffile.imwrite(tmp_path / "m.tif", np.repeat(frames[..., None], 3, axis=-1), photometric="rgb")
    movie = read_movie(tmp_path / "m.tif")
    assert movie.frames.shape == FRAMES.shape
    np.testing.assert_array_equal(movie.frames[2], frames[2])


@pytest.mark.real
def test_nion_swift(real_data):
    movie = read_movie(real_data / "readers" / "nion_swift_5frames.tif")
    assert movie.frames.shape == (5, 128, 128) and movie.frames[0].dtype == np.float32
    assert movie.pixel_size_nm == pytest.approx(0.03125) and movie.pixel_size_source == "file"
    assert movie.metadata["nion properties"]["channel_name"] == "HAADF"
    np.testing.assert_array_equal(movie.frames[4], tifffile.imread(real_data / "readers" / "nion_swift_5frames.tif")[4])
