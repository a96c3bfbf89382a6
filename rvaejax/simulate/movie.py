"""A movie of a graphene sheet under the beam, with its truth: holes grow, 5-7 chains form, Si goes to the edges."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from rvaejax.errors import ConfigError
from rvaejax.progress import progress
from rvaejax.simulate.config import SPECIES, MovieConfig
from rvaejax.simulate.dataset import expose
from rvaejax.simulate.degrade import amorphous, smooth_field
from rvaejax.simulate.dynamics.events import Event
from rvaejax.simulate.dynamics.kmc import under_beam
from rvaejax.simulate.dynamics.network import Network
from rvaejax.simulate.dynamics.specimen import drill, free_carbon, grains, heal, host_generator, place_silicon
from rvaejax.simulate.imaging import Probe, render
from rvaejax.simulate.sheet import Sheet
from rvaejax.simulate.truth import Truth, frame_truth, join_truth
from rvaejax.types import Movie

HIDDEN_ABOVE = 0.3  # share of the contamination's full brightness beyond which atoms are not in the truth
HOLE_EVERY_NM2 = 16.0
SI_PER_NM2 = 0.3
SI_AT_EDGES = 20.0  # how much more an edge draws Si in the first frame


@dataclass(frozen=True, eq=False)
class SimulatedMovie:
    """A movie and its truth."""

    movie: Movie
    truth: Truth


def first_sheet(config: MovieConfig, rng: np.random.Generator, *, key: PRNGKeyArray) -> Network:
    """The specimen of the first frame: two grains with a healed boundary, holes spread over the field, Si.

    Raises:
        ConfigError: there are fewer atoms than Si to place.
    """
    field = config.field_nm
    net = grains(field, config.grain_angles, boundary=True, key=key)
    holes = max(1, round(field**2 / HOLE_EVERY_NM2)) if config.holes is None else config.holes
    side = int(np.ceil(np.sqrt(holes)))
    cells = rng.permutation(side**2)[:holes]
    for cell in cells:
        centre = field / side * (np.array([cell % side, cell // side]) + 0.5 + rng.normal(0, 0.1, 2))
        radius = min(config.hole_radius_nm, 0.2 * field) * rng.uniform(0.85, 1.15)
        drill(net, centre, radius, 0.1 * rng.normal(size=(3, 2)))
    si_atoms = round(SI_PER_NM2 * field**2) if config.si_atoms is None else config.si_atoms
    if np.count_nonzero(free_carbon(net, field)) < si_atoms:
        raise ConfigError(
            f"a field of {field:.3g} nm has no room for {si_atoms} Si atoms beside its holes; take a larger one"
        )
    heal(net, config.dynamics, rng)
    place_silicon(net, si_atoms, field, rng, at_edges=SI_AT_EDGES)
    return net


def _corner(config: MovieConfig, *, key: PRNGKeyArray) -> Float[Array, "h w"]:
    """Contamination's cover (0 to 1) of the lower right corner."""
    n = config.size_px
    y, x = jnp.meshgrid(jnp.arange(n), jnp.arange(n), indexing="ij")
    distance = jnp.hypot(x - n, y - n) / n + 0.05 * smooth_field((n, n), n / 12, key=key)
    return jax.nn.sigmoid((0.22 - distance) / 0.015) * float(config.contamination)


def simulate_dynamics(
    config: MovieConfig, *, key: PRNGKeyArray, record: list[Event] | None = None
) -> Iterator[Network]:
    """The sheet in every frame, without pictures.

    It is one object that changes: take from each what is needed before the next. What happened is appended to `record`.
    """
    k_sheet, k_host = jax.random.split(key)
    rng = host_generator(key=k_host)
    net = first_sheet(config, rng, key=k_sheet)
    return under_beam(net, config.dynamics, (config.frames - 1) * [config.dynamics.dose], rng, record)


def simulate_movie(config: MovieConfig, *, key: PRNGKeyArray) -> SimulatedMovie:
    """Frames and truth of a sheet under the beam (`dynamics`): two grains, growing holes, 5-7 chains, Si atoms.

    Args:
        config: size, specimen, dose.
        key: the one source of randomness.

    Returns:
        The movie (float32 frames in units of a C atom's peak) and, per atom and frame, its truth. Atoms under the
        contamination are not in the truth.

    Raises:
        ConfigError: the field has no room for so many Si.
    """
    k_specimen, k_corner, k_dirt, k_image = jax.random.split(key, 4)
    size, px = config.size_px, config.pixel_size_nm
    imaging = dataclasses.replace(config.imaging, counts=(config.counts, config.counts))
    cover = _corner(config, key=k_corner)
    dirt = amorphous(cover, px, 6.0, key=k_dirt)
    probe = Probe(jnp.asarray(imaging.core_nm[0]), jnp.asarray(imaging.tail_nm[0]), jnp.asarray(imaging.tail_weight[0]))

    @jax.jit
    def picture(sheet: Sheet, key: PRNGKeyArray) -> Array:
        clean = render(sheet, probe, size_px=size, pixel_size_nm=px, z_exponent=imaging.z_exponent[0])
        return expose(clean, imaging, key=key, extra=dirt)

    frames, truths = [], []
    sheets = simulate_dynamics(config, key=k_specimen)
    for t in progress(range(config.frames), desc="simulating"):
        net = next(sheets)
        sheet = Sheet(jnp.asarray(net.xy, jnp.float32), jnp.asarray(net.species), jnp.asarray(net.alive))
        frames.append(np.asarray(picture(sheet, jax.random.fold_in(k_image, t))))
        truths.append(_truth(net, t, config, np.asarray(cover) >= HIDDEN_ABOVE))
    metadata = {"simulated": "kinetic Monte Carlo of graphene with Si under the beam"}
    dose = np.full(config.frames, config.dynamics.dose)
    movie = Movie(np.stack(frames), px, "file", dose=dose, name="simulated", metadata=metadata)
    return SimulatedMovie(movie, join_truth(truths))


def _truth(net: Network, t: int, config: MovieConfig, hidden: np.ndarray) -> Truth:
    rows = np.flatnonzero(net.alive)
    species = np.asarray(SPECIES)[net.species[rows]]
    return frame_truth(t, rows, net.xy[rows], species, config.size_px, config.pixel_size_nm, hidden, net.pairs())
