import json

import h5py
import numpy as np
import pytest

from rvaejax.errors import FormatError
from rvaejax.io import read_movie

IMAGE = np.random.default_rng(0).random((32, 40))


def write(file, scan_size=None, **datasets):
    with h5py.File(file, "w") as stored:
        for name, array in datasets.items():
            stored[name] = array
        if scan_size is not None:
            stored["metadata"] = json.dumps({"scan size": scan_size, "sample name": "Graphene"})


@pytest.mark.parametrize(("said", "expected"), [("0.8", 0.02), (" 0.8 nm", 0.02), ("NA", None), ("", None)])
def test_scan_size_is_divided_by_the_width(tmp_path, said, expected):
    write(tmp_path / "i.hdf5", said, image_data=IMAGE)
    movie = read_movie(tmp_path / "i.hdf5")
    assert movie.pixel_size_nm == (None if expected is None else pytest.approx(expected))
    assert movie.metadata["sample name"] == "Graphene"
    np.testing.assert_array_equal(movie.frames[0], IMAGE)


def test_the_only_image_and_its_attribute(tmp_path):
    with h5py.File(tmp_path / "i.h5", "w") as stored:
        stored["a/b/scan"] = np.stack([IMAGE, 2 * IMAGE])
        stored["a/b/scan"].attrs["pixel_size_nm"] = 0.013
        stored["times"] = np.arange(2.0)
    movie = read_movie(tmp_path / "i.h5")
    assert movie.frames.shape == (2, 32, 40) and movie.pixel_size_nm == 0.013
    np.testing.assert_array_equal(movie.frames[1], 2 * IMAGE)


def test_none_or_several_images(tmp_path):
    write(tmp_path / "none.h5", "2")
    with pytest.raises(FormatError, match="no image"):
        read_movie(tmp_path / "none.h5")
    write(tmp_path / "two.h5", a=IMAGE, b=IMAGE)
    with pytest.raises(FormatError, match="/a, /b"):
        read_movie(tmp_path / "two.h5")


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "size", "pixel_size"),
    [("G-GrainBoundary-6nm", 512, 6 / 512), ("G-Si-2nm", 256, 2 / 256), ("G-trimSi", 512, None)],
)
def test_graphene(real_data, name, size, pixel_size):
    movie = read_movie(real_data / "graphene_real" / f"{name}.hdf5")
    assert movie.frames.shape == (1, size, size)
    assert movie.pixel_size_nm == (None if pixel_size is None else pytest.approx(pixel_size))
    assert movie.metadata["type of data"] == "HAADF"
