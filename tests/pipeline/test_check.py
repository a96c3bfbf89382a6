"""`rvaejax check`: a trained run's invariance from its folder to its folder, and what cannot be checked."""

import csv
import json

import jax
import numpy as np
import pytest
import yaml

from rvaejax.atoms.subimages import cut_subimages
from rvaejax.cli import main
from rvaejax.io.maps import write_maps
from rvaejax.io.subimages import read_subimages
from rvaejax.io.tables import write_atoms
from rvaejax.pipeline.check import NOTES, run_subimages
from rvaejax.pipeline.resume import fingerprint
from rvaejax.rvae import elbo, save_model
from rvaejax.rvae.config import FourierDecoder, PolarEncoder, RVAEConfig
from rvaejax.rvae.record import TrainedRVAE
from rvaejax.types import Atoms, Maps, Movie

SIZE, N = 16, 240
SMALL = RVAEConfig(
    content_dim=2,
    encoder=PolarEncoder(orientations=32, hidden=16, layers=1, harmonics=8),
    decoder=FourierDecoder(hidden=8, layers=1, max_modes=3),
)


def untrained():
    """A model with random weights: equivariant by construction, which is all that these tests ask of it."""
    rng, shape = np.random.default_rng(1), (SIZE, SIZE, 1)
    shapes = jax.eval_shape(lambda key: elbo.build(SMALL, shape).init(key=key), jax.random.key(0))
    params = jax.tree.map(lambda leaf: rng.normal(0, 0.3, leaf.shape).astype(np.float32), shapes)
    facts = {"pixel_size_nm": None, "channels": ("intensity",), "history": (), "steps": 0, "cut": 0, "seed": 0}
    return TrainedRVAE(SMALL, params, shape, (0.0, 1.0), (0, 1), (1, 1), (1.0, 0.5), **facts)


def save_sites(path, n=N, seed=0):
    """Three-fold sites and sites that lost one of three neighbours, at every angle, with noise."""
    rng = np.random.default_rng(seed)
    kind, angle = np.arange(n) % 2, rng.uniform(0, 2 * np.pi, n)
    line = np.arange(SIZE) - (SIZE - 1) / 2
    images = np.zeros((n, SIZE, SIZE))
    for j in range(4):
        height = 0.5 if j == 3 else np.where((j == 0) & (kind == 1), 0.0, 1.0)
        radius, phi = (0.0 if j == 3 else 4.5), angle + 2 * np.pi * j / 3
        x, y = radius * np.cos(phi), -radius * np.sin(phi)
        dx, dy = (line[None] - x[:, None]) ** 2, (line[None] - y[:, None]) ** 2
        images += np.multiply.outer(height, np.ones(n if j == 3 else ()))[:, None, None] * np.exp(
            -(dy[:, :, None] + dx[:, None, :]) / (2 * 1.4**2)
        )
    images += 0.03 * rng.standard_normal(images.shape)
    np.savez(path, images=images.astype(np.float32), label=np.array(["whole", "vacancy"])[kind])
    return kind


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """The check of a run; what it printed."""
    import contextlib
    import io

    folder = tmp_path_factory.mktemp("check")
    kind, printed = save_sites(folder / "sites.npz"), io.StringIO()
    subimages = read_subimages(folder / "sites.npz")
    save_model(untrained(), folder / "run")
    begun = {"subimages": str(folder / "sites.npz"), "checksum": fingerprint([subimages.images])}
    path = folder / "run" / "config.yaml"  # as `train` leaves it
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "train": begun}))
    with contextlib.redirect_stdout(printed):
        main(["check", str(folder / "run"), "--rows", "60", "--turns", "2"])
    return folder, kind, printed.getvalue(), json.loads((folder / "run" / "check.json").read_text())


def test_turned_copies_turn_the_angle_and_nothing_leaks(checked):
    found = checked[3]
    quarters = found["quarter turns"]
    assert quarters["angle error, rms [deg]"] < 0.01 and quarters["content drift / spread, rms"] < 1e-3
    assert quarters["shift error, median [px]"] < 1e-3
    assert found["any angle, interpolated"]["worst kind"] in ("whole", "vacancy")
    assert found["about"] == {
        "sub-images judged": 60, "of": N, "held out of the training": True, "turns of each": 2, "seed": 0
    }  # fmt: skip
    leaks = found["leakage of the angle into the content"]
    assert all(value < 0.2 for name, value in leaks.items() if name.startswith("R2") and value is not None)
    calibration = found["calibration of angle_sd"]
    assert calibration["quarter turns: error / angle_sd, rms"] < 0.01
    assert calibration["from the residuals: error / angle_sd"] > 0.1  # it knows nothing of these images


