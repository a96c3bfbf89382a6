import logging
from dataclasses import replace

import h5py
import numpy as np
import pytest

from rvaejax.errors import FormatError, ImageError, MissingFileError
from rvaejax.io import (
    read_latents,
    read_latents_h5,
    read_maps,
    read_movie,
    read_subimages,
    write_latents,
    write_latents_h5,
    write_maps,
    write_subimages,
)
from rvaejax.types import Atoms, ContentOrder, Latents, Maps, SubImages

RNG = np.random.default_rng(0)
FIELDS = ("angle", "angle_sd", "shift", "content", "content_sd")


def some_latents(n=7, d=2):
    return Latents(RNG.random(n), RNG.random(n), RNG.random((n, 2)), RNG.random((n, d)), RNG.random((n, d)))


def some_subimages(n=7, label=None, pixel_size_nm=0.016):
    species = np.array(["C", "Si"])[np.arange(n) % 2]
    images = RNG.random((n, 8, 8, 2)).astype(np.float32)
    x, y = RNG.random((2, n))
    return SubImages(images, np.arange(n), x, y, species, np.arange(n) * 3, pixel_size_nm, ("C", "Si"), 4, label)


def same_arrays(a, b, names):
    for name in names:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


@pytest.mark.parametrize("label", [None, np.arange(7)])
@pytest.mark.parametrize("pixel_size_nm", [None, 0.016])
def test_subimages_round_trip(tmp_path, label, pixel_size_nm):
    written = some_subimages(label=label, pixel_size_nm=pixel_size_nm)
    write_subimages(tmp_path / "s.npz", written)
    back = read_subimages(tmp_path / "s.npz")
    same_arrays(back, written, ("images", "frame", "x", "y", "species", "atom"))
    assert back.images.dtype == np.float32 and back.channels == ("C", "Si") and back.pixel_size_nm == pixel_size_nm
    np.testing.assert_array_equal(back.label, label)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float16, np.float64, bool])
def test_subimages_of_any_real_type_without_anything_else(tmp_path, dtype, caplog):
    images = (RNG.random((5, 6, 6)) * 100).astype(dtype)
    np.savez(tmp_path / "s.npz", images=images, angle=np.zeros(5))
    with caplog.at_level(logging.INFO):
        back = read_subimages(tmp_path / "s.npz")
    np.testing.assert_array_equal(back.images[..., 0], images)
    assert back.images.dtype == dtype and back.label is None and back.pixel_size_nm is None
    assert back.atom.tolist() == [-1] * 5 and "angle" in caplog.text


@pytest.mark.parametrize(
    ("arrays", "kind", "said"),
    [
        ({"patches": np.zeros((3, 8, 8))}, FormatError, "patches"),
        ({"images": np.zeros(8)}, ImageError, "shape"),
        ({"images": np.zeros((0, 8, 8))}, ImageError, "at least one"),
        ({"images": np.zeros((3, 8, 9))}, ImageError, "square"),
        ({"images": np.zeros((3, 8, 8), complex)}, ImageError, "complex"),
        ({"images": np.full((3, 8, 8), np.nan)}, ImageError, "3 images"),
        ({"images": np.array([{}], dtype=object).reshape(1, 1, 1)}, FormatError, "pickled"),
        ({"images": np.zeros((3, 8, 8)), "frame": np.arange(4)}, FormatError, "frame"),
        ({"images": np.zeros((3, 8, 8)), "xy": np.zeros((3, 3))}, FormatError, "xy"),
        ({"images": np.zeros((3, 8, 8)), "label": np.zeros(2)}, FormatError, "label"),
    ],
)
def test_subimages_that_cannot_be_used(tmp_path, arrays, kind, said):
    np.savez(tmp_path / "s.npz", **arrays)
    with pytest.raises(kind, match=said) as error:
        read_subimages(tmp_path / "s.npz")
    assert "s.npz" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("read", [read_subimages, read_latents, read_latents_h5, read_maps])
