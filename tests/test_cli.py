"""The command line: what it says of bad input, its exit codes, and that nothing is half-written."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from rvaejax.cli import main, one_line
from rvaejax.commands import COMMANDS

PX_NM = 0.02


def lattice_image(size=96, px_nm=PX_NM, angle=0.3):
    """A clean honeycomb as a sum of three standing waves."""
    y, x = np.mgrid[:size, :size] * px_nm
    phases = angle + np.pi / 2 + np.arange(3) * np.pi / 3
    waves = sum(np.cos(2 * np.pi / 0.213 * (x * np.cos(p) - y * np.sin(p))) for p in phases)
    return (3 - waves).astype(np.float32)


def fails(arguments, capsys):
    """Runs the command line; asserts exit code 2 and one line on standard error, and returns the line."""
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in arguments])
    assert end.value.code == 2
    error = capsys.readouterr().err
    lines = [line for line in error.splitlines() if line.startswith("rvaejax: ")]
    assert len(lines) == 1
    assert "Traceback" not in error
    return lines[0]


BAD_IMAGES = {
    "constant": (np.ones((64, 64)), "same value"),
    "nan": (np.where(np.eye(96) > 0, np.nan, lattice_image()), "NaN"),
    "infinite": (np.where(np.eye(96) > 0, np.inf, lattice_image()), "infinite"),
    "one axis": (np.arange(64.0), "1"),
    "colour": (np.random.default_rng(0).random((64, 64, 3)), "colour"),
    "smaller than the window": (lattice_image()[:18, :18], "window"),
}


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_an_image_that_cannot_be_analysed(name, tmp_path, capsys):
    array, word = BAD_IMAGES[name]
    np.save(tmp_path / "image.npy", array)
    window = ["--window-nm", "0.4"]
    line = fails(["run", tmp_path / "image.npy", "--out", tmp_path / "out", "--px-nm", PX_NM, *window], capsys)
    assert "image" in line
    assert word in line
    assert not (tmp_path / "out").exists()


def test_a_colour_picture(tmp_path, capsys):
    pixels = np.random.default_rng(1).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    line = fails(["segment", tmp_path / "photo.png", "--out", tmp_path / "out"], capsys)
    assert "photo.png" in line and "colour" in line


def test_no_atoms(tmp_path, capsys):
    ramp = np.linspace(0, 1, 128)[None, :] * np.ones((128, 1))
    np.save(tmp_path / "ramp.npy", ramp)
    line = fails(["run", tmp_path / "ramp.npy", "--out", tmp_path / "out", "--px-nm", PX_NM], capsys)
    assert "no atoms" in line
    assert not (tmp_path / "out").exists()


def test_no_pixel_size_to_be_had(tmp_path, capsys):
    np.save(tmp_path / "noise.npy", np.random.default_rng(2).normal(size=(128, 128)))
    line = fails(["run", tmp_path / "noise.npy", "--out", tmp_path / "out"], capsys)
    assert "--px-nm" in line


@pytest.mark.parametrize("px", ["0", "-0.01", "nan", "inf", "3", "1e-6"])
def test_a_pixel_size_that_makes_no_sense(px, tmp_path, capsys):
    np.save(tmp_path / "image.npy", lattice_image())
    line = fails(["segment", tmp_path / "image.npy", "--out", tmp_path / "out", f"--px-nm={px}"], capsys)
    assert "pixel size" in line
    assert not (tmp_path / "out").exists()


def test_missing_and_unknown_files(tmp_path, capsys):
    assert "no such file" in fails(["run", tmp_path / "gone.tif", "--out", tmp_path / "out"], capsys)
    (tmp_path / "notes.docx").write_bytes(b"text")
    assert "notes.docx" in fails(["run", tmp_path / "notes.docx", "--out", tmp_path / "out"], capsys)
    (tmp_path / "broken.npz").write_bytes(b"not an archive")
    assert "broken.npz" in fails(["train", tmp_path / "broken.npz", "--out", tmp_path / "out"], capsys)


@pytest.mark.parametrize(
    "arguments",
    [
        ["bogus"],
        [],
        ["run"],
        ["run", "x.npy", "--out", "y", "--colour", "red"],
        ["run", "x.npy", "--out", "y", "--px-nm", "wide"],
        ["run", "x.npy", "--out", "y", "--preset", "papers"],
        ["run", "x.npy", "--out", "y", "--window-nm", "99"],
        ["run", "x.npy", "--out", "y", "--max-seconds", "-5"],
        ["train", "x.npz", "--out", "y", "--preset", "papers"],
        ["simulate", "--out", "movie.tiff"],
        ["segment", "x.npy", "--out", "y", "--threshold", "2"],
    ],
)
def test_bad_usage(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fails(arguments, capsys)
    assert not list(tmp_path.iterdir())


def test_existing_output_is_never_touched_unasked(tmp_path, capsys):
    np.save(tmp_path / "image.npy", lattice_image())
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    for option in ([], ["--overwrite"]):
        for command in ("run", "segment"):
            fails([command, tmp_path / "image.npy", "--out", out, "--px-nm", PX_NM, *option], capsys)
    assert (out / "thesis.tex").read_text() == "years of work"


def test_failed_run_with_overwrite_keeps_the_old_results(tmp_path, capsys):
    np.save(tmp_path / "good.npy", lattice_image())
    np.save(tmp_path / "bad.npy", np.ones((96, 96)))
    out = tmp_path / "out"
    main(["segment", str(tmp_path / "good.npy"), "--out", str(out), "--px-nm", str(PX_NM)])
    before = (out / "atoms.csv").read_bytes()
    fails(["segment", tmp_path / "bad.npy", "--out", out, "--px-nm", PX_NM, "--overwrite"], capsys)
    assert (out / "atoms.csv").read_bytes() == before


def test_a_boxed_message_becomes_one_line():
    boxed = "╭─ Title ─╮\n│ Missing: --out │\n│ ────── │\n│ For full helptext, run x --help │\n╰────╯"
    assert one_line(boxed) == "Missing: --out"


def small_subimages(path, n=96, labels=True):
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:16, :16] - 7.5
    angle = rng.uniform(0, 2 * np.pi, n)
    bonds = angle[:, None] + np.arange(3) * 2 * np.pi / 3
    images = np.exp(-(x**2 + y**2) / 4)[None] + sum(
        np.exp(-((x - 5 * np.cos(b)[:, None, None]) ** 2 + (y + 5 * np.sin(b)[:, None, None]) ** 2) / 4)
        for b in bonds.T
    )
    extra = {"label": rng.integers(0, 3, n), "angle": angle, "kind": np.zeros(n)} if labels else {}
    np.savez(path, images=images.astype(np.float32), **extra)


def test_train_never_looks_at_labels(tmp_path):
    import jax

    from rvaejax.rvae.storage import load_model

    weights = []
    for labels in (True, False):
        small_subimages(tmp_path / f"{labels}.npz", labels=labels)
        main(["train", str(tmp_path / f"{labels}.npz"), "--out", str(tmp_path / f"run-{labels}"), "--steps", "20"])
        weights.append(jax.tree.leaves(load_model(tmp_path / f"run-{labels}").params))
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))


def test_train_then_encode(tmp_path):
    small_subimages(tmp_path / "sub.npz")
    run, out = tmp_path / "run", tmp_path / "latents.npz"
    main(["train", str(tmp_path / "sub.npz"), "--out", str(run), "--steps", "20"])
    assert f"subimages: {tmp_path / 'sub.npz'}" in (run / "config.yaml").read_text()  # where `check` looks for them
    main(["encode", str(run), str(tmp_path / "sub.npz"), "--out", str(out)])
    with np.load(out) as latents:
        shapes = {name: latents[name].shape for name in latents.files}
        assert all(np.isfinite(latents[name]).all() for name in latents.files)
    assert shapes == {
        "angle": (96,),
        "angle_sd": (96,),
        "shift": (96, 2),
        "content": (96, 3),
        "content_sd": (96, 3),
    }


@pytest.mark.parametrize("kind", ["movie", "images"])
def test_simulate_writes_frames_and_truth(kind, tmp_path):
    out = tmp_path / "made.npz"
    main(["simulate", "--out", str(out), "--kind", kind, "--frames", "2", "--size-px", "96", "--px-nm", "0.02"])
    with np.load(out) as made:
        assert made["frames"].shape == (2, 96, 96)
        assert made["pixel_size_nm"] == 0.02
        assert kind == "movie" or set(np.unique(made["labels"])) <= {0, 1, 2}
    header = (tmp_path / "made_truth.csv").read_text().splitlines()[0]
    assert header.startswith("frame,x_px,y_px,x_nm,y_nm,species")


@pytest.mark.process
def test_help_is_instant():
    times = []
    for _ in range(5):
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "rvaejax", "--help"], capture_output=True, check=True)
        times.append(time.perf_counter() - start)
    assert b"segment" in done.stdout
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, rvaejax.cli; print('jax' in sys.modules, 'scipy' in sys.modules)"],
        capture_output=True,
        check=True,
    )
    assert loaded.stdout.split() == [b"False", b"False"]


@pytest.mark.process
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_an_interrupted_training_resumes_to_the_same_weights(name, code, tmp_path):
    import jax

    from rvaejax.rvae.storage import load_model

    small_subimages(tmp_path / "sub.npz")
    steps = ["--steps", "600"]
    command = [sys.executable, "-m", "rvaejax", "train", str(tmp_path / "sub.npz"), *steps]
    process = subprocess.Popen([*command, "--out", str(tmp_path / "cut")], stderr=subprocess.PIPE, text=True)
    metrics = tmp_path / "cut" / "metrics.jsonl"
    while not (metrics.is_file() and metrics.read_text().count("\n") > 3):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(getattr(signal, name))
    _, error = process.communicate(timeout=120)
    assert process.returncode == code, error
    assert "--resume" in error
    done = json.loads(metrics.read_text().splitlines()[-1])["step"]
    assert 0 < done < 600
    other = [*command, "--out", str(tmp_path / "cut"), "--resume", "--preset", "paper"]
    refused = subprocess.run(other, capture_output=True, text=True)
    assert refused.returncode == 2 and "preset" in refused.stderr
    subprocess.run([*command, "--out", str(tmp_path / "cut"), "--resume"], check=True, capture_output=True)
    subprocess.run([*command, "--out", str(tmp_path / "whole")], check=True, capture_output=True)
    cut, whole = (jax.tree.leaves(load_model(tmp_path / run).params) for run in ("cut", "whole"))
    assert all(np.array_equal(a, b) for a, b in zip(cut, whole, strict=True))


@pytest.mark.parametrize(
    ("words", "then"),
    [
        ("train sub.npz --out run", "--resume goes on"),
        ("posterior run", "begins anew"),
        ("encode run x.npz --out y.npz", "anew"),
    ],
)
def test_what_an_interrupted_command_can_do_next(words, then, capsys, monkeypatch):
    def interrupted(self):
        raise KeyboardInterrupt(signal.SIGTERM)

    monkeypatch.setattr(COMMANDS[words.split()[0]], "execute", interrupted)
    with pytest.raises(SystemExit) as end:
        main(words.split())
    assert end.value.code == 143
    said = capsys.readouterr().err
    assert said.startswith("rvaejax: interrupted; ") and said.count("\n") == 1
    assert then in said and ("--resume" in said) == ("--resume" in then)


def test_output_never_overwrites_its_own_input(tmp_path, capsys):
    small_subimages(tmp_path / "sub.npz")
    run = tmp_path / "run"
    main(["train", str(tmp_path / "sub.npz"), "--out", str(run), "--steps", "10"])
    (tmp_path / "sub.npz").rename(run / "sub.npz")
    before = (run / "sub.npz").read_bytes()
    assert "holds the input" in fails(["train", run / "sub.npz", "--out", run, "--overwrite", "--steps", "10"], capsys)
    fails(["encode", run, run / "sub.npz", "--out", run / "sub.npz", "--overwrite"], capsys)
    assert (run / "sub.npz").read_bytes() == before


@pytest.mark.parametrize("name", ["constant", "nan", "infinite"])
def test_a_bad_image_whose_pixel_size_nobody_knows(name, tmp_path, capsys):
    array, word = BAD_IMAGES[name]
    np.save(tmp_path / "image.npy", array)
    assert word in fails(["run", tmp_path / "image.npy", "--out", tmp_path / "out"], capsys)


@pytest.mark.parametrize("seed", ["-1", "99999999999999999999"])
def test_a_seed_that_no_generator_takes(seed, tmp_path, capsys):
    small_subimages(tmp_path / "sub.npz")
    assert "--seed" in fails(["train", tmp_path / "sub.npz", "--out", tmp_path / "out", f"--seed={seed}"], capsys)
    assert "--seed" in fails(["simulate", "--out", tmp_path / "s.npz", f"--seed={seed}"], capsys)
    assert not (tmp_path / "out").exists()
