"""Runs on movies that leave something out: one frame, frames without atoms, one species, points that are no atoms."""

import json
import re

import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.cli import main
from rvaejax.errors import ConfigError, FormatError, ImageError, MissingFileError
from rvaejax.io.latents import read_latents_h5
from rvaejax.io.tables import read_atoms, write_atoms
from rvaejax.io.tracks import read_trajectories
from rvaejax.pipeline.check import run_subimages
from rvaejax.pipeline.config import RunConfig
from rvaejax.pipeline.demo import demo
from rvaejax.pipeline.run import report, run
from rvaejax.simulate.config import MovieConfig
from rvaejax.simulate.sheet import honeycomb
from rvaejax.types import Atoms

PX = 0.016
FEW = RunConfig(preset="paper", steps=4, max_seconds=300.0)


def write_sheet(path, frames, side_nm=1.6):
    """A table of carbon atoms of a square of graphene in each of some frames."""
    centre = jnp.full(2, side_nm / 2)
    xy = np.asarray(honeycomb(jnp.float32(0.1), jnp.zeros(2), centre, side_nm), np.float64)
    xy = xy[((xy > 0.05) & (xy < side_nm - 0.05)).all(1)]
    x, y = np.tile(xy, (len(frames), 1)).T / PX
    one = np.ones(len(x))
    write_atoms(path, Atoms(np.repeat(frames, len(xy)), x, y, np.full(len(x), "C"), one, 0 * one, PX))
    return len(x)


def notes(out):
    return " ".join(json.loads((out / "summary.json").read_text())["notes"])


def pictures(out):
    return {path.stem for path in (out / "figures").glob("*.png")}


@pytest.mark.slow
def test_a_single_frame_has_no_dynamics_and_all_the_rest(tmp_path):
    count = write_sheet(tmp_path / "one.csv", [0])
    run(tmp_path / "one.csv", tmp_path / "out", FEW)
    assert "single frame" in notes(tmp_path / "out")
    assert len(read_atoms(tmp_path / "out" / "atoms.csv")) == count
    assert not (tmp_path / "out" / "trajectories.csv").exists()
    found = pictures(tmp_path / "out")
    assert {"ring_map", "real_space_maps", "angle_histogram"} <= found
    assert not found & {"trajectories", "transitions", "order_over_time", "traversal_1"}


@pytest.mark.slow
def test_frames_without_atoms_are_told_and_bridged(tmp_path):
    count = write_sheet(tmp_path / "gaps.csv", [0, 1, 3])
    out = tmp_path / "out"
    run(tmp_path / "gaps.csv", out, FEW)
    assert "No atoms were found in 1 of 4 frames: 2" in notes(out)
    atoms, tracks = read_trajectories(out / "trajectories.csv")
    assert len(atoms) == count and len(tracks) == count / 3  # one species, nothing born, nothing gone
    assert {"trajectories", "order_over_time", "atom_counts"} <= pictures(out)


@pytest.mark.slow
def test_windows_on_a_grid_and_on_the_points_of_a_table(tmp_path):
    write_sheet(tmp_path / "sheet.csv", [0, 1])
    out = tmp_path / "grid"
    run(tmp_path / "sheet.csv", out, RunConfig(preset="paper", steps=4, max_seconds=300.0, centres="grid"))
    rows = read_latents_h5(out / "latents.h5")
    assert (rows.atom == -1).all() and np.allclose(np.diff(np.unique(rows.x)), np.diff(np.unique(rows.x))[0])
    again = run_subimages(out)  # what a later check cuts
    assert len(again) == len(rows.frame) and np.allclose(again.x, rows.x)
    assert report(out).is_file()
    (tmp_path / "points.csv").write_text("x_px,y_px\n" + "".join(f"{x},{y}\n" for x in (30, 50, 60) for y in (40, 55)))
    results = run(
        tmp_path / "sheet.csv",
        tmp_path / "table",
        RunConfig(preset="paper", steps=4, max_seconds=300.0, centres=str(tmp_path / "points.csv")),
    )
    assert len(results.subimages) == 12 and results.subimages.x[:2].tolist() == [30, 30]


def test_one_atom_is_too_few_to_train_on_and_nothing_is_written(tmp_path):
    (tmp_path / "one.csv").write_text("frame,x_px,y_px,x_nm,y_nm,species\n0,40,40,0.64,0.64,C\n1,60,60,0.96,0.96,C\n")
    with pytest.raises(ImageError, match="too few to train on"):
        run(tmp_path / "one.csv", tmp_path / "out", FEW)
    assert not (tmp_path / "out").exists()


def test_centres_that_make_no_sense(tmp_path):
    with pytest.raises(ConfigError, match="--centres is atoms, grid, or a table"):
        RunConfig(centres="holes")
    write_sheet(tmp_path / "sheet.csv", [0])
    with pytest.raises(MissingFileError, match="gone.csv: no such file"):
        run(tmp_path / "sheet.csv", tmp_path / "out", RunConfig(centres=str(tmp_path / "gone.csv")))
    (tmp_path / "late.csv").write_text("frame,x_px,y_px\n1,30,30\n")
    with pytest.raises(FormatError, match="points of frame 1, but the movie has 1"):
        run(tmp_path / "sheet.csv", tmp_path / "out", RunConfig(centres=str(tmp_path / "late.csv")))
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="--centres grid"):
        demo(tmp_path / "demo", MovieConfig(frames=1, size_px=64), RunConfig(centres="grid"))


def test_tracking_from_the_command_line(tmp_path, capsys):
    count = write_sheet(tmp_path / "atoms.csv", [0, 1, 2])
    main(["track", str(tmp_path / "atoms.csv"), "--out", str(tmp_path / "trajectories.csv"), "--gap", "1"])
    told = capsys.readouterr().out
    assert re.search(rf"trajectories +{count // 3}\n", told)
    atoms, tracks = read_trajectories(tmp_path / "trajectories.csv")
    assert len(atoms) == count and (np.bincount(tracks.track) == 3).all()
    for arguments, word in (
        (["track", tmp_path / "atoms.csv", "--out", tmp_path / "trajectories.csv"], "--overwrite"),
        (["track", tmp_path / "atoms.csv", "--out", tmp_path / "t.txt"], ".csv"),
        (["track", tmp_path, "--out", tmp_path / "x.csv", "--reach-nm", "0"], "reach_nm"),
        (["track", tmp_path / "gone.csv", "--out", tmp_path / "x.csv"], "no such file"),
    ):
        with pytest.raises(SystemExit) as end:
            main([str(a) for a in arguments])
        assert end.value.code == 2 and word in capsys.readouterr().err
    one = tmp_path / "one.csv"
    one.write_text("frame,x_px,y_px,species\n0,3,4,C\n")
    main(["track", str(one), "--out", str(tmp_path / "single.csv")])
    assert "nothing to link" in capsys.readouterr().out and (tmp_path / "single.csv").read_text().count("\n") == 2
