"""Warm-up and capacity in closed form, and what they make of the objective."""

import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.config import from_dict, to_dict
from rvaejax.errors import ConfigError
from rvaejax.rvae.config import Capacity, ConstantWeights, RVAEConfig, WarmUp
from rvaejax.rvae.elbo import ElboTerms, elbo, objective
from rvaejax.rvae.schedules import reserve, temperature, weight_factor

MEANS = ElboTerms(*(jnp.float32(v) for v in (100.0, 2.0, 0.5, 3.0)))  # log-likelihood, angle, shift, content


def _objective(step, **options):
    return float(objective(MEANS, RVAEConfig(temperature=1.0, **options), jnp.asarray(step)))


def test_constant_weights_of_one_are_the_elbo():
    assert _objective(7) == pytest.approx(float(elbo(MEANS)))
    weighted = _objective(7, content_weight=4.0, angle_weight=0.25, shift_weight=2.0)
    assert weighted == pytest.approx(100 - 0.25 * 2 - 2 * 0.5 - 4 * 3)


@pytest.mark.parametrize(("step", "beta"), [(0, 0.2), (50, 0.6), (100, 1.0), (10_000, 1.0)])
def test_a_warm_up_rises_in_a_straight_line_then_is_the_elbo(step, beta):
    schedule = WarmUp(initial=0.2, steps=100)
    assert float(weight_factor(schedule, step)) == pytest.approx(beta, rel=1e-5)
    assert _objective(step, divergences=schedule) == pytest.approx(100 - beta * 5.5, rel=1e-6)
    assert weight_factor(ConstantWeights(), step) == 1.0


@pytest.mark.parametrize(("step", "allowed"), [(0, 1.0), (40, 3.0), (80, 5.0), (800, 5.0)])
def test_the_content_is_held_to_a_capacity_that_rises_in_a_straight_line(step, allowed):
    """C(t) = C0 + (C1 - C0) min(t / T, 1), at a cost of weight |KL - C| (Burgess et al. 2018, equation 8)."""
    schedule = Capacity(initial=1.0, final=5.0, steps=80, weight=7.0)
    # neither the weight of the content nor the sign of the difference matters; angle and shift keep their weights
    got = _objective(step, divergences=schedule, content_weight=99.0, angle_weight=0.5)
    assert got == pytest.approx(100 - 0.5 * 2 - 0.5 - 7 * abs(3 - allowed), rel=1e-6)


def test_the_temperature_falls_by_equal_factors():
    config = RVAEConfig(temperature=16.0, anneal_steps=100)
    assert np.allclose([float(temperature(config, s)) for s in (0, 25, 50, 100, 500)], [16, 8, 4, 1, 1])


@pytest.mark.parametrize("schedule", [ConstantWeights(), WarmUp(steps=10), Capacity(final=2.0)])
def test_schedules_survive_their_file_form(schedule):
    config = RVAEConfig(divergences=schedule)
    assert from_dict(RVAEConfig, to_dict(config)) == config


def test_schedules_that_make_no_sense_are_refused():
    for wrong in (lambda: WarmUp(initial=2.0), lambda: WarmUp(steps=0), lambda: Capacity(weight=0.0)):
        with pytest.raises(ConfigError, match="makes no sense"):
            wrong()
    with pytest.raises(ConfigError, match="divergences: kind 'Wrong' is not one of ConstantWeights"):
        from_dict(RVAEConfig, {"divergences": {"kind": "Wrong"}})


def test_a_limited_time_keeps_more_for_larger_windows_and_never_most_of_it():
    kept = [reserve(60, side * side) for side in (4, 24, 32, 64, 128)]
    assert sorted(kept) == kept and kept[0] < 6.1 and kept[3] == kept[4] == 12
    assert reserve(3600, 64 * 64) == 16 and reserve(1, 64 * 64) < 0.5
