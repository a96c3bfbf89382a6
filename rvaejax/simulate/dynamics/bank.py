"""Disordered sheets for training: windows of sheets that the beam has changed, at every stage of damage."""

from __future__ import annotations

import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from rvaejax.errors import ConfigError
from rvaejax.simulate.dynamics.config import DynamicsConfig
from rvaejax.simulate.dynamics.kmc import under_beam
from rvaejax.simulate.dynamics.network import Network
from rvaejax.simulate.dynamics.specimen import EXTRA_NM, RIM_NM, drill, grains, heal, host_generator, place_silicon
from rvaejax.simulate.sheet import MARGIN_NM, Sheet, capacity

WIDER = 2.2  # side of a simulated sheet over that of the windows
HOLE_RADII = (0.03, 0.13)  # over the side of the simulated sheet
STAGES = 8  # windows are taken before the beam and after so many further doses
STAGE_FRAMES = (1.0, 5.0)  # dose of a stage, in frames of the config's dose, drawn for each sheet
WINDOWS = 10  # of each stage
LEAST_LEFT = 0.6  # of a sheet's atoms; with fewer left it makes way for a new one
LEAST_ATOMS = 0.25  # of those that fit into a window; emptier ones are drawn again
TRIES = 20
SMALLEST_NM, LARGEST_NM = 1.0, 8.0


def sheet_bank(n: int, field_nm: float, *, key: PRNGKeyArray, config: DynamicsConfig | None = None) -> Sheet:
    """`n` sheets with the disorder that the beam makes: 5-7 chains, vacancies, ragged holes, boundaries, Si at edges.

    Each is a window, at a random place and angle, of a larger sheet on which the kinetic Monte Carlo runs: one or two
    grains of random misorientation, up to four holes, 0 to 0.8 Si per nm². Its atoms are ready for `render` and
    `label_maps`; positions follow `Sheet`: the field is the square from 0 to `field_nm`, atoms reach a margin beyond.

    Args:
        n: number of sheets.
        field_nm: side of their field.
        key: the one source of randomness.
        config: rates of the dynamics.

    Returns:
        A `Sheet` whose arrays have a leading axis of `n` and `capacity(field_nm)` rows, the unused ones masked.

    Raises:
        ConfigError: `n` or `field_nm` makes no sense.
    """
    if n < 1 or not SMALLEST_NM <= field_nm <= LARGEST_NM:
        raise ConfigError(
            f"a bank needs at least 1 sheet of {SMALLEST_NM:g} to {LARGEST_NM:g} nm, got {n} of {field_nm} nm"
        )
    rows = capacity(field_nm)
    taken: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    run = 0
    while len(taken) < n:
        k_host, k_sheet = jax.random.split(jax.random.fold_in(key, run))
        rng, run = host_generator(key=k_host), run + 1
        for net in _stages(field_nm * WIDER, config or DynamicsConfig(), rng, key=k_sheet):
            taken += [_window(net, field_nm, rows, rng) for _ in range(min(WINDOWS, n - len(taken)))]
            if len(taken) == n or net.alive.mean() < LEAST_LEFT:
                break
    xy, species, mask = (np.stack(part) for part in zip(*taken, strict=True))
    return Sheet(jnp.asarray(xy), jnp.asarray(species), jnp.asarray(mask))


def _stages(side: float, config: DynamicsConfig, rng: np.random.Generator, *, key: PRNGKeyArray) -> Iterator[Network]:
    """One sheet, again and again, each time with more damage."""
    turn = rng.uniform(0, 2 * math.pi / 3)
    angles = (turn, turn + rng.uniform(0.05, math.pi / 3 - 0.05))
    net = grains(side, angles, boundary=bool(rng.random() < 0.6), key=key)
    for _ in range(rng.integers(0, 5)):
        drill(net, rng.uniform(0, side, 2), side * rng.uniform(*HOLE_RADII), 0.12 * rng.normal(size=(3, 2)))
    heal(net, config, rng)
    place_silicon(net, round(rng.uniform(0, 0.8) * side**2), side, rng, at_edges=10.0)
    dose = config.dose * rng.uniform(*STAGE_FRAMES)
    yield from under_beam(net, config, (STAGES - 1) * [dose], rng)


def _window(
    net: Network, field_nm: float, rows: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The atoms of a square of `field_nm` at a random place and angle, and a margin around it."""
    half = field_nm / 2 + MARGIN_NM
    for _ in range(TRIES):
        xy = _turned(net.xy, field_nm, rng)
        reach = np.where(net.alive, np.abs(xy).max(1), np.inf)
        inside = np.flatnonzero(reach < half)
        if len(inside) > LEAST_ATOMS * rows:
            break
    inside = inside[np.argsort(reach[inside], kind="stable")[:rows]]
    out = np.zeros((rows, 2), np.float32), np.zeros(rows, np.int32), np.zeros(rows, bool)
    out[0][: len(inside)] = xy[inside] + field_nm / 2
    out[1][: len(inside)], out[2][: len(inside)] = net.species[inside], True
    return out


def _turned(xy: np.ndarray, field_nm: float, rng: np.random.Generator) -> np.ndarray:
    """Positions from a random point, turned by a random angle and mirrored or not; the window stays on the sheet."""
    middle = field_nm * WIDER / 2
    corner = (field_nm / 2 + MARGIN_NM) * math.sqrt(2)
    free = max(0.0, middle + EXTRA_NM + MARGIN_NM - RIM_NM - corner)
    phi = rng.uniform(0, 2 * math.pi)
    turn = np.array([[math.cos(phi), -math.sin(phi)], [math.sin(phi), math.cos(phi)]])
    turn[:, 1] *= rng.choice([-1, 1])  # a mirror image is as good a sheet
    return (xy - middle - rng.uniform(-free, free, 2)) @ turn
