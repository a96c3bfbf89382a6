"""The table of trajectories: what is written is read, and tables of before links were called sure are read too."""

import numpy as np

from rvaejax.io.tracks import read_trajectories, write_trajectories
from rvaejax.types import Atoms, Tracks


def test_trajectories_and_their_doubtful_links_survive_the_file(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 60, (2, 6))
    frame, track = np.array([0, 0, 1, 1, 3, 3]), np.array([1, 0, 0, 1, 1, 2])
    atoms = Atoms(frame, x, y, np.array(["C", "Si"] * 3), np.ones(6), np.zeros(6), 0.016)
    tracks = Tracks(track, np.array([0, 1, 3]), rng.normal(size=(3, 2)), np.array([1, 1, 0, 1, 1, 1], bool))
    path = tmp_path / "trajectories.csv"
    write_trajectories(path, atoms, tracks)
    read, found = read_trajectories(path)
    np.testing.assert_array_equal(found.track, track)
    np.testing.assert_array_equal(found.sure, tracks.sure)
    np.testing.assert_allclose(found.drift, tracks.drift, atol=1e-4)
    np.testing.assert_allclose(read.x, x, atol=1e-4)
    lines = [line.rpartition(",")[0] for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")
    assert read_trajectories(path)[1].sure is None
    # what nobody asked is not said to be sure by a file
    again = tmp_path / "again.csv"
    write_trajectories(again, *read_trajectories(path))
    assert read_trajectories(again)[1].sure is None
    np.testing.assert_array_equal(read_trajectories(again)[1].track, track)
