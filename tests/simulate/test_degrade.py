"""Noise and blemishes, against what they promise in mean, variance and shape."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.simulate.degrade import amorphous, blur, contamination, poisson, shift_rows, smooth_field

N = 200_000
QUICK = {"xla_backend_optimization_level": 0}  # compiled in half the time


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.25, 0.6, 2.0, 15.0, 300.0])
def test_counts_have_the_mean_and_variance_of_counts(rate):
    """Mean exactly, variance within 1/8 count; the tolerances are five standard errors."""
    counts = np.asarray(poisson(jnp.full(N, rate), key=jax.random.key(0)), np.float64)
    assert counts.min() >= 0
    variance = counts.var()
    assert counts.mean() == pytest.approx(rate, abs=5 * np.sqrt(variance / N) + 1e-6 * rate)
    fourth = ((counts - counts.mean()) ** 4).mean()
    error = 5 * np.sqrt(max(fourth - variance**2, 0) / N)
    assert rate - 0.125 - error <= variance <= rate + error
    if rate > 0.25:
        assert variance == pytest.approx(rate - 0.125, abs=error)


def test_counts_are_skewed_as_counts_are():
    """Third central moment of a Poisson variable: its rate."""
    counts = np.asarray(poisson(jnp.full(N, 20.0), key=jax.random.key(1)), np.float64)
    assert ((counts - counts.mean()) ** 3).mean() == pytest.approx(20 * 1.5, rel=0.1)  # 3/2: as near as a square comes


def test_blur_keeps_constants_and_adds_variances():
    assert np.allclose(blur(jnp.full((20, 31), 3.5), 2.5), 3.5, atol=1e-5)
    d = jnp.arange(61) - 30.0
    gaussian = jnp.exp(-0.5 * (d[:, None] ** 2 + d[None] ** 2) / 3.0**2)
    blurred = np.asarray(blur(gaussian, 4.0))
    assert np.allclose(blurred / blurred.max(), jnp.exp(-0.5 * (d[:, None] ** 2 + d[None] ** 2) / 25.0), atol=1e-3)
    assert blurred.sum() == pytest.approx(float(gaussian.sum()), rel=1e-3)


def test_no_blur_is_the_identity():
    image = jax.random.normal(jax.random.key(0), (12, 15))
    assert np.allclose(blur(image, 0.0), image, atol=1e-6)


def test_a_smooth_field_has_the_correlation_length_that_was_asked_for():
    """Noise blurred by s is correlated as exp(-d² / 4 s²)."""
    fields = np.stack([smooth_field((96, 96), 4.0, key=k) for k in jax.random.split(jax.random.key(0), 6)])
    assert np.allclose(fields.mean((1, 2)), 0, atol=1e-4) and np.allclose(fields.std((1, 2)), 1, atol=1e-3)
    inner = fields[:, 16:-16, 16:-16]
    assert (inner[:, :-8] * inner[:, 8:]).mean() / (inner**2).mean() == pytest.approx(np.exp(-1), abs=0.1)


def test_rows_shift_by_whole_pixels_exactly_and_by_parts_linearly():
    image = np.random.default_rng(0).random((4, 10)).astype(np.float32)
    shift = np.array([0, 1, -2, 3])
    moved = np.asarray(shift_rows(jnp.asarray(image), jnp.asarray(shift, jnp.float32)))
    for row, source, by in zip(moved, image, shift, strict=True):
        assert np.array_equal(row, source[np.clip(np.arange(10) - by, 0, 9)])
    ramp = jnp.broadcast_to(jnp.arange(10.0)[None], (4, 10))
    part = np.asarray(shift_rows(ramp, jnp.array([0.25, -0.4, 1.5, 0.0])))
    assert np.allclose(part[:, 3:7], np.asarray(ramp)[:, 3:7] - np.array([[0.25], [-0.4], [1.5], [0.0]]), atol=1e-5)


def test_contamination_is_bright_where_its_patch_is_and_nowhere_else():
    patch = jnp.zeros((48, 48)).at[:, 24:].set(1.0)
    dirt = np.asarray(amorphous(patch, 0.02, 5.0, key=jax.random.key(0)))
    assert (dirt[:, :24] == 0).all() and dirt[:, 24:].min() > 0
    assert dirt[:, 24:].mean() == pytest.approx(5.0, rel=0.15)
    draw = jax.jit(jax.vmap(lambda key: contamination((48, 48), 0.02, 5.0, key=key)), compiler_options=QUICK)
    covered = np.asarray(draw(jax.random.split(jax.random.key(1), 8)))
    assert (covered >= 0).all() and np.ptp((covered > 2.5).mean((1, 2))) > 0.05
