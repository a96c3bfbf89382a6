"""Several seeds side by side are each what they would be alone; the best is kept; training stops before it overfits."""

import dataclasses

import jax
import numpy as np
import pytest

from rvaejax.errors import ConfigError
from rvaejax.rvae import load_model, save_model, train
from rvaejax.rvae.agreement import angle_agreement, content_agreement
from rvaejax.rvae.config import ConvEncoder, LearnedGaussian, MLPEncoder, RVAEConfig, SpatialDecoder
from rvaejax.rvae.seeds import member, side_by_side, stack
from rvaejax.rvae.steps import functions
from rvaejax.training import TrainingConfig
from rvaejax.training.loop import fit
from rvaejax.types import SubImages

SIZE = 6


pytestmark = pytest.mark.usefixtures("quick_compilation")


TRAINING = TrainingConfig(steps=20, batch_size=8, learning_rate=1e-3, schedule="cosine", piece=5, evaluate_every=10)
CONFIG = RVAEConfig(
    content_dim=2,
    encoder=MLPEncoder(hidden=12, layers=1),
    decoder=SpatialDecoder(hidden=12, layers=1),
    pixel_share=1.0,
    temperature=1.0,
    training=TRAINING,
)


def _record(n=48, seed=0):
    images = np.random.default_rng(seed).random((n, SIZE, SIZE, 1)).astype(np.float32)
    rows = {"frame": np.zeros(n, int), "x": np.zeros(n), "y": np.zeros(n), "atom": np.arange(n)}
    return SubImages(images, species=np.full(n, "C"), **rows)


def _fit(config, params, key, loss, batch):
    data = {"images": _record().images, "scaling": np.asarray([0, 1], np.float32)}
    return fit(loss, params, data, config.training, key=key, batch_fn=batch)


def _side_by_side_and_alone(config, seeds, traces):
    model, loss, batch = functions(config, (SIZE, SIZE, 1))

    def counted(params, given, key):
        traces.append("three together" if together_now else "one")
        return loss(params, given, key)

    init = jax.jit(lambda key: model.init(key=key))
    params = [init(key) for key in jax.random.split(jax.random.key(0), seeds)]
    keys = jax.random.split(jax.random.key(1), seeds)
    together_now = True
    together = _fit(config, stack(params), keys, *side_by_side(counted, batch, config, seeds))
    together_now = False
    return together, [_fit(config, params[i], keys[i], counted, batch) for i in range(seeds)]


def _same_weights(together, alone):
    for i, single in enumerate(alone):
        mine = jax.tree.leaves(member(together.state.params, i))
        for a, b in zip(mine, jax.tree.leaves(single.state.params), strict=True):
            assert np.allclose(a, b, rtol=1e-4, atol=2e-5)


