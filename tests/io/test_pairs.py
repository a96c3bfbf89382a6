"""A user's pairs: positions from masks by one rule, from every kind of file, and one clear line for each mistake."""

import logging

import numpy as np
import pytest
from PIL import Image

from rvaejax.errors import ConfigError, FormatError, ImageError, MissingFileError, NoAtomsError
from rvaejax.io.masks import mask_atoms
from rvaejax.io.pairs import PairSource, read_pairs

SPECIES = ("C", "Si")


def _discs(xy, classes, radius=3, size=(48, 64)):
    """Discs of each class around whole pixels."""
    y, x = np.mgrid[: size[0], : size[1]]
    mask = np.zeros(size, np.uint8)
    for (cx, cy), number in zip(xy, classes, strict=True):
        mask[(x - cx) ** 2 + (y - cy) ** 2 <= radius**2] = number
    return mask


XY, CLASSES = [(10, 9), (30, 20), (50, 33), (20, 40)], [1, 2, 1, 1]


@pytest.fixture
def stacks():
    rng = np.random.default_rng(0)
    masks = np.stack([_discs(XY, CLASSES), _discs(XY[:2], [1, 1])])
    return rng.random((2, 48, 64)).astype(np.float32) + masks, masks


def _save(path, images, masks, **more):
    np.savez(path, images=images, masks=masks, **more)
    return PairSource(file=path)


@pytest.mark.parametrize("radius", [0, 1, 3, 4])
def test_an_atom_is_a_blobs_centroid_however_large_the_disc(radius):
    xy, species = mask_atoms(_discs(XY, CLASSES, radius), SPECIES, "m")
    found = sorted(zip(np.round(xy, 9).tolist(), species.tolist(), strict=True))
    assert found == sorted(([float(x), float(y)], SPECIES[c - 1]) for (x, y), c in zip(XY, CLASSES, strict=True))


def test_blobs_of_two_classes_may_touch_and_corners_do_not_join():
    mask = np.array([[1, 1, 2, 2], [1, 1, 2, 2], [0, 0, 1, 0], [0, 0, 0, 1]])
    xy, species = mask_atoms(mask, SPECIES, "m")
    assert sorted(zip(xy.tolist(), species.tolist(), strict=True)) == [
        ([0.5, 0.5], "C"), ([2.0, 2.0], "C"), ([2.5, 0.5], "Si"), ([3.0, 3.0], "C"),
    ]  # fmt: skip


def test_discs_that_touch_are_warned_of(caplog):
    caplog.set_level(logging.WARNING, logger="rvaejax")
    mask_atoms(_discs([*XY, (16, 9)], [1, 1, 1, 1, 1]), SPECIES, "m.png")
    assert "m.png: 1 of 4 C blobs" in caplog.text


def test_an_npz_with_all_that_it_may_say(tmp_path, stacks):
    images, masks = stacks
    pairs = read_pairs(_save(tmp_path / "p.npz", images, masks, pixel_size_nm=0.018), SPECIES)
    assert len(pairs) == 2 and pairs.pixel_size_nm == (0.018, 0.018)
    assert pairs.atoms.frame.tolist() == [0, 0, 0, 0, 1, 1] and (pairs.atoms.species == "Si").sum() == 1
    turned = read_pairs(_save(tmp_path / "q.npz", images, masks, species=["Si", "C"]), SPECIES)
    assert (turned.atoms.species == "C").sum() == 1  # class 2 is C there
    assert np.array_equal(pairs.images[1], images[1])


@pytest.mark.parametrize("palette", [False, True])
def test_two_folders_of_the_same_names(tmp_path, stacks, palette):
    images, masks = stacks
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
        np.save(tmp_path / "images" / f"a_{number}.npy", image[: 48 - number])
        drawn = Image.fromarray(mask[: 48 - number])
        if palette:
            drawn = drawn.convert("P")
            drawn.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
        drawn.save(tmp_path / "masks" / f"a_{number}.png")
    source = PairSource(images=tmp_path / "images", masks=tmp_path / "masks", pixel_size_nm=0.02)
    pairs = read_pairs(source, SPECIES)
    assert [image.shape for image in pairs.images] == [(48, 64), (47, 64)] and pairs.pixel_size_nm == (0.02, 0.02)
    assert len(pairs.atoms) == 6 and (pairs.atoms.species == "Si").sum() == 1
    (tmp_path / "masks" / "a_1.png").unlink()
    with pytest.raises(MissingFileError, match="a_1.npy: has no partner"):
        read_pairs(source, SPECIES)


