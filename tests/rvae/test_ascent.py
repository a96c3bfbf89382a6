"""The ascent against brute force: all orientations by drawing each, the content by a grid of its posterior."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.errors import ConfigError
from rvaejax.nets import decoders, rings
from rvaejax.rvae import ascent, elbo, preset
from rvaejax.rvae.config import (
    Ascent,
    Bernoulli,
    Classes,
    ContinuousBernoulli,
    FixedGaussian,
    FourierDecoder,
    LearnedGaussian,
    NormalMixture,
    SpatialDecoder,
    UnitGaussian,
    VampPrior,
)
from rvaejax.rvae.coordinates import grid, to_content
from rvaejax.rvae.lighting import RingLight

SPOTS = np.random.default_rng(0).normal(0, 0.4, (12, 2))


def _spots(points):
    """A picture without any symmetry, at points in half windows."""
    away = ((np.asarray(points)[:, None] - SPOTS[None]) ** 2).sum(-1)
    return np.exp(-0.5 * away / 0.12**2).sum(-1)


def _window(size, angle, shift):
    seen = to_content(grid(size), jnp.float32(angle), jnp.asarray(shift, jnp.float32))
    return _spots(seen).reshape(1, size, size, 1).astype(np.float32)


@pytest.mark.parametrize("size", [24, 33, 48, 64])
@pytest.mark.parametrize(("angle", "shift"), [(0.7, (0.1, -0.05)), (-2.0, (0.0, 0.15))])
def test_rings_find_the_turn_of_a_moved_picture_and_turn_it_back(size, angle, shift):
    on = rings.build(size, 64)
    x = on.series(on.sample(jnp.asarray(_window(size, angle, shift)), jnp.asarray([shift])))
    picture = on.series(jnp.asarray(_spots(on.points), jnp.float32)[None, None])
    fits = np.asarray(on.correlate(x, picture)[0])
    fine = 2 * np.pi / (64 * rings.FINE)
    found = (fits.argmax() - (rings.FINE - 1) / 2) * fine
    assert abs(np.angle(np.exp(1j * (found - angle)))) < 0.75 * fine
    back = on.turned_back(x, jax.nn.softmax(1e4 * fits)[None])
    assert np.linalg.norm(back - picture) / np.linalg.norm(picture) < 0.08


@pytest.mark.parametrize("size", [24, 64])
def test_products_of_series_are_integrals_over_the_disc(size):
    on = rings.build(size, 64)
    line = np.concatenate([np.ones((1, len(on.points))), on.points.T]).astype(np.float32)
    found = on.series(line) @ on.series(line).T
    pixels = np.pi * (size / 2) ** 2
    np.testing.assert_allclose(found, pixels * np.diag([1, 0.25, 0.25]), rtol=5e-3, atol=1e-3 * pixels)
    # any functions: the sum over samples, each times the area that it stands for; correlations leave out rings' means
    x = np.random.default_rng(1).random((2, 1, len(on.points))).astype(np.float32)
    area = (on.series(np.eye(len(on.points), dtype=np.float32)) ** 2).sum(1)
    around = len(on.points) // (size // 2 if size <= rings.WIDE else size // 4)
    assert np.ptp(area.reshape(-1, around), 1).max() < 1e-4 * area.max()
    direct = (x[0, 0] * x[1, 0] * area).sum()
    one, other = on.series(jnp.asarray(x))[:, None]
    assert float((one * other).sum()) == pytest.approx(direct, rel=1e-4)
    means = (x.reshape(2, -1, around).mean(-1).prod(0) * area.reshape(-1, around).sum(1)).sum()
    fits = on.correlate(one, other).reshape(64, rings.FINE)
    middle = 0.5 * (fits[0, rings.FINE // 2 - 1] + fits[0, rings.FINE // 2])  # on either side of no turn
    assert float(middle) == pytest.approx(direct - means, abs=0.02 * float(direct))


@pytest.mark.parametrize("size", [20, 32, 64])
def test_what_is_drawn_needs_no_more_coefficients_than_its_waves(size):
    """Products with anything are those with all coefficients."""
    fns = decoders.build(FourierDecoder(), size, 1, 2)
    params, content = fns.init(key=jax.random.key(0)), jax.random.normal(jax.random.key(1), (4, 2))
    every, few = rings.build(size, 64), rings.build(size, 64, fns.fastest)
    sizes, products = [], []
    for on in (every, few):
        drawn = fns.at(on.points, on.series)(params, content)
        seen = on.series(np.random.default_rng(0).normal(size=(4, 1, len(on.points))).astype(np.float32))
        sizes.append(drawn.shape[-1])
        products.append((jnp.sum(drawn * drawn, -1), on.correlate(seen, drawn), on.all_peaks(seen, drawn)))
    assert sizes[1] < (0.75 if size == 20 else 0.65) * sizes[0]
    for one, other in zip(*products, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-3 * float(jnp.abs(one).max()))


@pytest.mark.parametrize("decoder", [FourierDecoder(), SpatialDecoder(skip=True)])
def test_drawing_all_contents_at_the_same_points_is_drawing_each(decoder):
    fns = decoders.build(decoder, 20, 2, 3)
    params = fns.init(key=jax.random.key(0))
    points = np.random.default_rng(0).uniform(-1, 1, (30, 2)).astype(np.float32)
    content = jax.random.normal(jax.random.key(1), (5, 3))
    each = jax.vmap(fns.apply, in_axes=(None, None, 0))(params, points, content)
    np.testing.assert_allclose(fns.at(points)(params, content).mT, each, atol=2e-6)


def _drawn_by_itself(config, size=24, seed=0, n=24, spread=1.0):
    """A decoder with strong slopes, images that it drew with noise, and the truth."""
    model = elbo.build(config, (size, size, 1))
    params = jax.jit(lambda key: model.init(key=key))(jax.random.key(seed))
    params["decoder"] = jax.tree.map(lambda v: 2.0 * v, params["decoder"])
    a, b, c, d = jax.random.split(jax.random.key(seed + 1), 4)
    angle = jax.random.uniform(a, (n,), minval=-np.pi, maxval=np.pi)
    content = spread * jax.random.normal(b, (n, config.content_dim))
    draw = jax.vmap(model.decode, in_axes=(None, None, 0, None, 0))
    images = draw(params, grid(size), angle, jnp.zeros(2), content).reshape(n, size, size, 1)
    images = images + config.likelihood.sd * jax.random.normal(c, images.shape)
    return model, params, images, angle, content


def _without_a_guess(params):
    """The encoder knows nothing: no shift, content 0, all orientations alike."""
    flat = jax.tree_util.tree_map_with_path(
        lambda path, v: jnp.ones_like(v) if path[-1].key == "spread" else jnp.zeros_like(v), params["encoder"]
    )
    return {**params, "encoder": flat}


CONFIG = replace(preset("default"), content_dim=2, likelihood=FixedGaussian(sd=0.1), ascent=Ascent(rounds=12))


def test_the_ascent_ends_at_angle_and_content_that_the_image_was_drawn_with():
    model, params, images, angle, content = _drawn_by_itself(CONFIG, spread=0.7)
    q = jax.jit(model.encode)(_without_a_guess(params), images)
    off = np.angle(np.exp(1j * (np.asarray(q.angle.logits).argmax(1) * 2 * np.pi / 64 - angle)))
    assert np.median(abs(off)) < np.pi / 64
    right = abs(off) < 0.1  # elsewhere another pair of angle and content draws almost the same
    assert right.mean() > 0.7
    far = np.asarray(abs(q.content.mean - content))[right]
    assert np.median(far) < 0.15 * np.median(abs(np.asarray(content)))


def test_the_orientations_are_weighted_by_their_likelihoods():
    """Against the log-likelihood of the whole window, drawn at each of many angles."""
    model, params, images, _, _ = _drawn_by_itself(replace(CONFIG, likelihood=FixedGaussian(sd=0.4)), n=3)
    q = jax.jit(model.encode)(_without_a_guess(params), images)
    angles = 2 * np.pi * (np.arange(512) - 3.5) / 512
    many = jax.vmap(model.log_likelihood, in_axes=(None, None, None, 0, None, None))
    for i, image in enumerate(images):
        fits = many(params, image.reshape(-1, 1), grid(24), jnp.asarray(angles), jnp.zeros(2), q.content.mean[i])
        within = np.asarray(jax.nn.logsumexp(fits.reshape(64, 8), -1))
        ours, theirs = np.asarray(q.angle.logits[i]), within - np.logaddexp.reduce(within)
        assert np.corrcoef(ours, theirs)[0, 1] > 0.95  # not 1: rings leave the corners out


def test_the_content_is_least_squares_where_the_decoder_is_linear():
    """One round from any start, for a decoder that is linear in its content, at an angle that is known."""
    on = rings.build(24, 64)
    rng = np.random.default_rng(2)
    slopes, mean = (on.series(rng.normal(size=(n, 1, 1, len(on.points))).astype(np.float32)) for n in (2, 1))
    noise = 0.3 * rng.normal(size=mean[0].shape)
    seen = mean[0] + (np.asarray([0.8, -0.4])[:, None, None, None] * slopes).sum(0) + noise
    drawn = ascent._Drawn(*(jnp.asarray(v, jnp.float32) for v in (mean[0] / 0.09, mean[0], slopes / 0.09, slopes)))
    gradient, curvature = ascent._uphill(
        jnp.asarray(seen - mean[0], jnp.float32), drawn, RingLight(None, np.zeros((3, 1), np.float32))
    )
    ours = np.linalg.solve(np.asarray(curvature[0], float), np.asarray(gradient[0], float))
    theirs = np.linalg.lstsq(slopes[:, 0, 0].T, (seen - mean[0])[0, 0], rcond=None)[0]
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)


@pytest.mark.parametrize("rounds", [1, 2])
def test_quarter_turns_are_exact_through_the_ascent(rounds):
    model = elbo.build(replace(preset("default"), ascent=Ascent(rounds=rounds)), (24, 24, 2))
    params = jax.jit(lambda key: model.init(key=key))(jax.random.key(3))
    params["decoder"] = jax.tree.map(lambda v: 3.0 * v, params["decoder"])
    images = np.random.default_rng(0).random((8, 24, 24, 2)).astype(np.float32)
    encode = jax.jit(model.encode)
    one, other = encode(params, images), encode(params, np.rot90(images, 1, (1, 2)).copy())
    np.testing.assert_allclose(np.roll(one.angle.logits, 16, 1), other.angle.logits, atol=3e-3)
    np.testing.assert_allclose(one.content.mean, other.content.mean, atol=1e-4)
    np.testing.assert_allclose(one.content.log_sd, other.content.log_sd, atol=1e-4)


def test_no_gradient_goes_through_the_ascent_and_the_guess_learns_from_its_end():
    model = elbo.build(preset("default"), (16, 16, 1))
    params = jax.jit(lambda key: model.init(key=key))(jax.random.key(0))
    images = jax.random.uniform(jax.random.key(1), (6, 16, 16, 1))

    def of_decoder(decoder):
        q = model.encode({**params, "decoder": decoder}, images)
        return q.angle.logits[:, 0].sum() + q.content.mean.sum() + q.content.log_sd.sum()

    assert not any(np.any(np.asarray(g)) for g in jax.tree.leaves(jax.grad(of_decoder)(params["decoder"])))
    behind = jax.grad(lambda p: ascent.lag(model.encode({**params, "encoder": p}, images)).mean())(params["encoder"])
    assert any(np.any(np.asarray(g)) for g in jax.tree.leaves(behind))


@pytest.mark.parametrize("likelihood", [UnitGaussian(), LearnedGaussian(), Bernoulli(), ContinuousBernoulli()])
@pytest.mark.parametrize("further", [{}, {"content_prior": NormalMixture(components=3)}, {"content_dim": 12}])
def test_every_likelihood_and_prior_ascends_to_finite_gradients(likelihood, further):
    model = elbo.build(replace(preset("default"), likelihood=likelihood, **further), (12, 12, 1))
    params = jax.jit(lambda key: model.init(key=key))(jax.random.key(0))
    images = jax.random.uniform(jax.random.key(1), (5, 12, 12, 1))
    gradient = jax.jit(jax.grad(lambda p: model.loss(p, images, 3, key=jax.random.key(2))[0]))(params)
    assert all(np.isfinite(np.asarray(g)).all() for g in jax.tree.leaves(gradient))


def test_content_that_nothing_is_known_of_ascends_to_finite_gradients():
    """Without a divergence's weight, in the head start of the classes, when content has no part in what is drawn."""
    config = replace(preset("default"), content_weight=0.0, classes=Classes(count=2))
    model = elbo.build(config, (8, 8, 1))
    params = jax.jit(lambda key: model.init(key=key))(jax.random.key(0))
    images = jax.random.uniform(jax.random.key(1), (5, 8, 8, 1))
    gradient = jax.jit(jax.grad(lambda p: model.loss(p, images, 0, key=jax.random.key(2))[0]))(params)
    assert all(np.isfinite(np.asarray(g)).all() for g in jax.tree.leaves(gradient))


def test_pseudo_images_of_a_prior_learn_beside_the_ascent():
    """The ascent's end has no gradient: the prior must rest on what the encoder gives by itself."""
    model = elbo.build(replace(preset("default"), content_prior=VampPrior(components=4)), (16, 16, 1))
    params = jax.jit(lambda key: model.init(key=key))(jax.random.key(0))
    images = jax.random.uniform(jax.random.key(1), (6, 16, 16, 1))
    gradient = jax.jit(jax.grad(lambda p: model.loss(p, images, 400, key=jax.random.key(2))[0]))(params)
    assert (abs(np.asarray(gradient["prior"]["content"]["images"])).max((1, 2, 3)) > 1e-5).all()


def test_an_ascent_of_no_rounds_makes_no_sense():
    with pytest.raises(ConfigError, match="rounds=0"):
        Ascent(rounds=0)
