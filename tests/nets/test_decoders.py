"""Decoders are functions of coordinates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.nets import decoders, pixelwise
from rvaejax.nets.config import FourierDecoder, SpatialDecoder
from rvaejax.nets.fourier import _cos_turns, harmonics, modes


def test_fast_cosine_matches_the_library():
    turns = jnp.linspace(-3, 3, 10_001)
    assert np.allclose(_cos_turns(turns), np.cos(2 * np.pi * np.asarray(turns, np.float64)), atol=3e-6)


@pytest.mark.parametrize("axes", [1, 2])
def test_fourier_decoder_is_its_sum_of_waves(axes):
    """Against the sum over modes written out; along one axis there are none across it."""
    config, size, channels = FourierDecoder(cutoff=0.2, period=1.5, hidden=8, layers=1), 10, 2
    net = decoders.build(config, size, channels, 2, axes)
    params = net.init(key=jax.random.key(0))
    points, content = jax.random.uniform(jax.random.key(1), (6, 2), minval=-1), jnp.array([0.3, -0.8])
    highest, envelope = modes(config, size, axes)
    across = highest if axes == 2 else 0
    p = params["params"]
    h = np.tanh(content @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"])
    a = np.asarray(h @ p["Dense_1"]["kernel"] + p["Dense_1"]["bias"]).reshape(2, channels, *envelope.shape) * envelope
    expected = np.zeros((6, channels))
    for n in range(highest + 1):
        for m in range(-across, across + 1):
            wave = np.exp(2j * np.pi * (np.asarray(points) @ [n, m]) / (2 * config.period))
            for c in range(channels):
                expected[:, c] += ((a[0, c, n, m + across] + 1j * a[1, c, n, m + across]) * wave).real
    assert np.allclose(net.apply(params, points, content), expected, atol=1e-4)


def test_harmonics_count_from_zero():
    turns = jnp.array([0.1, 0.3])
    cos, sin = harmonics(turns, 3)
    n = np.arange(4)[:, None]
    assert np.allclose(cos, np.cos(2 * np.pi * n * np.array([0.1, 0.3])), atol=1e-6)
    assert np.allclose(sin, np.sin(2 * np.pi * n * np.array([0.1, 0.3])), atol=1e-6)
    # their slopes, forwards and backwards, of a batch as of each
    batch = jnp.stack([turns, -turns])
    _, slopes = jax.jvp(lambda t: harmonics(t, 3), (batch,), (jnp.ones_like(batch),))
    for found, expected in zip(
        slopes, (-2 * np.pi * n * np.asarray(sin), 2 * np.pi * n * np.asarray(cos)), strict=True
    ):
        assert np.allclose(found[0], expected, atol=1e-4)
    gathered = jax.grad(lambda t: (harmonics(t, 3)[0] * jnp.arange(4.0)[None, :, None]).sum())(batch)
    assert np.allclose(gathered[0], (-2 * np.pi * n**2 * np.asarray(sin)).sum(0), atol=1e-3)


def test_bandwidth_follows_pixels_not_windows():
    """The same cutoff in cycles per pixel asks for twice the modes in twice the window, up to the cap."""
    config = FourierDecoder(cutoff=0.2, max_modes=100)
    assert modes(config, 64)[0] == pytest.approx(2 * modes(config, 32)[0], abs=1)
    assert modes(FourierDecoder(cutoff=0.2, max_modes=7), 64)[0] == 7


@pytest.mark.parametrize("config", [SpatialDecoder(hidden=16), FourierDecoder(hidden=16)])
def test_each_pixel_depends_on_its_own_coordinates_only(config):
    net = decoders.build(config, 8, 1, content_dim=2)
    params = net.init(key=jax.random.key(0))
    points, content = jax.random.uniform(jax.random.key(1), (9, 2), minval=-1), jnp.array([1.0, 0.5])
    whole = net.apply(params, points, content)
    one_by_one = jnp.concatenate([net.apply(params, points[i : i + 1], content) for i in range(9)])
    assert np.allclose(whole, one_by_one, atol=1e-5)


@pytest.mark.parametrize(
    "config", [SpatialDecoder(hidden=16, layers=3), SpatialDecoder(hidden=16, skip=True), FourierDecoder(hidden=16)]
)
def test_many_examples_in_frames_are_each_one_at_its_own_points(config):
    net = decoders.build(config, 8, 2, content_dim=3)
    params = net.init(key=jax.random.key(0))
    points = jax.random.uniform(jax.random.key(1), (9, 2), minval=-1)
    frames, content = jax.random.normal(jax.random.key(2), (4, 3, 2, 3)), jax.random.normal(jax.random.key(3), (4, 3))
    found = jax.jit(net.apply_all)(params, points, frames, content)
    one = jax.jit(net.apply)
    for i in range(4):
        for j in range(3):
            own = points @ frames[i, j, :, :2].T + frames[i, j, None, :, 2]
            assert np.allclose(found[i, j], one(params, own, content[i]), atol=2e-5)


def test_layers_have_the_derivatives_of_what_they_compute():
    """The two with a derivative of their own, against JAX's of the same formula; also forwards."""

    def first(maps, points):
        line = jnp.concatenate([points, jnp.ones((len(points), 1))], axis=1)
        return jnp.tanh(jnp.einsum("hbj,pj->hbp", maps, line))

    def linear(kernel, offset, x):
        return jnp.einsum("hc,hbp->cbp", kernel, x) + offset[..., None]

    shapes = {first: ((5, 4, 3), (7, 2)), linear: ((5, 2), (2, 4), (5, 4, 7))}
    for plain, own in ((first, pixelwise.first), (linear, pixelwise.linear)):
        given = [jax.random.normal(jax.random.key(i), s) for i, s in enumerate(shapes[plain])]
        (value, back), (own_value, own_back) = jax.vjp(plain, *given), jax.vjp(own, *given)
        assert np.allclose(value, own_value, atol=1e-5)
        slope = jax.random.normal(jax.random.key(9), value.shape)
        for a, b in zip(back(slope), own_back(slope), strict=True):
            assert np.allclose(a, b, atol=1e-4)
        forward = [jax.jvp(f, given, [jnp.ones_like(v) for v in given])[1] for f in (plain, own)]
        assert np.allclose(*forward, atol=1e-4)