def test_every_sub_image_has_its_angle_modulo_its_symmetry(checked):
    folder, _, _, found = checked
    with open(folder / "run" / "angles.csv") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["row"]) for row in rows] == list(range(N))
    fold, raw, modulo = (np.array([float(r[k]) for r in rows]) for k in ("symmetry", "angle_rad", "angle_modulo_rad"))
    assert set(fold) <= {0, 1, 2, 3, 4, 6}
    some = fold > 1
    assert (modulo[some] >= 0).all() and (modulo[some] < 2 * np.pi / fold[some] + 1e-5).all()
    assert np.allclose(np.exp(1j * fold[fold > 0] * (raw - modulo)[fold > 0]), 1, atol=1e-4)
    assert sum(v for k, v in found["symmetry of the sites"].items() if "kind" not in k) == pytest.approx(1, abs=1e-3)


def test_the_table_and_the_report_say_the_same(checked):
    folder, _, printed, found = checked
    page = (folder / "run" / "report.html").read_text()
    assert '<section id="invariance">' in page and NOTES[1].replace("'", "&#x27;") in page
    for section in found:
        if section != "notes":
            assert section in printed or section in ("any angle, interpolated", "any angle, drawn by the decoder")
            assert section[1:].replace("_", " ") in page
    for name in found["quarter turns"]:
        assert name in printed and name.replace("_", " ") in page
    assert "worst kind" in printed and NOTES[1] in printed


@pytest.mark.parametrize("source", ["maps", "frames"])
def test_a_run_cuts_its_own_sub_images_again(source, tmp_path):
    """From its maps, or from the frames that it kept; of these, the atoms of the frames in between do not count."""
    rng = np.random.default_rng(0)
    frames, n = rng.random((3, 64, 64)).astype(np.float32), 30
    frame, x, y = np.sort(rng.integers(0, 3, n)), rng.uniform(8, 56, n), rng.uniform(8, 56, n)
    atoms = Atoms(frame, x, y, np.full(n, "C"), np.ones(n), np.ones(n), 0.02)
    maps = Maps(np.round(255 * frames[..., None]) / 255, ("C",), 0.02, (64, 64), 0.02)
    write_atoms(tmp_path / "atoms.csv", atoms)
    write_maps(tmp_path / "maps.h5", maps)
    np.savez(tmp_path / "frames.npz", frames=frames[[0, 2]], index=np.array([0, 2]), frame_time_s=np.nan)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"run": {"source": source, "window_nm": 0.24}}))
    found = run_subimages(tmp_path)
    if source == "maps":
        expected = cut_subimages(maps, atoms, window_nm=0.24)
    else:
        kept = atoms.select(frame != 1)
        expected = cut_subimages(Movie(frames, 0.02), kept, window_nm=0.24)
    assert found.images.shape == expected.images.shape and found.images.shape[1] == 12
    assert np.allclose(found.images.astype(float), expected.images.astype(float), atol=5e-3)


def fails(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in arguments])
    assert end.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    assert len(lines) == 1
    return lines[0]


def test_what_cannot_be_checked_is_said_in_one_line(checked, tmp_path, capsys):
    folder = checked[0]
    run, before = folder / "run", (folder / "run" / "check.json").read_bytes()
    assert "config.yaml: no such file" in fails(["check", tmp_path], capsys)
    assert "no such file" in fails(["check", run, tmp_path / "absent.npz"], capsys)
    np.savez(tmp_path / "large.npz", images=np.random.default_rng(0).random((30, 20, 20)))
    assert "20 x 20 px" in fails(["check", run, tmp_path / "large.npz"], capsys)
    np.savez(tmp_path / "few.npz", images=np.random.default_rng(0).random((5, SIZE, SIZE)))
    assert "too few to check" in fails(["check", run, tmp_path / "few.npz"], capsys)
    assert "--rows" in fails(["check", run, "--rows", "3"], capsys)
    assert "--turns" in fails(["check", run, "--turns", "0"], capsys)
    assert (run / "check.json").read_bytes() == before


def test_sub_images_that_moved_or_changed_are_asked_for(checked, tmp_path, capsys):
    run = checked[0] / "run"
    path, text = run / "config.yaml", (run / "config.yaml").read_text()
    try:
        sections = yaml.safe_load(text)
        save_sites(tmp_path / "other.npz", seed=5)
        sections["train"]["subimages"] = str(tmp_path / "other.npz")
        path.write_text(yaml.safe_dump(sections))
        assert "has changed since the training" in fails(["check", run], capsys)
        sections["train"]["subimages"] = str(tmp_path / "gone.npz")
        path.write_text(yaml.safe_dump(sections))
        assert "name a file" in fails(["check", run], capsys)
    finally:
        path.write_text(text)
