"""The loop knows no model: a linear regression shows that it learns, resumes exactly, stops, and keeps to its time."""

import signal
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.errors import ConfigError, FormatError, MissingFileError
from rvaejax.training import Interrupted, TrainingConfig, catch_signals, checkpoints, fit
from rvaejax.training.loop import Budget
from rvaejax.training.state import init_state, learning_rate, make_piece, random_rows

KEY = jax.random.key(0)
TRUTH = np.array([1.0, -2.0, 0.5], np.float32)
CONFIG = TrainingConfig(steps=57, batch_size=16, learning_rate=0.05, piece=10, evaluate_every=20)


def _data():
    x = np.random.default_rng(0).standard_normal((200, 3)).astype(np.float32)
    return {"x": x, "y": x @ TRUTH}


def _loss(params, batch, key):
    noise = 0.01 * jax.random.normal(key, batch["y"].shape)
    loss = ((batch["x"] @ params["w"] - batch["y"] - noise) ** 2).mean()
    return loss, {"error": jnp.sqrt(loss)}


def _fit(config=CONFIG, **options):
    return fit(_loss, {"w": jnp.zeros(3)}, _data(), config, key=KEY, **options)


def test_it_learns_and_reports_every_piece():
    reports = []
    config = TrainingConfig(steps=305, batch_size=32, learning_rate=0.1, piece=50, evaluate_every=100)
    result = _fit(config, report=reports.append, evaluate=lambda p: {"w0": float(p["w"][0])})
    assert np.allclose(result.state.params["w"], TRUTH, atol=0.02)
    assert [r.step for r in reports] == [50, 100, 150, 200, 250, 300, 305] and result.cut == 0
    assert [r.step for r in reports if "holdout_w0" in r.metrics] == [100, 200, 300, 305]
    assert reports[-1].metrics["loss"] < reports[0].metrics["loss"] / 10


def test_pieces_do_not_matter():
    """A step's outcome depends on its number, not on the piece that it is in."""
    whole = _fit(TrainingConfig(steps=57, batch_size=16, learning_rate=0.05, piece=57))
    assert (np.asarray(whole.state.params["w"]) == np.asarray(_fit().state.params["w"])).all()


@pytest.mark.parametrize("stop_at", [20, 50])
def test_resume_is_exact_bit_for_bit(tmp_path, stop_at):
    seen = []
    with pytest.raises(Interrupted) as stopped:
        _fit(checkpoint_dir=tmp_path, report=seen.append, should_stop=lambda: 15 * (seen[-1].step >= stop_at))
    assert stopped.value.signum == signal.SIGTERM and stopped.value.step == stop_at
    resumed = _fit(checkpoint_dir=tmp_path, resume=True, report=seen.append)
    whole = _fit()
    for a, b in zip(jax.tree.leaves(resumed.state), jax.tree.leaves(whole.state), strict=True):
        assert (np.asarray(a) == np.asarray(b)).all()
    assert resumed.history[0].step == min(stop_at + 10, 57)
    again = _fit(checkpoint_dir=tmp_path, resume=True)  # nothing is left to do
    assert not again.history and int(again.state.step) == 57


def test_resume_under_another_model_is_refused(tmp_path):
    _fit(checkpoint_dir=tmp_path)
    with pytest.raises(FormatError, match="not a checkpoint of this configuration"):
        fit(_loss, {"w": jnp.zeros(4)}, _data(), CONFIG, key=KEY, checkpoint_dir=tmp_path, resume=True)


