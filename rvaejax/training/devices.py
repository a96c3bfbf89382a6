"""A batch divided among this process's devices: GPUs, or the cores of a processor (`cores.py`).

Arrays are one array to the program, wherever their parts lie: what is computed of a divided batch is the same, but for
the order of its sums, on any number of devices (Xu et al. 2021, arXiv:2105.04663).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

_AXIS = "examples"
_ALIGNED = 128  # bytes; at such addresses JAX's CPU devices read an array where it lies
# Cores that wait for each other longer than this are taken for stuck, and the process is ended: a machine that slept,
# or a process that was halted, is not [s].
_PATIENT = {
    "xla_cpu_collective_call_warn_stuck_seconds": 1_000_000,
    "xla_cpu_collective_call_terminate_timeout_seconds": 1_000_000,
}


@functools.lru_cache(maxsize=32)
def mesh(batch: int) -> Mesh | None:
    """The devices that a batch of so many examples is divided among: as many as divide it evenly; None for one."""
    devices = jax.local_devices()
    count = max(n for n in range(1, len(devices) + 1) if batch % n == 0)
    return None if count == 1 else Mesh(np.array(devices[:count]), (_AXIS,))


def parts(devices: Mesh | None) -> int:
    """Into how many parts a batch is divided."""
    return 1 if devices is None else int(devices.size)


def _are_cores(devices: Mesh) -> bool:
    return bool(devices.devices.flat[0].platform == "cpu")


def compiled(function: Callable[..., Any], devices: Mesh | None, donated: int | None = None) -> Callable[..., Any]:
    """The function compiled, its results on every device; the argument of number `donated` is used up."""
    given = () if donated is None else (donated,)
    if devices is None:
        return jax.jit(function, donate_argnums=given)
    where, options = NamedSharding(devices, PartitionSpec()), dict(_PATIENT) if _are_cores(devices) else None
    return jax.jit(function, donate_argnums=given, out_shardings=where, compiler_options=options)


def divided(tree: PyTree, devices: Mesh | None, axis: int = 0) -> PyTree:
    """The same arrays, in a compiled program or outside, divided along an axis whose length the devices divide."""
    if devices is None:
        return tree
    where = NamedSharding(devices, PartitionSpec(*[None] * axis, _AXIS))
    return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, where), tree)


def mapped(
    function: Callable[..., PyTree], examples: PyTree, devices: Mesh | None, at_once: int | None = None
) -> PyTree:
    """`jax.lax.map(function, examples, batch_size=at_once)`, in a compiled program: each device maps its own part.

    Args:
        function: of one example.
        examples: arrays with the examples along their first axis, which the devices divide.
        devices: that share the examples; None for one.
        at_once: examples that a device takes at a time; None for one after the other.
    """
    count = parts(devices)
    cut = jax.tree.map(lambda v: v.reshape(count, -1, *v.shape[1:]), examples)
    found = jax.vmap(lambda part: jax.lax.map(function, part, batch_size=at_once))(divided(cut, devices))
    return jax.tree.map(lambda v: v.reshape(-1, *v.shape[2:]), found)


def everywhere(tree: PyTree, devices: Mesh | None) -> PyTree:
    """Arrays as every device has them; cores read NumPy's where they lie, which must not be written to any more."""
    if devices is None:
        return jax.device_put(tree)
    if _are_cores(devices):
        tree = jax.tree.map(_in_place, tree)
    return jax.device_put(tree, NamedSharding(devices, PartitionSpec()))


def gathered(tree: PyTree, devices: Mesh | None) -> PyTree:
    """Arrays that all devices have, as the first one's alone."""
    return tree if devices is None else jax.device_put(tree, devices.devices.flat[0])


def _in_place(x: Any) -> Any:
    """An array at an address where it need not be copied once more for each core."""
    if not isinstance(x, np.ndarray) or not x.nbytes or x.ctypes.data % _ALIGNED == 0:
        return x
    room = np.empty(x.nbytes + _ALIGNED, np.uint8)
    start = -room.ctypes.data % _ALIGNED
    out = room[start : start + x.nbytes].view(x.dtype).reshape(x.shape)
    out[...] = x
    return out
