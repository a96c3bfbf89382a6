"""From sub-images to latents and back, on small sets with known angles."""

import dataclasses
import json

import jax
import numpy as np
import pytest
import yaml

from rvaejax.analysis.invariance import DRAWN, INTERPOLATED, QUARTERS, errors, make_copies
from rvaejax.config import from_dict, to_dict
from rvaejax.errors import ConfigError, FormatError, ImageError, MissingFileError
from rvaejax.rvae import decode, encode, load_model, preset, save_model, train
from rvaejax.rvae.config import PRESETS, Ascent, FourierDecoder, PolarEncoder, RVAEConfig
from rvaejax.rvae.inference import encoder
from rvaejax.rvae.inputs import intensity_range
from rvaejax.training import Interrupted, TrainingConfig
from rvaejax.types import SubImages

SIZE = 14
SMALL = RVAEConfig(
    content_dim=2,
    encoder=PolarEncoder(orientations=32, hidden=24, harmonics=8),
    decoder=FourierDecoder(hidden=24),
    training=TrainingConfig(steps=400, batch_size=32, learning_rate=4e-3, warmup=20, piece=50, evaluate_every=200),
)
BRIEF = dataclasses.replace(SMALL, training=dataclasses.replace(SMALL.training, steps=20, piece=5, evaluate_every=10))


def _record(images, **extra):
    n = len(images)
    rows = {"frame": np.zeros(n, int), "x": np.zeros(n), "y": np.zeros(n), "atom": np.arange(n)}
    return SubImages(images, species=np.full(n, "C"), pixel_size_nm=0.02, **{**rows, **extra})


def _molecules(n, seed=0):
    """Three blobs around the centre (kind 0: symmetry 3) or two of them (kind 1: symmetry 1), at every angle."""
    rng = np.random.default_rng(seed)
    kind, angle, shift = rng.integers(0, 2, n), rng.uniform(-np.pi, np.pi, n), rng.normal(0, 0.3, (n, 2))
    line = np.arange(SIZE) - (SIZE - 1) / 2
    images = np.zeros((n, SIZE, SIZE, 1), np.float32)
    for j in range(3):
        there = (j < 2) | (kind == 0)
        phi = angle + 2 * np.pi * j / 3
        x, y = 4 * np.cos(phi) + shift[:, 0], -4 * np.sin(phi) + shift[:, 1]
        dx, dy = (line[None] - x[:, None]) ** 2, (line[None] - y[:, None]) ** 2
        images[..., 0] += there[:, None, None] * np.exp(-(dy[:, :, None] + dx[:, None, :]) / (2 * 1.3**2))
    images += 0.03 * rng.standard_normal(images.shape).astype(np.float32)
    return np.clip(images, 0, 1), angle, kind, shift


@pytest.fixture(scope="module")
def molecules():
    return _molecules(600)


@pytest.fixture(scope="module")
def trained(molecules):
    return train(_record(molecules[0]), config=SMALL, seed=0)


@pytest.fixture(scope="module")
def brief(molecules):
    return train(_record(molecules[0][:100]), config=BRIEF, seed=0)


