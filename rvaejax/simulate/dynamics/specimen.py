"""The sheet before the beam: two grains with a healed boundary, seeded holes, Si."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, PRNGKeyArray
from scipy.spatial import cKDTree

from rvaejax.simulate.dynamics.config import DynamicsConfig
from rvaejax.simulate.dynamics.events import CARBON, SILICON, cross_sections
from rvaejax.simulate.dynamics.kmc import drop_fragments, evolve, relax_network, schedule
from rvaejax.simulate.dynamics.network import Network, network, remove_atom
from rvaejax.simulate.sheet import MARGIN_NM, capacity, hole_depth, two_grains

EXTRA_NM = 0.35  # beyond the margin that a sheet has anyway, so that the rim is well outside
RIM_NM = 0.2  # width of the rim that is held
CROWDED_NM = 0.115  # of two atoms of two grains nearer than this, one goes
HEALING_DOSE = 2e8  # electrons/nm² that let the boundary heal before the movie; three frames of the published one


def grains(field_nm: float, angles: tuple[float, float], *, boundary: bool, key: PRNGKeyArray) -> Network:
    """A sheet of one or two grains over the square from 0 to `field_nm`, and a margin; the boundary is not healed.

    Args:
        field_nm: side of the field.
        angles: turn of each grain [rad].
        boundary: whether there is a second grain.
        key: the one source of randomness.
    """
    side = field_nm + 2 * EXTRA_NM
    sites, there = two_grains(
        key=key, angles=jnp.asarray(angles), field_nm=side, boundary=boundary, rows=capacity(side)
    )
    xy = np.asarray(sites, np.float64)[np.asarray(there)] - EXTRA_NM
    crowded = cKDTree(xy).query_pairs(CROWDED_NM, output_type="ndarray").max(1, initial=-1)
    xy = np.delete(xy, crowded[crowded >= 0], axis=0)
    out = np.abs(xy - field_nm / 2).max(1) - field_nm / 2
    return network(xy, np.zeros(len(xy), int), out > EXTRA_NM + MARGIN_NM - RIM_NM)


def heal(net: Network, config: DynamicsConfig, rng: np.random.Generator) -> None:
    """Lets bonds rearrange without loss of atoms, in place: dangling bonds of a grain boundary close."""
    _trim(net)
    relax_network(net, steps=120)
    kept = cross_sections(config)._replace(
        bulk=0.0, defect=0.0, edge=0.0, beside_silicon=0.0, silicon=0.0, exchange=0.0
    )
    evolve(net, schedule(net, kept), kept, config, HEALING_DOSE, rng)
    relax_network(net, steps=120)


def drill(net: Network, centre: Float[np.ndarray, " 2"], radius_nm: float, wobble: Float[np.ndarray, "k 2"]) -> None:
    """Makes a hole with a wobbling rim, in place; dangling atoms go too."""
    depth = np.asarray(hole_depth(jnp.asarray(net.xy), jnp.asarray(centre), jnp.asarray(wobble)))
    for i in np.flatnonzero((depth < radius_nm) & net.alive & ~net.fixed).tolist():
        remove_atom(net, i)
    _trim(net)


def free_carbon(net: Network, field_nm: float) -> Bool[np.ndarray, " n"]:
    """C atoms well inside the field, which Si may take the place of."""
    inside = (np.abs(net.xy - field_nm / 2) < field_nm / 2 - 0.3).all(1)
    return inside & net.alive & ~net.fixed & (net.species == CARBON)


def place_silicon(net: Network, count: int, field_nm: float, rng: np.random.Generator, *, at_edges: float) -> None:
    """Turns C atoms of the field into Si, in place, as far as there are any; edges draw them `at_edges` as much."""
    bonds = np.array([len(row) for row in net.neighbours])
    weight = np.where(free_carbon(net, field_nm), np.where(bonds < 3, at_edges, 1.0), 0.0)
    count = min(count, int(np.count_nonzero(weight)))
    if count:
        net.species[rng.choice(len(weight), count, replace=False, p=weight / weight.sum())] = SILICON


def _trim(net: Network) -> None:
    """Dangling atoms and loose pieces go."""
    while True:
        loose = [i for i in np.flatnonzero(net.alive & ~net.fixed).tolist() if len(net.neighbours[i]) < 2]
        if not loose:
            break
        for i in loose:
            remove_atom(net, i)
    drop_fragments(net)


def host_generator(*, key: PRNGKeyArray) -> np.random.Generator:
    """A generator for the host that follows from a JAX key."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))
