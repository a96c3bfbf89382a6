"""`rvaejax posterior`: sampled posteriors beside the encoder's, from a run's folder to its folder."""

import csv
import os
import shutil
import signal

import jax
import numpy as np
import pytest

from rvaejax.cli import main
from rvaejax.rvae import elbo, save_model
from rvaejax.rvae.config import FourierDecoder, PolarEncoder, RVAEConfig
from rvaejax.rvae.posterior import sampling
from rvaejax.rvae.record import TrainedRVAE

pytestmark = pytest.mark.usefixtures("chains")
SIZE = 10
TINY = RVAEConfig(
    content_dim=2,
    encoder=PolarEncoder(orientations=16, hidden=8, layers=1, harmonics=4),
    decoder=FourierDecoder(hidden=8, layers=1, max_modes=2),
)
CHAINS = "--nuts.modes 2 --nuts.warmup 50 --nuts.draws 50 --nuts.kept 40 --nuts.particles 32 --nuts.weighing 64"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An untrained model and some windows."""
    folder, rng, shape = tmp_path_factory.mktemp("posterior"), np.random.default_rng(0), (SIZE, SIZE, 1)
    shapes = jax.eval_shape(lambda key: elbo.build(TINY, shape).init(key=key), jax.random.key(0))
    params = jax.tree.map(lambda leaf: rng.normal(0, 0.3, leaf.shape).astype(np.float32), shapes)
    facts = {"pixel_size_nm": None, "channels": ("intensity",), "history": (), "steps": 0, "cut": 0, "seed": 0}
    save_model(TrainedRVAE(TINY, params, shape, (0.0, 1.0), (1, 0), (1, -1), (1.0, 0.5), **facts), folder / "run")
    np.savez(folder / "windows.npz", images=rng.random((30, SIZE, SIZE)).astype(np.float32))
    return folder


@pytest.mark.slow
def test_posteriors_are_written_beside_the_encoders(folder, capsys):
    main([*f"posterior {folder}/run {folder}/windows.npz --these 3 7 21".split(), *CHAINS.split()])
    assert "3 sub-images, chains converged for" in capsys.readouterr().out
    with np.load(folder / "run" / "posterior.npz") as found:
        assert found["row"].tolist() == [3, 7, 21] and found["angle"].shape == (3, 40)
        assert found["content"].shape == (3, 40, 2) and found["encoder_angle"].shape == (3, 32)
        assert (np.abs(found["angle"]) <= np.pi + 1e-6).all()
        assert found["mode_weight"].sum(1) == pytest.approx(np.ones(3), abs=1e-4)
        assert (found["elbo"] < found["weighted_bound"]).all()
    with open(folder / "run" / "posterior.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["row"] for row in rows] == ["3", "7", "21"] and float(rows[0]["elbo_gap"]) > 0
    assert (folder / "run" / "figures" / "posterior.png").stat().st_size > 5000


def test_rows_that_are_not_there_are_refused(folder, capsys):
    with pytest.raises(SystemExit) as end:
        main(f"posterior {folder}/run {folder}/windows.npz --these 3 99".split())
    assert end.value.code == 2
    assert "--these: rows lie between 0 and 29, got 3 to 99" in capsys.readouterr().err


def test_interrupted_sampling_writes_nothing_and_promises_no_resumption(folder, tmp_path, monkeypatch, capsys):
    def sample(calls, config, shared, of_each, heed, *, keys):
        os.kill(os.getpid(), signal.SIGTERM)
        heed()
        pytest.fail("the signal was not heeded")

    monkeypatch.setattr(sampling, "sample", sample)
    shutil.copytree(folder / "run", tmp_path / "run", ignore=shutil.ignore_patterns("posterior.*", "figures"))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as end:
        main(f"posterior {tmp_path}/run {folder}/windows.npz --these 3".split())
    assert end.value.code == 143
    said = capsys.readouterr().err
    assert "interrupted" in said and "begins anew" in said and "--resume" not in said
    assert sorted(tmp_path.rglob("*")) == before