def test_a_table_of_points_instead_of_masks(tmp_path, stacks):
    np.savez(tmp_path / "p.npz", images=stacks[0])
    table = tmp_path / "points.csv"
    table.write_text("frame,x_px,y_px,species\n0,3.5,7.25,C\n1,60,40,Si\n")
    pairs = read_pairs(PairSource(file=tmp_path / "p.npz", points=table), SPECIES)
    assert pairs.atoms.x.tolist() == [3.5, 60] and pairs.atoms.species.tolist() == ["C", "Si"]
    table.write_text("frame,x_px,y_px,species\n0,3.5,47.75,C\n")
    with pytest.raises(FormatError, match=r"atom at \(3.5, 47.75\) px lies outside image 0, 64 x 48 px"):
        read_pairs(PairSource(file=tmp_path / "p.npz", points=table), SPECIES)
    table.write_text("frame,x_px,y_px,species\n2,3.5,7,C\n")
    with pytest.raises(FormatError, match="frame 2 has no image"):
        read_pairs(PairSource(file=tmp_path / "p.npz", points=table), SPECIES)
    table.write_text("frame,x_px,y_px,species\n1,3.5,7,Fe\n")
    with pytest.raises(FormatError, match="species 'Fe' is not one"):
        read_pairs(PairSource(file=tmp_path / "p.npz", points=table), SPECIES)


def _one_line(error):
    assert "\n" not in str(error.value)


def test_mistakes_in_pairs_are_one_clear_error_each(tmp_path, stacks):
    images, masks = stacks
    broken, flat, strange = (array.copy() for array in (masks.astype(float), masks, masks))
    broken[1, 3, 4], flat[:], strange[1, 0, 0] = 0.5, 0, 7
    constant, holed = images.copy(), images.copy()
    constant[1], holed[0, 0, 0] = 1.0, np.nan
    wrong = {
        "fit": (images, masks[:, :40], ImageError, r"pair 0: the mask is \(40, 64\), its image \(48, 64\)"),
        "missing": (images, masks[:1], FormatError, "2 images, but 1 masks"),
        "class": (images, strange, FormatError, "pair 1: the mask holds class 7, .* 0 background, 1 C, 2 Si"),
        "float": (images, broken, FormatError, "pair 1: the mask holds 0.5; masks are whole numbers"),
        "empty": (images, flat, NoAtomsError, "0 of 2 pairs have atoms"),
        "few": (images[:1], masks[:1], FormatError, "1 pair; at least 2"),
        "axes": (images, np.stack([masks] * 3, -1), FormatError, "masks has 4 axes"),
        "constant": (constant, masks, ImageError, "pair 1: frame 0 has the same value"),
        "nan": (holed, masks, ImageError, "NaN"),
    }
    for name, (image, mask, error, words) in wrong.items():
        with pytest.raises(error, match=words) as raised:
            read_pairs(_save(tmp_path / f"{name}.npz", image, mask), SPECIES)
        _one_line(raised)
    np.savez(tmp_path / "no.npz", images=images)
    with pytest.raises(FormatError, match="needs arrays 'images' and 'masks'"):
        read_pairs(PairSource(file=tmp_path / "no.npz"), SPECIES)
    with pytest.raises(MissingFileError, match="no such file"):
        read_pairs(PairSource(file=tmp_path / "nowhere.npz"), SPECIES)
    with pytest.raises(MissingFileError, match="no such folder"):
        read_pairs(PairSource(images=tmp_path / "nowhere", masks=tmp_path), SPECIES)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"images": "a"},
        {"file": "a", "images": "b", "masks": "c"},
        {"file": "a", "masks": "b"},
        {"images": "a", "masks": "b", "points": "c"},
    ],
)
def test_sources_that_contradict_themselves_are_refused(given, untyped):
    with pytest.raises(ConfigError):
        PairSource(**given)