def test_missing_and_damaged_files(tmp_path, read):
    with pytest.raises(MissingFileError):
        read(tmp_path / "absent")
    (tmp_path / "bad").write_bytes(b"no" * 100)
    with pytest.raises(FormatError):
        read(tmp_path / "bad")


@pytest.mark.parametrize("n", [0, 7])
def test_latents_round_trip(tmp_path, n):
    written = some_latents(n)
    write_latents(tmp_path / "l.npz", written)
    with np.load(tmp_path / "l.npz") as arrays:
        assert sorted(arrays) == sorted(FIELDS)
    same_arrays(read_latents(tmp_path / "l.npz"), written, FIELDS)


@pytest.mark.parametrize("n", [0, 7])
def test_latents_with_their_atoms_round_trip(tmp_path, n):
    latents, subimages = some_latents(n), some_subimages(n)
    write_latents_h5(tmp_path / "l.h5", latents, subimages)
    back = read_latents_h5(tmp_path / "l.h5")
    same_arrays(back.latents, latents, FIELDS)
    same_arrays(back, subimages, ("frame", "x", "y", "species", "atom"))
    assert back.pixel_size_nm == 0.016
    with h5py.File(tmp_path / "l.h5") as file:
        assert file["angle"].attrs["unit"] == "rad" and all("description" in file[name].attrs for name in file)


def test_what_is_told_of_the_crystal_is_kept_and_has_its_units(tmp_path):
    order = ContentOrder(*RNG.random((3, 7)))
    write_latents_h5(tmp_path / "l.h5", some_latents(7), some_subimages(7), order)
    back = read_latents_h5(tmp_path / "l.h5").order
    same_arrays(back, order, ("deviation", "crystallinity_own", "crystallinity"))
    with h5py.File(tmp_path / "l.h5", "a") as file:
        assert "neighbours" in file["crystallinity"].attrs["description"]
        del file["crystallinity_own"]
    with pytest.raises(FormatError, match="crystallinity_own"):
        read_latents_h5(tmp_path / "l.h5")
    write_latents_h5(tmp_path / "l.h5", some_latents(7), some_subimages(7))
    assert read_latents_h5(tmp_path / "l.h5").order is None  # as files of before have it
    with pytest.raises(ValueError, match="6 orders for 7"):
        write_latents_h5(tmp_path / "l.h5", some_latents(7), some_subimages(7), ContentOrder(*RNG.random((3, 6))))


def test_scales_and_class_probabilities_are_kept_where_there_are_such(tmp_path):
    """Files without them still read: see above."""
    further = {"scale": RNG.random(7), "class_probability": RNG.random((7, 3))}
    written = replace(some_latents(7), **further)
    write_latents(tmp_path / "l.npz", written)
    write_latents_h5(tmp_path / "l.h5", written, some_subimages(7))
    for back in (read_latents(tmp_path / "l.npz"), read_latents_h5(tmp_path / "l.h5").latents):
        same_arrays(back, written, (*FIELDS, *further))
    np.savez(tmp_path / "l.npz", **{name: getattr(written, name) for name in FIELDS}, scale=np.ones(6))
    with pytest.raises(FormatError, match="scale"):
        read_latents(tmp_path / "l.npz")


def test_signals_and_spectra_are_read(tmp_path):
    np.savez(tmp_path / "s.npz", images=np.ones((5, 12)), spectra=np.ones((5, 30)))
    back = read_subimages(tmp_path / "s.npz")
    assert back.images.shape == (5, 1, 12, 1) and back.spectra.shape == (5, 30)
    write_subimages(tmp_path / "t.npz", back)
    same_arrays(read_subimages(tmp_path / "t.npz"), back, ("images", "spectra"))