def _same(a, b):
    return all(
        (np.asarray(x) == np.asarray(y)).all() for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def test_angle_content_and_shift_are_found(trained, molecules):
    """Angles modulo each kind's symmetry, up to one offset per kind: the reference orientation is the model's."""
    images, angle, kind, shift = molecules
    latents = encode(trained, _record(images))
    for k, symmetry in enumerate((3, 1)):
        off = np.exp(1j * symmetry * (latents.angle - angle)[kind == k])
        assert abs(off.mean()) > 0.97
    first = latents.content[:, 0]
    split = np.median(first)
    assert max(((first > split) == (kind == k)).mean() for k in (0, 1)) > 0.85
    residual = latents.shift[kind == 0] - shift[kind == 0]
    assert np.median(np.hypot(*(residual - residual.mean(0)).T)) < 0.25
    assert (latents.angle > -np.pi).all() and (latents.angle <= np.pi).all() and (latents.angle_sd > 0).all()


def test_content_is_ordered_by_divergence_and_rises_with_intensity(trained, molecules):
    latents = encode(trained, _record(molecules[0]))
    assert list(trained.content_kl) == sorted(trained.content_kl, reverse=True)
    intensity = molecules[0].mean((1, 2, 3))
    assert all(np.corrcoef(intensity, latents.content[:, i])[0, 1] >= -0.05 for i in range(2))


def test_decoding_the_latents_gives_back_the_images(trained, molecules):
    images = molecules[0]
    latents = encode(trained, _record(images))
    drawn = decode(trained, latents.angle, latents.shift, latents.content)
    assert drawn.shape == images.shape
    assert np.sqrt(((drawn - images) ** 2).mean()) < 0.5 * images.std()


def test_turned_copies_turn_the_angle_by_quarters_exactly_and_by_any_angle_to_a_degree(trained, molecules):
    """Drawn by the decoder at any angle there is no interpolation but the polar grid's own; with splines a little."""
    record = _record(molecules[0][:100])
    made = dict(make_copies(trained, record, encode(trained, record), turns=1, seed=0))
    symmetry = np.where(molecules[2][:100] == 0, 3, 1)
    degrees = {name: np.degrees(np.abs(errors(copies, symmetry).angle)) for name, copies in made.items()}
    assert degrees[QUARTERS].max() < 0.01
    assert np.median(degrees[DRAWN]) < 1 and np.median(degrees[INTERPOLATED]) < 2


def test_decode_turns_counter_clockwise_shifts_in_pixels_and_draws_at_any_size(trained):
    content, angle, still = np.zeros((1, 2)), np.array([0.2]), np.zeros((1, 2))
    straight = decode(trained, angle, still, content)[0]
    turned = decode(trained, angle + np.pi / 2, still, content)[0]
    assert np.allclose(turned, np.rot90(straight), atol=1e-4)
    moved = decode(trained, angle, np.array([[2.0, -1.0]]), content)[0]
    assert np.allclose(moved[:-1, 2:], straight[1:, :-2], atol=1e-4)
    fine = decode(trained, angle, still, content, size=3 * SIZE)[0]
    assert np.allclose(fine[1::3, 1::3], straight, atol=1e-4)  # every third fine pixel lies on a coarse one


def test_every_row_is_encoded_whatever_the_batch_and_compiled_once(brief, molecules):
    record = _record(molecules[0][:101])
    encoder.cache_clear()  # JAX forgets programs of long ago when it holds thousands: these are counted from new
    whole = encode(brief, record, batch_size=101)
    before = encoder(BRIEF, (SIZE, SIZE, 1))._cache_size()
    parts = encode(brief, record, batch_size=32)
    assert encoder(BRIEF, (SIZE, SIZE, 1))._cache_size() == before + 1
    for name in ("angle", "angle_sd", "shift", "content", "content_sd"):
        assert len(getattr(parts, name)) == 101
        assert np.allclose(getattr(parts, name), getattr(whole, name), atol=1e-4)


def test_same_seed_same_weights_whatever_the_labels(brief, molecules):
    """Training looks at images only: labels, frames and positions change nothing, bit for bit."""
    images = molecules[0][:100]
    extra = {"label": molecules[2][:100], "frame": np.arange(100), "x": np.arange(100.0), "y": np.ones(100)}
    again = train(_record(images, **extra), config=BRIEF, seed=0)
    assert _same(brief.params, again.params)
    other = train(_record(images), config=BRIEF, seed=1)
    assert not _same(brief.params, other.params)


def test_interrupted_training_resumes_to_the_same_weights(brief, molecules, tmp_path):
    record, seen = _record(molecules[0][:100]), []
    folder, metrics = tmp_path / "checkpoints", tmp_path / "metrics.jsonl"
    options = {"config": BRIEF, "seed": 0, "checkpoint_dir": folder, "metrics_path": metrics}
    with pytest.raises(Interrupted):
        train(record, **options, report=seen.append, should_stop=lambda: 2 * (seen[-1].step >= 10))
    resumed = train(record, **options, resume=True)
    assert _same(brief.params, resumed.params)
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert [row["step"] for row in rows] == [5, 10, 15, 20]
    assert "holdout_elbo" in rows[-1]


def test_a_saved_model_loads_to_the_same_latents(brief, molecules, tmp_path):
    (tmp_path / "config.yaml").write_text("command: train\n")
    save_model(brief, tmp_path)
    loaded = load_model(tmp_path)
    assert _same(brief.params, loaded.params)
    for name in (
        "config",
        "image_shape",
        "scaling",
        "order",
        "sign",
        "pixel_size_nm",
        "channels",
        "steps",
        "cut",
        "seed",
    ):
        assert getattr(loaded, name) == getattr(brief, name)
    assert list(loaded.history) == [dict(row) for row in brief.history]
    a, b = (encode(m, _record(molecules[0][:9])) for m in (brief, loaded))
    assert (a.angle == b.angle).all() and (a.content == b.content).all()
    assert (tmp_path / "config.yaml").read_text().startswith("command: train\n")
    assert not [p for p in tmp_path.rglob("*") if p.suffix in (".pkl", ".pickle")]


def test_a_model_from_before_the_ascent_has_none(molecules, tmp_path):
    """Its file says nothing of one, and its encoder was not trained to be followed by one."""
    model = train(_record(molecules[0]), config=dataclasses.replace(BRIEF, ascent=None), seed=0, steps=2)
    save_model(model, tmp_path)
    sections = yaml.safe_load((tmp_path / "config.yaml").read_text())
    del sections["rvae"]["ascent"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(sections))
    loaded = load_model(tmp_path)
    assert loaded.config.ascent is None
    a, b = (encode(m, _record(molecules[0][:9])) for m in (model, loaded))
    assert (a.angle == b.angle).all() and (a.content == b.content).all()


def test_a_model_whose_ascent_remembers_nothing_loads_where_its_file_says_nothing_of_it(molecules, tmp_path):
    """As those do that were written before contents were remembered; another one has what it was trained with."""
    for remembered in (0, 5):
        config = dataclasses.replace(BRIEF, ascent=Ascent(remembered=remembered))
        model = train(_record(molecules[0]), config=config, seed=0, steps=2)
        assert np.shape(model.params.get("remembered", np.zeros((0, 2)))) == (remembered, 2)
        assert not remembered or np.any(np.asarray(model.params["remembered"]))
        run = tmp_path / str(remembered)
        save_model(model, run)
        if not remembered:
            sections = yaml.safe_load((run / "config.yaml").read_text())
            del sections["rvae"]["ascent"]["remembered"]
            (run / "config.yaml").write_text(yaml.safe_dump(sections))
        loaded = load_model(run)
        a, b = (encode(m, _record(molecules[0][:9])) for m in (model, loaded))
        assert (a.angle == b.angle).all() and (a.content == b.content).all()


def test_folders_without_a_model_say_so(tmp_path):
    with pytest.raises(MissingFileError, match="config.yaml: no such file"):
        load_model(tmp_path)
    (tmp_path / "config.yaml").write_text("command: train\n")
    with pytest.raises(FormatError, match="holds no trained rVAE"):
        load_model(tmp_path)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_their_file_form(name):
    assert from_dict(RVAEConfig, json.loads(json.dumps(to_dict(preset(name))))) == preset(name)


def test_unknown_presets_and_options_are_refused():
    with pytest.raises(ConfigError, match="preset 'papr' is not one of default, paper, paper-atomai"):
        preset("papr")
    with pytest.raises(ConfigError, match="has no option 'contents'"):
        from_dict(RVAEConfig, {"contents": 3})
    with pytest.raises(ConfigError, match="content_dim=0"):
        RVAEConfig(content_dim=0)


def _images(n=20, h=14, w=14, c=1, dtype=np.float32):
    return (np.random.default_rng(0).random((n, h, w, c)) * 200).astype(dtype)


def _with_nan():
    images = _images()
    images[7, 3, 3, 0] = np.nan
    return images


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (_with_nan(), "sub-image 7 has pixels that are not finite"),
        (np.full((20, 14, 14, 1), 3.0), "all pixels of all sub-images are equal"),
        (_images(h=12), "windows of 12 x 14 px"),
        (_images(h=1, w=1), "too small"),
        (_images(n=7), "7 sub-images are too few"),
        (_images()[..., 0], "expected"),
        (_images() * 1j, "expected real numbers"),
    ],
)
def test_images_that_cannot_be_trained_on_are_refused_in_one_line(images, message, untyped):
    with pytest.raises(ImageError, match=message) as error:
        train(_record(images), config=BRIEF)
    assert "\n" not in str(error.value)


