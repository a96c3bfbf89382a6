import os

import numpy as np
import pytest

from rvaejax.errors import ConfigError, InputError, MissingFileError, OutputExistsError
from rvaejax.io import atomic_path, check_output_file, prepare_output, read_atoms, write_atoms, write_text
from rvaejax.types import Atoms


def test_a_file_is_whole_or_not_there(tmp_path):
    target = tmp_path / "new" / "data.bin"
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert os.listdir(target.parent) == []
    with atomic_path(target) as temporary:
        assert temporary.parent == target.parent and temporary.suffix == ".bin"
        temporary.write_bytes(b"whole")
        assert not target.exists()
    assert target.read_bytes() == b"whole" and os.listdir(target.parent) == ["data.bin"]


def test_what_was_there_survives_a_failure(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(KeyboardInterrupt), atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
        raise KeyboardInterrupt
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_folder_is_never_overwritten_unasked(tmp_path):
    run = prepare_output(tmp_path / "a" / "run")
    prepare_output(run)  # nothing in it yet
    write_text(run / "config.yaml", "seed: 0")
    with pytest.raises(OutputExistsError, match="--overwrite"):
        prepare_output(run)
    prepare_output(run, resume=True)
    assert (run / "config.yaml").exists()
    (run / "checkpoints" / "1").mkdir(parents=True)
    prepare_output(run, overwrite=True)
    assert [p.name for p in run.iterdir()] == [".rvaejax"]


@pytest.mark.parametrize("option", ["overwrite", "resume"])
def test_a_folder_of_something_else_is_left_alone(tmp_path, option):
    (tmp_path / "config.yaml").write_text("somebody else's")
    with pytest.raises(OutputExistsError, match="not made by rvaejax"):
        prepare_output(tmp_path, **{option: True})
    assert (tmp_path / "config.yaml").read_text() == "somebody else's"


def test_overwriting_does_not_follow_links(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "data").write_text("keep")
    run = prepare_output(tmp_path / "run")
    (run / "link").symlink_to(tmp_path / "precious")
    prepare_output(run, overwrite=True)
    assert (tmp_path / "precious" / "data").read_text() == "keep" and not (run / "link").exists()


def test_files_in_the_way(tmp_path):
    (tmp_path / "f").write_text("x")
    with pytest.raises(OutputExistsError, match="is a file"):
        prepare_output(tmp_path / "f")
    with pytest.raises(InputError, match="cannot be written"):
        prepare_output(tmp_path / "f" / "below")
    with pytest.raises(InputError, match="cannot be written"):
        check_output_file(tmp_path / "f" / "below.npz")
    with pytest.raises(ConfigError):
        prepare_output(tmp_path / "g", overwrite=True, resume=True)
    with pytest.raises(OutputExistsError, match="--overwrite"):
        check_output_file(tmp_path / "f")
    assert check_output_file(tmp_path / "f", overwrite=True) == tmp_path / "f"
    with pytest.raises(OutputExistsError, match="is a folder"):
        check_output_file(tmp_path, overwrite=True)
    with pytest.raises(OutputExistsError, match="is a folder"), atomic_path(tmp_path):
        pass


def some_atoms(n=40, pixel_size_nm=6 / 512):
    rng = np.random.default_rng(0)
    species = np.where(rng.random(n) < 0.2, "Si", "C")
    x, y = rng.uniform(0, 500, (2, n))
    return Atoms(rng.integers(0, 3, n), x, y, species, rng.random(n), rng.random(n), pixel_size_nm)


@pytest.mark.parametrize("pixel_size_nm", [6 / 512, float("nan")])
@pytest.mark.parametrize("n", [0, 1, 40])
def test_atoms_round_trip(tmp_path, n, pixel_size_nm):
    atoms = some_atoms(n, pixel_size_nm)
    write_atoms(tmp_path / "atoms.csv", atoms)
    header = (tmp_path / "atoms.csv").read_text().splitlines()[0]
    assert header == "frame,x_px,y_px,x_nm,y_nm,species,score,sd_px"
    back = read_atoms(tmp_path / "atoms.csv")
    np.testing.assert_array_equal(back.frame, atoms.frame)
    np.testing.assert_array_equal(back.species, atoms.species)
    np.testing.assert_allclose(np.c_[back.x, back.y], np.c_[atoms.x, atoms.y], atol=5e-5)
    np.testing.assert_allclose(np.c_[back.score, back.sd], np.c_[atoms.score, atoms.sd], atol=5e-6)
    if n:
        np.testing.assert_allclose(back.pixel_size_nm, pixel_size_nm, rtol=1e-5)


def test_atoms_table_is_missing(tmp_path):
    with pytest.raises(MissingFileError, match=r"atoms\.csv"):
        read_atoms(tmp_path / "atoms.csv")