def test_each_seed_is_what_it_would_be_alone_and_no_step_after_the_first_compiles_anew():
    traces = []
    together, alone = _side_by_side_and_alone(CONFIG, 3, traces)
    _same_weights(together, alone)
    losses = [single.history[-1].metrics["loss"] for single in alone]
    assert together.history[-1].metrics["loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert traces == ["three together", "one"]  # four trainings of 20 steps in 4 pieces each, two programs


@pytest.mark.slow
def test_so_it_is_with_convolutions_which_are_not_mapped():
    training = dataclasses.replace(TRAINING, steps=3, piece=3, scan=False)
    config = dataclasses.replace(CONFIG, encoder=ConvEncoder(filters=(4,), hidden=8), training=training)
    _same_weights(*_side_by_side_and_alone(config, 2, []))


def test_the_best_seed_is_kept_and_the_others_are_compared_with_it(tmp_path):
    model = train(_record(), config=CONFIG, seed=4, seeds=3)
    assert [score.seed for score in model.seeds] == [4, 5, 6] and model.seed == 4
    bounds = {f"holdout_elbo_seed_{score.seed}": score.holdout_elbo for score in model.seeds}
    last = model.history[-1]
    assert {name: last[name] for name in bounds} == pytest.approx(bounds)
    assert last["holdout_elbo"] == pytest.approx(max(bounds.values())) and len(set(bounds.values())) == 3
    best = max(model.seeds, key=lambda score: score.holdout_elbo)
    assert best.angle_agreement == pytest.approx(1)
    assert all(0 <= s.angle_agreement <= 1.0001 and 0 <= s.content_agreement <= 1 for s in model.seeds)
    save_model(model, tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.seeds == model.seeds
    assert {v.ndim for v in jax.tree.leaves(loaded.params)} == {0, 1, 2}  # one set of weights, not three


@pytest.mark.parametrize("seeds", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_a_training_that_overfits_stops_and_gives_back_its_best(seeds):
    """Noise cannot be told in advance: what is learned of the training rows makes the others ever less likely."""
    training = dataclasses.replace(TRAINING, steps=4000, learning_rate=2e-2, schedule="constant", patience=4)
    training = dataclasses.replace(training, piece=20, evaluate_every=20)
    config = dataclasses.replace(
        CONFIG,
        encoder=MLPEncoder(hidden=48, layers=1),
        decoder=SpatialDecoder(hidden=48, layers=1),
        likelihood=LearnedGaussian(initial=0.5, floor=1e-3),
        training=training,
    )
    model = train(_record(16), config=config, seeds=seeds)
    bounds = {row["step"]: row["holdout_elbo"] for row in model.history if "holdout_elbo" in row}
    assert model.steps < 4000 and model.cut == 4000 - model.steps
    assert model.steps == model.best_step + 4 * 20 and bounds[model.best_step] == max(bounds.values())
    assert bounds[model.steps] < bounds[model.best_step]
    if seeds > 1:  # the weights are those of the best step, not of the last
        assert max(s.holdout_elbo for s in model.seeds) == pytest.approx(bounds[model.best_step], rel=1e-5)
    assert f"step {model.best_step}" in model.ending


def test_several_seeds_need_something_to_be_told_apart_by():
    nothing = dataclasses.replace(CONFIG, training=dataclasses.replace(TRAINING, holdout=0.0))
    with pytest.raises(ConfigError, match="several seeds: the best is told by held-out images"):
        train(_record(), config=nothing, seeds=2)
    impatient = dataclasses.replace(nothing, training=dataclasses.replace(nothing.training, patience=2))
    with pytest.raises(ConfigError, match="patience: the best is told by held-out images"):
        train(_record(), config=impatient)
    clipped = dataclasses.replace(CONFIG, training=dataclasses.replace(TRAINING, clip=1.0))
    with pytest.raises(ConfigError, match=r"clip=1\.0 with 2 seeds"):
        train(_record(), config=clipped, seeds=2)


def test_agreement_of_angles_is_blind_to_reference_and_symmetry_and_sees_the_rest():
    rng = np.random.default_rng(0)
    kind, angle = rng.integers(0, 2, 600), rng.uniform(-np.pi, np.pi, 600)
    content = np.stack([4.0 * kind, np.zeros(600)], 1) + 0.3 * rng.standard_normal((600, 2))
    noise = 0.1 * rng.standard_normal(600)
    own_reference = angle + np.where(kind == 0, 1.0, -2.0) + noise
    assert angle_agreement(content, angle, own_reference) == pytest.approx(np.exp(-(0.1**2) / 2), abs=0.01)
    third = own_reference + 2 * np.pi / 3 * rng.integers(0, 3, 600)
    assert angle_agreement(content, angle, third) == pytest.approx(np.exp(-(0.3**2) / 2), abs=0.02)
    assert angle_agreement(content, angle, rng.uniform(-np.pi, np.pi, 600)) < 0.25
    assert angle_agreement(content, angle, -angle) < 0.25  # the sense of rotation counts


def test_agreement_of_content_is_blind_to_axes_and_scale():
    rng = np.random.default_rng(1)
    a = rng.standard_normal((800, 2))
    turned = 5 * a @ np.array([[0.6, 0.8], [-0.8, 0.6]]) + 3
    assert content_agreement(a, turned) > 0.95 and content_agreement(a, turned) == content_agreement(turned, a)
    assert content_agreement(a, rng.standard_normal((800, 2))) < 0.05
    assert content_agreement(a, np.zeros((800, 2))) == 0  # a collapsed posterior explains nothing


def test_every_row_of_a_set_smaller_than_a_batch_is_drawn():
    _, _, batch = functions(
        dataclasses.replace(CONFIG, training=dataclasses.replace(TRAINING, batch_size=64)), (6, 6, 1)
    )
    data = {"images": np.arange(9.0)[:, None, None, None] * np.ones((9, 6, 6, 1)), "scaling": np.asarray([0, 1])}
    draw = jax.jit(lambda key: batch(jax.tree.map(jax.numpy.asarray, data), key=key, step=0)["images"][:, 0, 0, 0])
    assert set(np.asarray(draw(jax.random.key(0)))) == set(range(9))