def test_only_the_last_checkpoints_are_kept_and_none_half_written(tmp_path):
    config = TrainingConfig(steps=60, batch_size=4, piece=10, save_seconds=1e-9, keep=2)
    _fit(config, checkpoint_dir=tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step_000000050", "step_000000060"]
    assert checkpoints.steps(tmp_path) == [50, 60]
    with pytest.raises(MissingFileError, match="no such checkpoint"):
        checkpoints.restore(tmp_path, "step_000000010", {"w": jnp.zeros(3)})


def test_a_deadline_shortens_the_schedule_and_says_so():
    config = TrainingConfig(steps=10_000_000, batch_size=16, piece=200)
    began = time.monotonic()
    result = _fit(config, deadline=began + 4.0)
    assert time.monotonic() - began < 8
    last = int(result.state.step)
    assert result.cut == 10_000_000 - last > 0
    # annealed to its end: the rate of the last step is near the schedule's lowest
    rate = learning_rate(config, result.state.step, result.state.horizon)
    assert float(rate) < 0.05 * config.learning_rate


@pytest.mark.parametrize("needed", [False, True])
def test_slow_evaluations_take_little_of_a_limited_time_unless_they_are_needed(needed, monkeypatch):
    """Each takes 0.2 s, many times as long as the piece before it; every look at the clock takes 5 ms."""
    now = [100.0]

    def clock():
        now[0] += 0.005
        return now[0]

    monkeypatch.setattr("rvaejax.training.loop.time.monotonic", clock)
    config = TrainingConfig(steps=10_000_000, batch_size=16, piece=20, evaluate_every=20)
    spent = []

    def slowly(params):
        spent.append(0.2)
        now[0] += spent[-1]
        return {"w0": float(params["w"][0])}

    score = {"score": lambda values: values["w0"]} if needed else {}
    result = _fit(config, evaluate=slowly, deadline=105.0, **score)
    took = now[0] - 100
    assert 4 < took < 5.3 and "holdout_w0" in result.history[-1].metrics
    assert (sum(spent) > 0.8 * took) if needed else (sum(spent[:-1]) < 0.11 * took)


def test_a_guess_of_what_an_evaluation_takes_ends_no_training(monkeypatch):
    """The first piece compiles for 6 of 10 seconds: what is left is trained in."""
    now = [100.0]
    monkeypatch.setattr("rvaejax.training.loop.time.monotonic", lambda: now[0])
    budget = Budget(110.0, 1000, 200, False)
    now[0] += 6.0
    assert budget.horizon(10, 10, 6.0) == 1000
    now[0] += 0.1
    assert 20 < budget.horizon(20, 10, 0.1) < 400
    budget.evaluated(3.0)
    now[0] += 3.5
    assert budget.horizon(30, 10, 0.1) == 30  # that it takes another second is known by now


def test_evaluations_are_made_as_soon_as_a_tenth_of_the_time_is_enough(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("rvaejax.training.loop.time.monotonic", lambda: now[0])
    budget = Budget(1100.0, 1000, 200, False)
    budget.evaluated(3.0)  # the next one takes a second
    afforded = []
    for _ in range(600):
        now[0] += 1.0
        if budget.affords():
            budget.evaluated(1.0)
            afforded.append(now[0])
    assert afforded[0] == 140.0 and np.allclose(np.diff(afforded), 10.0)
    assert Budget(1100.0, 1000, 200, True).affords() and Budget(None, 1000, 200, False).affords()


def test_a_generous_deadline_changes_nothing():
    timed = _fit(deadline=time.monotonic() + 1e6)
    assert (np.asarray(timed.state.params["w"]) == np.asarray(_fit().state.params["w"])).all() and timed.cut == 0


def test_the_piece_is_traced_once():
    traces = []

    def loss(params, batch, key):
        traces.append(1)
        return _loss(params, batch, key)

    piece = make_piece(loss, random_rows(8), CONFIG)
    state, data = init_state({"w": jnp.zeros(3)}, CONFIG), jax.device_put(_data())
    limit = jnp.asarray(37, jnp.int32)
    state, _ = piece(state, data, KEY, limit)
    first = len(traces)
    for _ in range(4):
        state, _ = piece(state, data, KEY, limit)
    assert len(traces) == first and piece._cache_size() == 1
    assert int(state.step) == 37  # no step beyond the limit


def test_a_batch_function_can_make_its_examples_on_the_fly():
    """Data need not be stored examples: here the batch is drawn from the data's coefficients."""

    def batch_fn(data, *, key, step):
        x = jax.random.normal(key, (32, 3))
        return {"x": x, "y": x @ data}

    config = TrainingConfig(steps=300, learning_rate=0.1, piece=100)
    result = fit(_loss, {"w": jnp.zeros(3)}, jnp.asarray(TRUTH), config, key=KEY, batch_fn=batch_fn)
    assert np.allclose(result.state.params["w"], TRUTH, atol=0.03)


def test_a_loss_that_is_not_finite_is_one_clear_error():
    def loss(params, batch, key):
        return jnp.nan * params["w"].sum(), {}

    with pytest.raises(ConfigError, match="the loss is nan at step 10: lower the learning rate"):
        fit(loss, {"w": jnp.zeros(3)}, _data(), CONFIG, key=KEY)


def test_the_cosine_schedule_rises_then_ends_at_a_hundredth():
    config = TrainingConfig(learning_rate=1.0, warmup=9, schedule="cosine")
    rates = [float(learning_rate(config, jnp.array(s), jnp.array(100.0))) for s in (0, 9, 50, 100)]
    assert rates[0] == pytest.approx(0.1, rel=1e-3)
    assert rates[1] > 0.95 and rates[2] == pytest.approx(0.505, abs=0.01) and rates[3] == pytest.approx(0.01)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"learning_rate": -1.0}, {"holdout": 1.0}, {"schedule": "linear"}])
def test_options_that_make_no_sense_are_refused(wrong, untyped):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        TrainingConfig(**wrong)


def test_signals_raise_the_flag_once_then_act_as_usual():
    before = signal.getsignal(signal.SIGTERM)
    with catch_signals() as stop:
        assert stop() == 0
        signal.raise_signal(signal.SIGTERM)
        assert stop() == signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) == before
    assert signal.getsignal(signal.SIGTERM) == before
