"""Proposals against brute force: all pairs at all angles, the likeliest light by least squares, twins that merge."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.errors import ConfigError
from rvaejax.nets import rings
from rvaejax.rvae import elbo, preset, proposals
from rvaejax.rvae.config import Ascent, Lighting
from rvaejax.rvae.lighting import fits_of

K = 16
ON = rings.build(16, K)
AROUND = len(ON.points) // 8  # 8 rings
NO_CLASS = jnp.zeros((3, 0))


def _turned(v, bins):
    """Functions (..., p) on the rings, turned counter-clockwise by some of the K bins."""
    return np.roll(v.reshape(*v.shape[:-1], -1, AROUND), bins * AROUND // K, axis=-1).reshape(v.shape)


def _smooth(seed, n, channels=1):
    """Pictures of a few spots on the rings."""
    rng = np.random.default_rng(seed)
    spots = rng.uniform(-0.6, 0.6, (n, channels, 5, 2))
    away = ((ON.points - spots[..., None, :]) ** 2).sum(-1)
    return np.exp(-0.5 * away / 0.2**2).sum(2).astype(np.float32)


def test_the_peaks_are_the_largest_sums_over_all_turns():
    x, t = _smooth(0, 3, 2), _smooth(1, 4, 2)
    sums = [np.einsum("bcp,mcp->bm", _turned(x, -k), t) for k in range(K)]
    found = ON.all_peaks(ON.spectrum(jnp.asarray(x)), ON.spectrum(jnp.asarray(t)))
    # a bin's angle is taken half of the finest step beyond it
    np.testing.assert_allclose(found, np.max(sums, 0), rtol=2e-3)
    turned = np.concatenate([_turned(v[None], k) for v, k in zip(t[:3], (0, 5, 11), strict=True)])
    one = ON.peak(ON.spectrum(jnp.asarray(turned)), ON.spectrum(jnp.asarray(t[:3])))
    np.testing.assert_allclose(one, (t[:3] ** 2).sum((1, 2)), rtol=2e-3)


@pytest.mark.parametrize("light", [None, Lighting(), Lighting(gain=0.5, offset=0.02, slope=0.3)])
def test_fits_are_the_log_likelihood_in_the_likeliest_light(light):
    x, drawn, sd = 1.2 * _smooth(0, 1)[0, 0] + 0.1 + 0.05 * ON.points[:, 0], _smooth(2, 6)[:, 0], 0.15
    level, fit = fits_of(light, ON.points, ON.weight, jnp.float32(sd**-2))
    a, b = np.asarray(level(jnp.asarray(x)[None, None]))[0, 0], np.asarray(level(jnp.asarray(drawn)[:, None]))[:, 0]
    ours = fit(jnp.asarray((a[None] * b * ON.weight).sum(-1)), jnp.asarray((b**2 * ON.weight).sum(-1)))
    root = np.sqrt(ON.weight) / sd
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
    level, _ = fits_of(Lighting(), ON.points, ON.weight, jnp.float32(40.0))
    np.testing.assert_allclose(
        level(jnp.asarray(_turned(v, 3))), _turned(np.asarray(level(jnp.asarray(v))), 3), atol=1e-5
    )


def _drawing(pictures, sd=0.1):
    """A decoder that draws picture i of some (m, 1, p) at content i."""

    def draw(z):
        mean = jnp.asarray(pictures)[jnp.round(z[:, 0]).astype(int)]
        return mean / sd**2, mean

    return draw


def _flat(z):
    return 0.0 * z.sum()


@pytest.mark.parametrize("light", [None, Lighting()])
def test_an_image_moves_to_the_content_of_another_that_explains_it_better(light):
    pictures = _smooth(4, 3)
    images = jnp.asarray(np.concatenate([_turned(pictures[[i]], k) for i, k in ((0, 2), (2, 7), (1, 12))]))
    propose = proposals.build(ON, light, most=64)
    z = jnp.asarray([[0.0], [1.0], [2.0]])
    found = propose(_drawing(pictures), images, z, NO_CLASS, _flat, 1.0)
    np.testing.assert_array_equal(found[:, 0], [0, 2, 1])
    own_class = jnp.eye(3)  # each of another class: there is nobody to learn from
    np.testing.assert_array_equal(propose(_drawing(pictures), images, z, own_class, _flat, 1.0), z)
    only_first = proposals.build(ON, light, most=1)(_drawing(pictures), images, z, NO_CLASS, _flat, 1.0)
    np.testing.assert_array_equal(only_first, z)  # the content of the first draws neither of the others better
    against = proposals.build(ON, light, most=64)(
        _drawing(pictures), images, z, NO_CLASS, lambda v: jnp.where(v[0] == 2.0, -1e6, 0.0), 1.0
    )
    assert 2.0 not in np.asarray(against[:2])  # a prior that forbids a content is heard


def test_the_better_drawn_of_twins_wins_all_images():
    """One kind drawn at two contents, upright and upside down: without proposals, none would ever change sides."""
    upright = _smooth(5, 1)
    pictures = np.concatenate([upright, 0.8 * _turned(upright, K // 2)])
    images = jnp.asarray(np.concatenate([_turned(upright, k) for k in (0, 3, 6, 9, 12, 15)]))
    z = jnp.asarray([[0.0], [0.0], [0.0], [1.0], [1.0], [1.0]])
    propose = proposals.build(ON, None, most=64)
    found = propose(_drawing(pictures), images, z, jnp.zeros((6, 0)), _flat, 1.0)
    np.testing.assert_array_equal(found, jnp.zeros((6, 1)))


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


def test_an_image_is_encoded_by_itself_and_trained_together():
    model = elbo.build(preset("default"), (16, 16, 1))
    params = jax.jit(lambda key: model.init(key=key))(jax.random.key(0))
    params["decoder"] = jax.tree.map(lambda v: 2.0 * v, params["decoder"])
    images = jax.random.uniform(jax.random.key(1), (6, 16, 16, 1))
    alone = model.encode(params, images[:2]).content.mean
    np.testing.assert_allclose(model.encode(params, images).content.mean[:2], alone, atol=1e-5)
    assert abs(model.encode(params, images, together=True).content.mean[:2] - alone).max() > 1e-3
    off = elbo.build(replace(preset("default"), ascent=Ascent(candidates=0, spread=0.0)), (16, 16, 1))
    np.testing.assert_allclose(off.encode(params, images, together=True).content.mean[:2], alone, atol=1e-5)


@pytest.mark.parametrize("bad", [{"candidates": -1}, {"spread": 1.0}])
def test_options_that_make_no_sense_are_refused(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        Ascent(**bad)