def test_latents_of_other_lengths(tmp_path):
    with pytest.raises(ValueError, match="7 latents for 6"):
        write_latents_h5(tmp_path / "l.h5", some_latents(7), some_subimages(6))
    assert not (tmp_path / "l.h5").exists()
    whole = some_latents()
    arrays = {name: getattr(whole, name) for name in FIELDS}
    np.savez(tmp_path / "l.npz", **{**arrays, "shift": np.zeros((6, 2))})
    with pytest.raises(FormatError, match="shift"):
        read_latents(tmp_path / "l.npz")
    del arrays["angle_sd"]
    np.savez(tmp_path / "l.npz", **arrays)
    with pytest.raises(FormatError, match="angle_sd"):
        read_latents(tmp_path / "l.npz")


class Counted:
    """Maps that are computed when asked for, and count how often."""

    shape = (3, 20, 24, 2)

    def __init__(self):
        self.values = RNG.random(self.shape).astype(np.float32)
        self.asked = []

    def __getitem__(self, index):
        self.asked.append(index)
        return self.values[index]


def test_maps_round_trip(tmp_path):
    frames = Counted()
    atoms = Atoms(np.array([0]), np.array([3.25]), np.array([4.0]), np.array(["Si"]), np.ones(1), np.zeros(1), 0.016)
    written = Maps(frames, ("C", "Si"), 0.022, (40, 48), 0.011, "movie", atoms)
    write_maps(tmp_path / "maps.h5", written)
    assert frames.asked == [0, 1, 2]
    back = read_maps(tmp_path / "maps.h5")
    assert back.probabilities.shape == frames.shape and len(back) == 3
    for i in range(3):
        assert back.probabilities[i].dtype == np.float32
        assert np.abs(back.probabilities[i] - frames.values[i]).max() <= 1 / 510 + 1e-6
    for name in ("species", "pixel_size_nm", "input_size", "input_pixel_size_nm", "name", "scale"):
        assert getattr(back, name) == getattr(written, name)
    same_arrays(back.atoms, atoms, ("frame", "x", "y", "species", "score", "sd"))
    with h5py.File(tmp_path / "maps.h5") as file:
        assert file["probabilities"].chunks[0] == 1 and file["probabilities"].dtype == np.uint8


def test_an_ensembles_disagreement_is_stored_beside_the_maps(tmp_path):
    values = np.random.default_rng(0).uniform(size=(2, 8, 9))
    write_maps(tmp_path / "m.h5", Maps(np.zeros((2, 8, 9, 1)), ("C",), 0.02, (8, 9), 0.02, uncertainty=values))
    back = read_maps(tmp_path / "m.h5")
    assert back.uncertainty.shape == (2, 8, 9)
    assert np.abs(back.uncertainty[1] - values[1]).max() <= 1 / 510 + 1e-6
    write_maps(tmp_path / "n.h5", Maps(np.zeros((2, 8, 9, 1)), ("C",), 0.02, (8, 9), 0.02))
    assert read_maps(tmp_path / "n.h5").uncertainty is None


def test_probabilities_zero_and_one_are_exact(tmp_path):
    write_maps(tmp_path / "m.h5", Maps(np.eye(8)[None, ..., None], ("C",), 0.02, (8, 8), 0.02))
    np.testing.assert_array_equal(read_maps(tmp_path / "m.h5").probabilities[0][..., 0], np.eye(8))


@pytest.mark.real
def test_rendered_frames_of_the_paper_as_subimages(real_data, tmp_path):
    """A stack cut from real frames goes through the file as it is."""
    frame = read_movie(real_data / "paper_movie" / "coordinates.csv.gz").frames[0]
    windows = np.lib.stride_tricks.sliding_window_view(frame, (24, 24))[::60, ::60].reshape(-1, 24, 24)
    np.savez(tmp_path / "s.npz", images=windows)
    np.testing.assert_array_equal(read_subimages(tmp_path / "s.npz").images[..., 0], windows)
