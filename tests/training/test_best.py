"""Steps one by one, the averaged parameters, the best ones, and the early end."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.errors import ConfigError
from rvaejax.training import Interrupted, TrainingConfig, fit
from rvaejax.training.state import averaged

TRUTH = np.array([1.0, -2.0, 0.5], np.float32)
X = np.random.default_rng(0).standard_normal((200, 3)).astype(np.float32)
DATA = {"x": X, "y": X @ TRUTH}
OPTIONS = {"steps": 57, "batch_size": 16, "learning_rate": 0.05, "piece": 10, "evaluate_every": 20}
CONFIG = TrainingConfig(**OPTIONS, scan=False, average=0.9)


def _loss(params, batch, key):
    return ((batch["x"] @ params["w"] - batch["y"] - 0.01 * jax.random.normal(key, batch["y"].shape)) ** 2).mean(), {}


def _fit(config=CONFIG, **options):
    return fit(_loss, {"w": jnp.zeros(3)}, DATA, config, key=jax.random.key(0), **options)


def _equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def _error(params):
    return {"error": float(jnp.abs(params["w"] - TRUTH).max())}


def test_steps_one_by_one_are_those_of_the_scan():
    scanned = _fit(TrainingConfig(**OPTIONS, average=0.9))
    single = _fit()
    for a, b in zip(jax.tree.leaves(scanned.state), jax.tree.leaves(single.state), strict=True):
        assert np.allclose(a, b, rtol=1e-5, atol=1e-7)
    assert [r.step for r in single.history] == [r.step for r in scanned.history]
    assert single.history[2].metrics["loss"] == pytest.approx(scanned.history[2].metrics["loss"], rel=1e-5)


def test_the_average_is_that_of_the_trajectory():
    """By hand: a <- a + w (p - a), w = 1 - min(decay, (1 + t) / (10 + t))."""
    trajectory = np.random.default_rng(1).standard_normal((30, 2)).astype(np.float32)
    average, expected = {"w": jnp.zeros(2)}, np.zeros(2)
    for t, point in enumerate(trajectory):
        average = averaged(average, {"w": jnp.asarray(point)}, jnp.asarray(t), 0.7)
        expected += (1 - min(0.7, (1 + t) / (10 + t))) * (point - expected)
    assert np.allclose(average["w"], expected, atol=1e-5)


def test_what_is_evaluated_is_the_average():
    seen = []
    state = _fit(evaluate=lambda p: seen.append(np.asarray(p["w"])) or {}).state
    assert np.array_equal(seen[-1], state.average["w"]) and not np.array_equal(seen[-1], state.params["w"])
    assert state.kept is state.average


def test_the_best_is_kept_not_the_last():
    """The score says that the evaluation at step 40 was best."""
    scores = iter([0.0, 1.0, 5.0, 2.0])
    told, kept = [], {}

    def evaluate(params):
        kept[len(kept)] = np.asarray(params["w"])
        return {"score": next(scores)}

    result = _fit(evaluate=evaluate, score=lambda m: m["score"], better=told.append)
    assert result.best.step == 40 and result.best.score == 5.0
    assert np.array_equal(result.best.params["w"], kept[2])
    assert [best.step for best in told] == [0, 20, 40] and result.history[0].step == 0


def test_patience_ends_the_training_and_says_what_was_cut(tmp_path):
    config = TrainingConfig(**{**OPTIONS, "steps": 500}, scan=False, average=0.9, patience=2)
    options = {"evaluate": lambda p: {"score": 0.0}, "score": lambda m: m["score"], "checkpoint_dir": tmp_path}
    result = _fit(config, **options)
    assert int(result.state.step) == 40 and result.cut == 460 and result.best.step == 0
    again = _fit(config, **options, resume=True)  # and a resumed one does not go on
    assert int(again.state.step) == 40 and not again.history


@pytest.mark.parametrize("stop_at", [20, 30, 50])
def test_resume_is_exact_with_average_and_best(tmp_path, stop_at):
    seen = []
    options = {"evaluate": _error, "score": lambda m: -m["error"]}
    with pytest.raises(Interrupted):
        _fit(
            **options, checkpoint_dir=tmp_path, report=seen.append, should_stop=lambda: 15 * (seen[-1].step >= stop_at)
        )
    resumed, whole = _fit(**options, checkpoint_dir=tmp_path, resume=True), _fit(**options)
    assert _equal(resumed.state, whole.state) and _equal(resumed.best.params, whole.best.params)
    assert resumed.best.step == whole.best.step and resumed.best.score == pytest.approx(whole.best.score, rel=1e-6)


@pytest.mark.parametrize("wrong", [{"average": 1.0}, {"patience": 0}])
def test_options_of_average_and_patience_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        TrainingConfig(**wrong)
