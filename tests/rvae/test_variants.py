"""Classes, labels, scale, signals and spectra: pieces that combine, each against what it must come to."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from rvaejax.config import from_dict, to_dict
from rvaejax.errors import ConfigError, ImageError
from rvaejax.rvae import decode, elbo, encode, load_model, save_model, schedules, train
from rvaejax.rvae.classes import INDECISION, beside
from rvaejax.rvae.config import (
    Classes,
    ConvEncoder,
    FixedGaussian,
    FourierDecoder,
    MLPEncoder,
    PolarEncoder,
    Pose,
    RVAEConfig,
    SpatialDecoder,
    Spectra,
    VampPrior,
)
from rvaejax.rvae.coordinates import window_grid
from rvaejax.rvae.given import check_given
from rvaejax.rvae.moved import moved
from rvaejax.training import TrainingConfig
from rvaejax.types import SubImages

pytestmark = pytest.mark.usefixtures("quick_compilation")
SHAPE = (8, 8, 1)
BRIEF = TrainingConfig(steps=4, batch_size=8, piece=2, evaluate_every=2)
MLP = RVAEConfig(
    content_dim=2,
    encoder=MLPEncoder(8, 2),
    decoder=SpatialDecoder(8, 2),
    likelihood=FixedGaussian(0.3),
    pixel_share=1.0,
    training=BRIEF,
)
POLAR = RVAEConfig(
    content_dim=2,
    encoder=PolarEncoder(orientations=16, hidden=8, harmonics=4),
    decoder=FourierDecoder(hidden=8),
    training=BRIEF,
)


def _record(images, **extra):
    n = len(images)
    return SubImages(
        np.asarray(images, np.float32),
        np.zeros(n, int),
        np.zeros(n),
        np.zeros(n),
        np.full(n, ""),
        np.arange(n),
        **extra,
    )


def _init(model, seed=0):
    return jax.jit(lambda key: model.init(key=key))(jax.random.key(seed))


def _images(n=6, shape=SHAPE, seed=1):
    return jax.random.uniform(jax.random.key(seed), (n, *shape))


def _terms(model, params, images, **further):
    return jax.jit(lambda p, x: model.terms(p, x, key=jax.random.key(2), pixels=None, **further))(params, images)


@pytest.mark.parametrize("base", [MLP, POLAR], ids=["mlp", "polar"])
def test_the_enumerated_bound_is_the_sum_over_classes_of_the_bound_with_each_class_given(base):
    """Brute force: the class-conditional model of the same weights, once per class, and log-sums by hand."""
    config = dataclasses.replace(base, classes=Classes(3))
    model = elbo.build(config, SHAPE)
    given = elbo.build(dataclasses.replace(config, classes=Classes(3, "all")), SHAPE)
    params = jax.tree.map(lambda p: 2 * p, _init(model))
    images = _images()
    n = len(images)
    of_each = [np.asarray(elbo.elbo(_terms(given, params, images, labels=jnp.full(n, k)))) for k in range(3)]
    log_q = np.asarray(jax.jit(model.encode)(params, images).classes, np.float64)
    q = np.exp(log_q)
    assert np.allclose(q.sum(1), 1, atol=1e-5) and q.min() < 0.3
    by_hand = (q * (np.stack(of_each, 1) - log_q + np.log(1 / 3))).sum(1)
    found = elbo.elbo(_terms(model, params, images))
    assert np.allclose(found, by_hand, rtol=1e-4, atol=1e-3)
    # and never above the log-sum, with equality where q(y | x) is the posterior that goes with these bounds
    assert (np.asarray(found) <= logsumexp(np.stack(of_each, 1), axis=1) - np.log(3) + 1e-3).all()


def test_labels_of_all_rows_make_the_loss_supervised_and_of_none_unsupervised():
    config = dataclasses.replace(MLP, classes=Classes(3, "some", classification_weight=5.0))
    model = elbo.build(config, SHAPE)
    plain = elbo.build(dataclasses.replace(config, classes=Classes(3)), SHAPE)
    given = elbo.build(dataclasses.replace(config, classes=Classes(3, "all")), SHAPE)
    params, images, labels = _init(model), _images(), jnp.arange(6) % 3

    def loss(of, labels):
        return jax.jit(lambda p: of.loss(p, images, 10**6, key=jax.random.key(4), labels=labels))(params)

    none, _ = loss(model, jnp.full(6, -1))
    free, _ = loss(plain, None)
    assert float(none) == pytest.approx(float(free), rel=1e-5)
    every, metrics = loss(model, labels)
    known, _ = loss(given, labels)
    log_q = np.asarray(model.encode(params, images).classes)
    entropy = -log_q[np.arange(6), np.asarray(labels)].mean()
    assert float(every) == pytest.approx(float(known) + np.log(3) + 5 * entropy, rel=1e-5)
    assert float(metrics["cross_entropy"]) == pytest.approx(entropy, rel=1e-5)
    # half of each: the mean of the two, row by row
    half = _terms(model, params, images, labels=jnp.where(jnp.arange(6) < 3, labels, -1))
    ends = [_terms(model, params, images, labels=x) for x in (labels, jnp.full(6, -1))]
    mixed = np.concatenate([elbo.elbo(ends[0])[:3], elbo.elbo(ends[1])[3:]])
    assert np.allclose(elbo.elbo(half), mixed, rtol=1e-5)


def test_a_class_prior_that_is_learned_goes_to_the_frequencies():
    model = elbo.build(dataclasses.replace(MLP, classes=Classes(2, "some", learn_prior=True)), SHAPE)
    params, labels = _init(model), jnp.array([0, 0, 0, 1])
    grad = jax.jit(jax.grad(lambda p: _terms(model, p, _images(4), labels=labels).kl_class.sum()))(params)
    assert np.allclose(grad["classes"]["logits"], [-1, 1], atol=1e-5)  # 4 rows: 2 expected of each, 3 and 1 found


def test_class_probabilities_and_scale_do_not_change_under_quarter_turns():
    config = dataclasses.replace(POLAR, classes=Classes(4), pose=Pose(scale=True))
    model = elbo.build(config, SHAPE)
    params, images = jax.tree.map(lambda p: 2 * p, _init(model)), _images()
    a, b = (jax.jit(model.encode)(params, x) for x in (images, jnp.rot90(images, axes=(1, 2))))
    assert np.allclose(a.classes, b.classes, atol=1e-4) and np.ptp(np.asarray(a.classes)[:, 0]) > 1e-3
    assert np.allclose(a.scale.mean, b.scale.mean, atol=1e-4) and np.allclose(a.content.mean, b.content.mean, atol=1e-4)


@pytest.mark.parametrize("decoder", [SpatialDecoder(8, 2), FourierDecoder(hidden=8)], ids=["spatial", "fourier"])
def test_an_enlarged_image_is_drawn_from_the_same_content(decoder):
    """Twice as far from the middle, at twice the scale, lies the same."""
    model = elbo.build(dataclasses.replace(MLP, decoder=decoder, pose=Pose(scale=True)), (16, 16, 1))
    params, content = jax.tree.map(lambda p: 3 * p, _init(model)), jnp.array([0.7, -0.4])
    points, still, angle = window_grid(16, 16), jnp.zeros(2), jnp.float32(0.3)
    plain = model.decode(params, points, angle, still, content)
    enlarged = model.decode(params, 2 * points, angle, still, content, 2.0)
    assert np.allclose(plain, enlarged, atol=1e-4) and np.std(np.asarray(plain)) > 1e-3
    moved_too = model.decode(params, 2 * points + 0.5, angle, jnp.full(2, 0.5), content, 2.0)
    assert np.allclose(plain, moved_too, atol=1e-4)  # enlarged first, then turned and moved


def test_the_scales_divergence_is_that_of_log_normals():
    family = elbo.build(dataclasses.replace(MLP, pose=Pose(scale=True, scale_sd=0.2)), SHAPE).families.scale
    from rvaejax.nets.encoders import Normal

    q = Normal(jnp.array([0.8]), jnp.log(jnp.array([0.5])))
    draws = jax.vmap(lambda key: family.draw(q, {}, key=key))(jax.random.split(jax.random.key(0), 40_000))
    log_scale = np.log(np.asarray(draws, np.float64))
    assert log_scale.mean() == pytest.approx(0.16, abs=2e-3) and log_scale.std() == pytest.approx(0.1, rel=0.02)

    def log_normal(x, mean, sd):
        return -0.5 * ((x - mean) / sd) ** 2 - np.log(sd)

    by_draws = (log_normal(log_scale, 0.16, 0.1) - log_normal(log_scale, 0.0, 0.2)).mean()
    assert float(family.kl(q, {}, key=jax.random.key(1)).kl) == pytest.approx(by_draws, abs=0.02)


def test_a_plain_autoencoder_has_no_pose():
    config = dataclasses.replace(MLP, pose=Pose(rotation=False, shift=False))
    model = elbo.build(config, SHAPE)
    params, images = _init(model), _images(12)
    q, t = model.encode(params, images), _terms(model, params, images)
    assert q.angle.mean.shape == (12, 0) and q.shift.mean.shape == (12, 0) and q.content.mean.shape == (12, 2)
    assert not np.any(t.kl_angle) and not np.any(t.kl_shift) and t.kl_scale is None and np.all(t.kl_content > 0)
    trained = train(_record(images), config=config)
    latents = encode(trained, _record(images))
    assert not np.any(latents.angle) and not np.any(latents.angle_sd) and not np.any(latents.shift)
    assert latents.scale is None and latents.class_probability is None and latents.content.std() > 0


COMBINED = {
    "polar, classes and scale": dataclasses.replace(POLAR, classes=Classes(3, learn_prior=True), pose=Pose(scale=True)),
    "some labels, vamp prior": dataclasses.replace(MLP, classes=Classes(3, "some"), content_prior=VampPrior(4)),
    "conditional": dataclasses.replace(MLP, encoder=ConvEncoder((4,), 8), classes=Classes(3, "all")),
    "spectrum of an image, classes": dataclasses.replace(POLAR, target=Spectra(), classes=Classes(2)),
}


SLOW = ("polar, classes and scale", "some labels, vamp prior")


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in COMBINED])
def test_pieces_combine_through_training_file_and_back(name, tmp_path):
    config, rng = COMBINED[name], np.random.default_rng(0)
    labels = rng.integers(0, 3, 24)
    extra = {"label": np.where(np.arange(24) < 12, labels, -1) if "some" in name else labels}
    record = _record(rng.random((24, *SHAPE)), spectra=rng.random((24, 20)), **extra)
    model = train(record, config=config, seeds=2 if "some" in name else 1)
    save_model(model, tmp_path)
    model = load_model(tmp_path)
    assert from_dict(RVAEConfig, to_dict(model.config)) == model.config
    latents = encode(model, record)
    assert latents.class_probability.shape == (24, config.classes.count)
    assert np.allclose(latents.class_probability.sum(1), 1, atol=1e-5)
    assert (latents.scale is None) == (not config.pose.scale)
    if "conditional" in name:
        assert (latents.class_probability.argmax(1) == labels).all()
        with pytest.raises(ImageError, match="no array 'label'"):
            encode(model, dataclasses.replace(record, label=None))
    arguments = (model, latents.angle, latents.shift, latents.content)
    drawn = decode(*arguments, scale=latents.scale, classes=latents.class_probability)
    assert drawn.shape == ((24, 1, 20, 1) if config.target else (24, *SHAPE)) and np.isfinite(drawn).all()
    with pytest.raises(ImageError, match=f"give a class 0..{config.classes.count - 1}"):
        decode(*arguments)


def test_one_row_of_a_window_is_a_signal_along_x():
    points = np.asarray(window_grid(1, 5))
    assert np.allclose(points[:, 0], [-0.8, -0.4, 0, 0.4, 0.8]) and not points[:, 1].any()


def test_moved_windows_turn_counter_clockwise_and_move_to_the_right_and_down():
    image = _images(1)[0]
    assert np.allclose(moved(image, jnp.float32(np.pi / 2), jnp.zeros(2)), np.rot90(image), atol=1e-4)
    right = moved(image, jnp.zeros(()), jnp.array([0.25, -0.5]))  # 1 px to the right, 2 px up
    assert np.allclose(right[:-2, 1:], image[2:, :-1], atol=1e-5)


@pytest.mark.parametrize(
    ("config", "extra", "message"),
    [
        (Classes(3, "some"), {"label": np.array([0, 7] * 6)}, "label 7 of row 1 is not one of the 3 classes"),
        (Classes(3, "some"), {"label": np.array([0.5, 1] * 6)}, "label 0.5 of row 0 is not one of"),
        (Classes(3, "some"), {"label": np.full(12, -1)}, "no row is labelled"),
        (Classes(3, "some"), {"label": np.full(12, np.nan)}, "no row is labelled"),
        (Classes(3, "some"), {"label": np.full(12, "Si")}, "give whole numbers 0..2"),
        (Classes(3, "some"), {}, "there is no array 'label'"),
        (Classes(3, "all"), {"label": np.array([0, -1] * 6)}, "6 rows have no label"),
        (Spectra(), {}, "there is no array 'spectra'"),
        (Spectra(), {"spectra": np.zeros((11, 20))}, r"spectra have shape \(11, 20\)"),
        (Spectra(), {"spectra": np.full((12, 20), np.nan)}, "NaN or infinite"),
        (Spectra(16), {"spectra": np.zeros((12, 20))}, "20 px where target asks for 16"),
    ],
)
def test_labels_and_spectra_that_cannot_be_used_are_one_line(config, extra, message, untyped):
    where = {"target": config} if isinstance(config, Spectra) else {"classes": config}
    with pytest.raises(ImageError, match=message) as error:
        check_given(dataclasses.replace(MLP, **where), _record(np.zeros((12, *SHAPE)), **extra))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "signals of 64 px with rotation on"),
        ({"pose": Pose(rotation=False, scale=True)}, "signals of 64 px with scale on"),
    ],
)
def test_signals_that_turn_or_grow_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        train(_record(np.random.default_rng(0).random((12, 1, 64, 1))), config=dataclasses.replace(MLP, **changes))


def test_options_that_contradict_each_other_are_refused():
    with pytest.raises(ConfigError, match="PolarEncoder cannot see how its window is turned"):
        RVAEConfig(pose=Pose(rotation=False))
    with pytest.raises(ConfigError, match="count=1"):
        Classes(1)
    with pytest.raises(ConfigError, match="labels='few'"):
        Classes(3, "few")
    with pytest.raises(ConfigError, match="scale is on, but a spectrum is drawn"):
        RVAEConfig(pose=Pose(scale=True), target=Spectra())


def test_classes_that_are_left_empty_cost_in_the_head_start_and_never_after():
    """All rows in one of three classes: log 3 nat; evenly shared: none; undecided: a little; later nothing."""
    config, sure = Classes(3, balance=5.0), jax.nn.log_softmax(50 * jnp.eye(3))
    undecided = (jnp.full((6, 3), -np.log(3)), 5 * INDECISION * np.log(3))
    for log_q, expected in ((sure[:1].repeat(6, 0), 5 * np.log(3)), (sure.repeat(2, 0), 0.0), undecided):
        assert float(beside(config, {}, log_q, None, 0.0).cost) == pytest.approx(expected, abs=1e-4)
        assert float(beside(config, {}, log_q, None, 1.0).cost) == 0
    trained = dataclasses.replace(MLP, classes=Classes(3, head_start=10))
    shares = [float(schedules.content_share(trained, step)) for step in (0, 10, 15, 20, 10**6)]
    assert shares == pytest.approx([0, 0, 0.5, 1, 1]) and schedules.content_share(MLP, 0) == 1
