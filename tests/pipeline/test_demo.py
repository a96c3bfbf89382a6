"""The whole way on a small simulated movie, against its truth; the folder of results; resuming; rebuilding."""

import csv
import json
import shutil

import numpy as np
import pytest
import yaml

from rvaejax.errors import ConfigError, MissingFileError
from rvaejax.io.latents import read_latents_h5
from rvaejax.io.tables import read_atoms
from rvaejax.io.tracks import read_trajectories
from rvaejax.pipeline.config import RunConfig
from rvaejax.pipeline.demo import SECTION, demo
from rvaejax.pipeline.run import report, run
from rvaejax.simulate.config import MovieConfig
from rvaejax.training.interrupt import Interrupted

MOVIE = MovieConfig(frames=3, size_px=192)
STEPS = 500


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "demo"
    return out, demo(out, MOVIE, RunConfig(steps=STEPS))


def test_scores_against_the_truth(finished):
    _, scores = finished
    assert scores["detection F1"] > 0.97
    assert scores["position error [pm]"] < 12
    assert scores["species accuracy"] > 0.98
    assert scores["angle error, median [deg]"] < 3
    assert scores["angle concentration R"] > 0.95
    assert scores["defects, accuracy (balanced)"] > 0.75


def test_the_folder_holds_what_the_design_promises(finished):
    out, scores = finished
    for name in ("config.yaml", "metrics.jsonl", "atoms.csv", "latents.h5", "maps.h5", "report.html", "checkpoints"):
        assert (out / name).exists()
    assert not [path for path in out.rglob("*") if ".tmp" in path.name]
    assert json.loads((out / "summary.json").read_text())[SECTION] == scores
    config = yaml.safe_load((out / "config.yaml").read_text())
    assert config["run"]["steps"] == STEPS
    assert config["rvae"]["training"]["steps"] == STEPS
    pictures = {path.stem for path in (out / "figures").glob("*.png")}
    expected = {
        "latent_manifold",
        "real_space_maps",
        "angle_histogram",
        "angle_over_time",
        "content_over_time",
        "losses",
        "ring_map",
        "grain_map",
        "physics",
        "order_over_time",
        "traversal_1",
        "trajectories",
        "transitions",
    }
    assert expected <= pictures


def test_every_atom_has_its_place_in_a_trajectory(finished):
    out, _ = finished
    atoms, tracks = read_trajectories(out / "trajectories.csv")
    assert len(atoms) == len(read_atoms(out / "atoms.csv")) == len(tracks.track)
    sightings = np.bincount(tracks.track)
    assert (sightings == 3).sum() > 0.9 * len(sightings) > 200
    assert len(set(zip(tracks.track, atoms.frame, strict=True))) == len(atoms)  # one to one
    summary = json.loads((out / "summary.json").read_text())
    assert summary["trajectories"]["trajectories"] == len(tracks)
    # the demo's own movie and training give 0.5; here patches of 20 atoms count as grains, after 500 steps
    assert summary[SECTION]["grain orientation error, largest [deg]"] < 2.0


def test_every_sub_image_is_encoded_and_leads_back_to_its_atom(finished):
    out, _ = finished
    rows = read_latents_h5(out / "latents.h5")
    with open(out / "atoms.csv") as handle:
        atoms = list(csv.DictReader(handle))
    assert np.isfinite(rows.latents.angle).all() and np.isfinite(rows.latents.content).all()
    x = np.array([float(atoms[i]["x_px"]) for i in rows.atom])
    np.testing.assert_allclose(x, rows.x, atol=1e-3)


def test_the_report_is_rebuilt_from_the_folder_alone(finished, tmp_path):
    out, _ = finished
    copy = tmp_path / "elsewhere"
    shutil.copytree(out, copy)
    shutil.rmtree(copy / "figures")
    (copy / "report.html").unlink()
    assert report(copy).read_text().count("data:image/png") >= 8
    with pytest.raises(MissingFileError):
        report(tmp_path)


@pytest.mark.slow
def test_an_interrupted_run_resumes_to_the_same_latents(finished, tmp_path):
    whole, _ = finished
    movie, out = whole / "movie.npz", tmp_path / "out"
    config = RunConfig(steps=STEPS)
    calls = iter(range(1000))
    with pytest.raises(Interrupted):
        run(movie, out, config, should_stop=lambda: 15 if next(calls) >= 5 else 0)
    assert (out / "atoms.csv").is_file() and not (out / "latents.h5").is_file()
    with pytest.raises(ConfigError, match="window_nm"):
        run(movie, out, RunConfig(steps=STEPS, window_nm=0.5), resume=True)
    run(movie, out, config, resume=True)
    again = tmp_path / "again"
    run(movie, again, config)
    # maps pass through 8 bits on the disk of a resumed run: equal up to that
    a, b = (read_latents_h5(folder / "latents.h5").latents for folder in (out, again))
    assert len(a) == len(b)
