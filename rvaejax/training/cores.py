"""The processor's cores, as devices that JAX can divide a batch among. Imports no JAX.

XLA runs most operations of one CPU device on one core. A device for each core runs all of them on all cores.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping

CHOSEN = "JAX_NUM_CPU_DEVICES"
MOST = 8  # devices; they meet dozens of times a step, which more of them would spend waiting for the slowest


def use_every_core(environment: MutableMapping[str, str] = os.environ) -> int | None:
    """Has JAX see a device in each core that this process may use, up to eight; trainings then divide their batches.

    To be called before the first computation. The command line does so by itself. A number that JAX_NUM_CPU_DEVICES,
    XLA_FLAGS or JAX's configuration names stays.

    Returns:
        The number of devices that this chose; None where the user chose, or JAX has begun to compute.
    """
    if CHOSEN in environment or "host_platform_device_count" in environment.get("XLA_FLAGS", ""):
        return None
    count = min(available(), MOST)
    if "jax" not in sys.modules:
        environment[CHOSEN] = str(count)
        return count
    import jax

    if jax.config.jax_num_cpu_devices >= 0:  # type: ignore[attr-defined]
        return None
    try:
        jax.config.update("jax_num_cpu_devices", count)
    except RuntimeError:  # its devices are in use
        return None
    return count


def available() -> int:
    """Cores that this process may use, by its affinity and by its container's share of the machine's time."""
    from joblib import cpu_count  # takes a moment, which a command that asks for help need not wait

    return int(cpu_count())