def test_another_window_or_channel_count_is_refused(brief):
    for images, message in ((_images(h=16, w=16), "16 x 16 px with 1"), (_images(c=2), "14 x 14 px with 2")):
        with pytest.raises(ImageError, match=message):
            encode(brief, _record(images))


def test_any_dtype_trains_on_one_common_scale():
    lo, hi = intensity_range(_images(dtype=np.uint16))
    assert 0 <= lo < 3 and 195 < hi <= 200
    assert intensity_range(_images() / 200) == (0.0, 1.0)
    hot = _images()
    hot[0, 0, 0, 0] = 1e6  # one hot pixel must not matter
    assert intensity_range(hot)[1] < 201
    model = train(_record(_images(n=9, dtype=np.int64)), config=BRIEF, steps=5)  # fewer images than a batch
    assert model.steps == 5 and np.isfinite(model.history[-1]["loss"])


def test_a_weak_raw_signal_is_scaled_and_probabilities_are_not():
    from rvaejax.rvae.inputs import intensity_range

    images = np.random.default_rng(0).random((40, 8, 8, 1))
    assert intensity_range(images) == (0.0, 1.0)
    low, high = intensity_range(1e-4 * images)
    assert 0 <= low < 1e-6 and 0.9e-4 < high <= 1e-4