def test_half_precision_draws_and_slopes_as_float32_does_at_every_pixel():
    """Layers in bfloat16; coordinates are not, or pixels of a wide window (64 to the half window) would coincide."""
    plain = decoders.build(SpatialDecoder(hidden=32, layers=3), 128, 1, 2)
    half = decoders.build(SpatialDecoder(hidden=32, layers=3, precision="bfloat16"), 128, 1, 2)
    params = plain.init(key=jax.random.key(0))
    line = np.stack([np.linspace(0.9, 1.0, 64), np.zeros(64)], axis=1).astype(np.float32)
    content = jnp.asarray([0.5, -1.0])

    def scored(decoder, params):
        drawn = decoder.apply(params, line, content)
        return (drawn**2).mean(), drawn

    def both(decoder):
        return jax.value_and_grad(lambda p: scored(decoder, p), has_aux=True)(params)

    (_, expected), slopes = both(plain)
    (_, found), half_slopes = both(half)
    assert found.dtype == jnp.float32 and all(v.dtype == jnp.float32 for v in jax.tree.leaves(half_slopes))
    assert np.allclose(found, expected, atol=0.01)  # of sums of neurons of order 1, good to 0.004 each
    for a, b in zip(jax.tree.leaves(slopes), jax.tree.leaves(half_slopes), strict=True):
        assert float(jnp.linalg.norm(a - b)) < 0.03 * float(jnp.linalg.norm(a)) + 1e-6
    maps = jnp.asarray([[[200.0, 0.0, -190.0]]])  # turned by a sixth of a pixel's rounding, the tanh would be another
    exact = np.tanh(200 * line[:, 0] - 190)
    assert np.allclose(pixelwise.first(maps, jnp.asarray(line), "bfloat16")[0, 0], exact, atol=0.005)
