"""A batch divided among devices: the same training as on one, no copy for each core, one compilation."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = [pytest.mark.process, pytest.mark.slow]
SCRIPT = Path(__file__).with_name("divided.py")
KINDS = ("ascent", "classes", "pieces")


@pytest.fixture(scope="module")
def found():
    """What the script tells, by the number of devices."""

    def told(count):
        environment = {**os.environ, "JAX_NUM_CPU_DEVICES": str(count)}
        run = subprocess.run([sys.executable, SCRIPT], env=environment, check=True, capture_output=True, text=True)
        return json.loads(run.stdout.splitlines()[-1])

    return {count: told(count) for count in (1, 3)}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_training_on_three_devices_as_on_one(found, kind):
    one, three = (found[count]["trained"][kind] for count in (1, 3))
    for name in ("elbo", "held out", "angle", "content"):
        a, b = np.array(one[name]), np.array(three[name])
        assert a.shape == b.shape and a.size
        apart = np.angle(np.exp(1j * (a - b))) if name == "angle" else (a - b) / max(1.0, np.abs(a).max())
        assert np.median(np.abs(apart)) < 1e-3, name
    assert three["factor"] == pytest.approx(one["factor"], rel=0.02)


def test_as_many_devices_as_divide_the_batch(found):
    assert found[1]["used"] == {"24": 1, "100": 1, "7": 1}
    assert found[3]["used"] == {"24": 3, "100": 2, "7": 1}


def test_cores_read_the_data_where_it_lies(found):
    assert found[3]["copies"] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_compiled_once(found, kind):
    assert found[1]["trained"][kind]["compiled"] == found[3]["trained"][kind]["compiled"] == 1
