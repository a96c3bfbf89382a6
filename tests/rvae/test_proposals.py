"""Proposals against brute force: all pairs at all angles, the likeliest light by least squares, twins that merge."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.errors import ConfigError
from rvaejax.nets import rings
from rvaejax.rvae import ascent, elbo, preset, proposals
from rvaejax.rvae.config import Ascent, Bernoulli, Laplace, Lighting, StandardNormal, StudentT, VampPrior
from rvaejax.rvae.lighting import RingLight

K = 16
ON = rings.build(16, K)
AROUND = len(ON.points) // 8  # 8 rings
AREA = (ON.series(np.eye(len(ON.points), dtype=np.float32)) ** 2).sum(1)  # that each sample stands for


def _product(light):
    """With offset and slopes on the rings."""
    return RingLight(light, ON.series(np.concatenate([np.ones((1, len(ON.points))), ON.points.T]).astype(np.float32)))


def _turned(v, bins):
    """Functions (..., p) on the rings, turned counter-clockwise by some of the K bins."""
    return np.roll(v.reshape(*v.shape[:-1], -1, AROUND), bins * AROUND // K, axis=-1).reshape(v.shape)


def _smooth(seed, n, channels=1):
    """Pictures of a few spots on the rings."""
    rng = np.random.default_rng(seed)
    spots = rng.uniform(-0.6, 0.6, (n, channels, 5, 2))
    away = ((ON.points - spots[..., None, :]) ** 2).sum(-1)
    return np.exp(-0.5 * away / 0.2**2).sum(2).astype(np.float32)


def _series(v):
    return ON.series(jnp.asarray(v))


def test_the_peaks_are_the_largest_sums_over_all_turns():
    x, t = _smooth(0, 3, 2), _smooth(1, 4, 2)
    sums = [np.einsum("bcp,mcp,p->bm", _turned(x, -k), t, AREA) for k in range(K)]
    found = ON.all_peaks(_series(x), _series(t))
    # finer than the bins, whose angles lie half of the finest step beside its own
    assert (found > np.max(sums, 0) * (1 - 5e-3)).all() and (found < np.max(sums, 0) * 1.1).all()
    each = [[float(ON.peak(_series(x[[i]]), _series(t[[j]]))[0]) for j in range(4)] for i in range(3)]
    np.testing.assert_allclose(found, each, rtol=1e-5)
    turned = np.concatenate([_turned(v[None], k) for v, k in zip(t[:3], (0, 5, 11), strict=True)])
    np.testing.assert_allclose(ON.peak(_series(turned), _series(t[:3])), (t[:3] ** 2 * AREA).sum((1, 2)), rtol=2e-3)


@pytest.mark.parametrize("light", [None, Lighting(), Lighting(gain=0.5, offset=0.02, slope=0.3)])
def test_fits_are_the_log_likelihood_in_the_likeliest_light(light):
    x, drawn, sd = 1.2 * _smooth(0, 1)[0, 0] + 0.1 + 0.05 * ON.points[:, 0], _smooth(2, 6)[:, 0], 0.15
    level, fit = _product(light).fits(jnp.float32(sd**-2))
    a, b = level(_series(x.astype(np.float32)[None, None]))[0, 0], level(_series(drawn[:, None]))[:, 0]
    ours = fit((a[None] * b).sum(-1), (b**2).sum(-1))
    root = np.sqrt(AREA) / sd
    theirs = []
    for t in drawn:
        # (x - t) by what the light adds, with the light's prior as further equations
        terms = np.zeros((len(x), 0)) if light is None else np.column_stack([t, np.ones_like(t), ON.points])
        sds = [] if light is None else [light.gain, light.offset, light.slope, light.slope]
        rows = np.concatenate([(terms * np.asarray(sds)) * root[:, None], np.eye(len(sds))])
        due = np.concatenate([(x - t) * root, np.zeros(len(sds))])
        best = np.linalg.lstsq(rows, due, rcond=None)[0] if sds else np.zeros(0)
        theirs.append(-0.5 * ((rows @ best - due) ** 2).sum())
    np.testing.assert_allclose(np.asarray(ours) - ours[0], np.array(theirs) - theirs[0], rtol=2e-3, atol=0.05)


def test_levelling_commutes_with_turns():
    v = _smooth(3, 2, 2) + ON.points[:, 1][None, None].astype(np.float32)
    level, _ = _product(Lighting()).fits(jnp.float32(40.0))
    turn = jax.nn.one_hot(jnp.asarray([3 * rings.FINE] * 2), K * rings.FINE)  # and half of the finest step less
    np.testing.assert_allclose(
        level(ON.turned_back(_series(v), turn)), ON.turned_back(level(_series(v)), turn), atol=1e-4
    )


def _drawing(pictures, sd=0.1):
    """A decoder that draws picture i of some (m, 1, p) at content i."""

    def draw(z, y):
        mean = _series(pictures)[jnp.round(z[:, 0]).astype(int)]
        return mean / sd**2, mean

    return draw


def _flat(z):
    return 0.0 * z.sum()


def _proposed(pictures, images, z, light=None, y=None, others=None, log_prior=_flat):
    """Where images start that have contents z; in training, where none of others are given."""
    z = jnp.asarray(z, jnp.float32)[:, None]
    y = jnp.zeros((len(z), 0)) if y is None else y
    others = None if others is None else jnp.asarray(others, jnp.float32)[:, None]
    propose = proposals.build(ON, _product(light), len(z))
    return propose(_drawing(pictures), _series(images), z, y, others, log_prior, 1.0)[:, 0]


@pytest.mark.parametrize("light", [None, Lighting()])
def test_an_image_moves_to_the_content_of_another_that_explains_it_better(light):
    pictures = _smooth(4, 3)
    images = np.concatenate([_turned(pictures[[i]], k) for i, k in ((0, 2), (2, 7), (1, 12))])

    def forbidden(z):
        return jnp.where(z[0] == 2.0, -1e6, 0.0)

    for others in (None, [0, 1, 2]):
        np.testing.assert_array_equal(_proposed(pictures, images, [0, 1, 2], light, others=others), [0, 2, 1])
    assert 2.0 not in _proposed(pictures, images, [0, 1, 0], light, others=[1, 2], log_prior=forbidden)
    # each of another class, or none of the others any better: there is nobody to learn from
    np.testing.assert_array_equal(_proposed(pictures, images, [0, 1, 2], light, y=jnp.eye(3)), [0, 1, 2])
    np.testing.assert_array_equal(_proposed(pictures, images, [0, 1, 2], light, others=[0]), [0, 1, 2])


@pytest.mark.parametrize("background", [0.01, 0.3, 0.9])
def test_an_image_of_black_and_white_pixels_moves_to_the_content_that_draws_it(background):
    """However dark or bright pictures are: log-odds are negative in the one, positive in the other."""
    spots = _smooth(4, 3)
    chance = background + (0.08 if background > 0.5 else 0.6) * spots / spots.max()

    def draw(z, y):
        each = chance[jnp.round(z[:, 0]).astype(int)]
        return _series(jnp.log(each / (1 - each))), _series(each)

    images = _series(chance)  # expected pixels: what many exposures of one image are
    propose = proposals.build(ON, _product(None), 3, linear=False)
    own, none = jnp.asarray([[0.0], [1.0], [2.0]]), jnp.zeros((3, 0))
    for start in ([0, 1, 2], [1, 2, 0]):
        z = jnp.asarray(start, jnp.float32)[:, None]
        np.testing.assert_array_equal(propose(draw, images, z, none, None, _flat, 1.0), own)


def test_of_a_batch_only_the_candidates_propose_themselves():
    pictures = _smooth(4, 3)
    images, z = pictures[[1, 2, 0]], jnp.asarray([[1.0], [0.0], [2.0]])
    propose = proposals.build(ON, _product(None), 2)
    found = propose(_drawing(pictures), _series(images), z, jnp.zeros((3, 0)), None, _flat, 1.0)
    assert found[0, 0] == 1.0 and found[1, 0] != 2.0 and found[2, 0] == 0.0  # content 2 is only the last one's


def test_of_twins_the_better_drawn_or_the_greater_wins_all_images_in_training():
    """One kind drawn at two contents, upright and upside down: without proposals, none would ever change sides."""
    upright = _smooth(5, 1)
    images = np.concatenate([_turned(upright, k) for k in (0, 3, 6, 9, 12, 15)])
    worse = np.concatenate([upright, 0.8 * _turned(upright, K // 2)])
    np.testing.assert_array_equal(_proposed(worse, images, [0, 0, 1, 1, 1, 1]), np.zeros(6))
    alike = np.concatenate([upright, _turned(upright, K // 2)])
    np.testing.assert_array_equal(_proposed(alike, images, [0, 0, 1, 1, 1, 1]), np.ones(6))
    # many images of another kind, drawn beside the smaller twin, do not make it greater
    third = np.concatenate([alike, _smooth(6, 1)])
    many = np.concatenate([images, np.repeat(third[2:], 8, 0)])

    def beside(z, y):
        return _drawing(third)(jnp.where(z < 0.5, z * 20, z), y)  # the third kind at 0.1, its neighbour at 0

    z = jnp.asarray([0.0, 0.0, 1.0, 1.0, 1.0, 1.0] + 8 * [0.1])[:, None]
    none = jnp.zeros((len(z), 0))
    moved = proposals.build(ON, _product(None), len(z))(beside, _series(many), z, none, None, _flat, 1.0)[:, 0]
    np.testing.assert_allclose(moved, 6 * [1.0] + 8 * [0.1])
    # afterwards an image keeps to its own guess among equals
    np.testing.assert_array_equal(_proposed(alike, images, [0, 0, 1, 1, 1, 1], others=[1, 0]), [0, 0, 1, 1, 1, 1])


def test_an_image_gets_off_a_content_that_looks_the_same_after_half_a_turn():
    """A pair of spots, one of them dim: at the content of two alike no way up is seen, as both ways are as good."""
    one, other = np.exp(
        -0.5 * ((ON.points[None] - np.array([[0.3, 0.1], [-0.3, -0.1]])[:, None]) ** 2).sum(-1) / 0.2**2
    )
    pictures = np.stack([one + other, one + 0.5 * other])[:, None].astype(np.float32)
    images = np.concatenate([_turned(pictures[[1]], k) for k in (1, 4, 10)])
    found = _proposed(pictures, images, [0, 0, 0], others=[0, 0, 0, 1])
    np.testing.assert_array_equal(found, np.ones(3))


def test_contents_spread_to_the_priors_covariance_whatever_they_start_from():
    rng = np.random.default_rng(0)
    z = jnp.asarray(rng.normal(size=(400, 2)) @ np.array([[0.05, 0.04], [0.0, 3.0]]) + [2.0, -1.0], jnp.float32)
    log_sd = jnp.broadcast_to(jnp.log(jnp.asarray([0.5, 0.1])), z.shape)
    step = jax.jit(lambda z: proposals.spread(z, log_sd, 0.15))
    for _ in range(200):
        z = step(z)
    np.testing.assert_allclose(z.mean(0), [0.0, 0.0], atol=1e-4)
    np.testing.assert_allclose(np.cov(z.T, bias=True), np.diag([0.75, 0.99]), atol=2e-3)
    one = proposals.spread(z[:1], log_sd[:1], 0.15)  # a batch of one has no covariance: finite
    assert np.isfinite(np.asarray(one)).all()


def test_a_kind_that_differs_by_little_is_left_to_itself_however_many_the_other_has():
    """Two images of a spot a bit dimmer, ten of the brighter: 8 nat apart, at the same place."""
    bright = _smooth(7, 1)
    per_amplitude = float((bright**2 * AREA).sum()) / 0.1**2  # nat, twice, of the whole amplitude
    dim = (1 - np.sqrt(16 / per_amplitude)) * bright
    pictures = np.concatenate([bright, dim])
    images = np.concatenate([np.repeat(dim, 2, 0), np.repeat(bright, 10, 0)])
    np.testing.assert_array_equal(_proposed(pictures, images, [1, 1] + 10 * [0]), [1, 1] + 10 * [0])
    # and who begins as the other goes where it is drawn better
    np.testing.assert_array_equal(_proposed(pictures, images, [1, 0] + 9 * [0] + [1]), [1, 1] + 10 * [0])


@pytest.mark.parametrize("light", [Lighting(), Lighting(gain=0.5, offset=0.02, slope=0.3)])
def test_what_light_cannot_explain_is_what_a_ridge_regression_on_it_leaves(light):
    left, drawn, sd = _series(_smooth(8, 2)), _series(_smooth(9, 2)), 0.2
    found = _product(light).free(drawn, jnp.full(2, sd**-2))(left)
    level = ON.series(np.concatenate([np.ones((1, len(ON.points))), ON.points.T]).astype(np.float32))
    sds = np.array([light.offset, light.slope, light.slope, light.gain])
    for i in range(2):
        terms = np.concatenate([level, drawn[i]]).T * sds
        rows = np.concatenate([terms / sd, np.eye(4)])
        best = np.linalg.lstsq(rows, np.concatenate([left[i, 0] / sd, np.zeros(4)]), rcond=None)[0]
        np.testing.assert_allclose(found[i, 0], left[i, 0] - terms @ best, atol=2e-3 * float(jnp.abs(left).max()))


def test_in_training_contents_are_exchanged_between_rounds_afterwards_before_them(monkeypatch):
    """Where all take over content 0: of two rounds only the last follows in training, afterwards both."""

    def to_nought(grid, light, candidates, linear):
        return lambda draw, x, z, y, others, log_prior, temperature: 0.0 * z

    images = jax.random.uniform(jax.random.key(1), (4, 16, 16, 1))

    def contents(rounds, together, whole):
        config = replace(preset("default"), ascent=Ascent(rounds=rounds, spread=0.0))
        with monkeypatch.context() as patch:
            patch.setattr(proposals, "build", to_nought)
            model = elbo.build(config, (16, 16, 1))
        params = jax.jit(lambda key: model.init(key=key))(jax.random.key(0))
        params["decoder"] = jax.tree.map(lambda v: 2.0 * v, params["decoder"])
        params = params if whole else {name: value for name, value in params.items() if name != "remembered"}
        return model.encode(params, images, together=together).content.mean

    one = contents(1, True, True)
    np.testing.assert_allclose(contents(2, True, True), one, atol=1e-5)
    np.testing.assert_allclose(contents(1, False, True), one, atol=1e-5)
    both = contents(2, False, True)
    assert abs(both - one).max() > 1e-3 and abs(both - contents(2, False, False)).max() > 1e-3


@pytest.mark.parametrize("likelihood", [preset("default").likelihood, Bernoulli()])
def test_an_image_is_encoded_by_itself_and_trained_together(likelihood):
    config = replace(preset("default"), likelihood=likelihood)
    model = elbo.build(config, (16, 16, 1))
    params = jax.jit(lambda key: model.init(key=key))(jax.random.key(0))
    params["decoder"] = jax.tree.map(lambda v: 2.0 * v, params["decoder"])
    images = jax.random.uniform(jax.random.key(1), (6, 16, 16, 1))
    alone = model.encode(params, images[:2]).content.mean
    np.testing.assert_allclose(model.encode(params, images).content.mean[:2], alone, atol=1e-5)
    assert abs(model.encode(params, images, together=True).content.mean[:2] - alone).max() > 1e-3
    remembering = ascent.remember(
        params, 2.0 * np.random.default_rng(0).normal(size=(40, preset("default").content_dim))
    )
    assert remembering["remembered"].shape == params["remembered"].shape
    told = model.encode(remembering, images)
    np.testing.assert_allclose(told.content.mean[:2], model.encode(remembering, images[:2]).content.mean, atol=1e-5)
    off = elbo.build(replace(config, ascent=Ascent(candidates=0, spread=0.0)), (16, 16, 1))
    bare = {name: value for name, value in params.items() if name != "remembered"}
    alone = off.encode(bare, images[:2]).content.mean
    np.testing.assert_allclose(off.encode(params, images, together=True).content.mean[:2], alone, atol=1e-5)


@pytest.mark.parametrize(
    ("prior", "spreads"),
    [(StandardNormal(), True), (VampPrior(), True), (Laplace(0.1), False), (StudentT(), False)],
)
def test_contents_spread_to_a_standard_normal_alone(prior, spreads):
    def contents(rate):
        config = replace(preset("default"), content_prior=prior, ascent=Ascent(candidates=0, spread=rate))
        model = elbo.build(config, (16, 16, 1))
        params = jax.jit(lambda key: model.init(key=key))(jax.random.key(0))
        images = jax.random.uniform(jax.random.key(1), (6, 16, 16, 1))
        return model.encode(params, images, together=True).content.mean

    assert (abs(contents(0.15) - contents(0.0)).max() > 1e-3) == spreads


@pytest.mark.parametrize("bad", [{"candidates": -1}, {"remembered": -1}, {"spread": 1.0}])
def test_options_that_make_no_sense_are_refused(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        Ascent(**bad)
