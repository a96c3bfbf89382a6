"""A device in each core: as many as the process may use, unless the user said otherwise or it is too late."""

import os
import subprocess
import sys

import pytest

from rvaejax.training import cores

CHOOSES = "from rvaejax.training.cores import use_every_core; print(use_every_core())\n"
SEEN = "import jax; print(len(jax.local_devices(backend='cpu')))\n"


def _told(code, **environment):
    clean = {name: value for name, value in os.environ.items() if name not in (cores.CHOSEN, "XLA_FLAGS")}
    run = subprocess.run(
        [sys.executable, "-c", code], env=clean | environment, check=True, capture_output=True, text=True
    )
    return run.stdout.split()


@pytest.mark.process
@pytest.mark.parametrize("first", ["", "import jax\n"])
def test_a_device_in_each_core_up_to_a_most(first):
    count = str(min(cores.available(), cores.MOST))
    assert _told(first + CHOOSES + SEEN) == [count, count]


@pytest.mark.process
def test_no_more_cores_than_the_process_may_use():
    assert _told("import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n" + CHOOSES + SEEN) == ["1", "1"]


@pytest.mark.process
@pytest.mark.parametrize(
    "environment", [{cores.CHOSEN: "3"}, {"XLA_FLAGS": "--xla_force_host_platform_device_count=3"}]
)
def test_the_users_own_number_is_left_alone(environment):
    assert _told(CHOOSES + SEEN, **environment) == ["None", "3"]


def test_the_number_of_the_configuration_is_left_alone():
    assert cores.use_every_core({}) is None  # the tests' own


@pytest.mark.process
def test_it_comes_too_late_where_jax_computes():
    assert _told("import jax.numpy as jnp; jnp.zeros(1)\n" + CHOOSES + SEEN) == ["None", "1"]
