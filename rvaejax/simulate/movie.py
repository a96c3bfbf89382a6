"""A short movie of a graphene sheet under the beam, with its truth: holes grow, vacancies gather, Si drifts."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from rvaejax.errors import ConfigError
from rvaejax.progress import progress
from rvaejax.simulate.config import COVALENT_RADIUS_NM, SPECIES, MovieConfig
from rvaejax.simulate.dataset import expose
from rvaejax.simulate.degrade import amorphous, smooth_field
from rvaejax.simulate.imaging import Probe, render
from rvaejax.simulate.relaxation import relax
from rvaejax.simulate.sheet import (
    Sheet,
    capacity,
    coordination,
    hole_depth,
    remove_overlaps,
    rotate_bonds,
    two_grains,
)
from rvaejax.simulate.truth import Truth, frame_truth, join_truth
from rvaejax.types import Movie

HIDDEN_ABOVE = 0.3  # share of the contamination's full brightness beyond which atoms are not in the truth
HOP_PROBABILITY = 0.5  # of each Si, per frame
RELAXATION_STEPS = 80


@dataclass(frozen=True, eq=False)
class SimulatedMovie:
    """A movie and its truth."""

    movie: Movie
    truth: Truth


class _Holes(NamedTuple):
    centre: Float[np.ndarray, "k 2"]
    wobble: Float[np.ndarray, "k 3 2"]


def _drill(config: MovieConfig, xy: np.ndarray, holes: _Holes, frame: int) -> np.ndarray:
    """Which atoms the holes have not reached in this frame."""
    radius = config.hole_radius_nm + config.hole_growth_nm * frame
    depth = [
        np.asarray(hole_depth(jnp.asarray(xy), jnp.asarray(c), jnp.asarray(w))) for c, w in zip(*holes, strict=True)
    ]
    return np.min(depth, axis=0) > radius


def _hop(sheet: Sheet, rng: np.random.Generator) -> Sheet:
    """Si atoms change places with a neighbour, and one that lost its place moves to the nearest atom at an edge."""
    xy, species, mask = (np.array(part) for part in sheet)
    for i in np.flatnonzero(species == 1):
        free = mask & (species == 0)
        distance = np.where(free, np.hypot(*(xy - xy[i]).T), np.inf)
        near = np.flatnonzero(distance < 0.2)
        if not mask[i]:
            edge = free & (np.asarray(coordination(jnp.asarray(xy), jnp.asarray(mask))) < 3)
            if not edge.any():
                continue
            target = int(np.argmin(np.where(edge, distance, np.inf)))
        elif len(near) and rng.random() < HOP_PROBABILITY:
            target = int(rng.choice(near))
        else:
            continue
        species[i], species[target] = 0, 1
    return Sheet(jnp.asarray(xy), jnp.asarray(species), jnp.asarray(mask))


def _first_sheet(config: MovieConfig, rng: np.random.Generator, *, key: PRNGKeyArray) -> tuple[Sheet, _Holes]:
    field = config.size_px * config.pixel_size_nm
    angles = jnp.asarray(config.grain_angles)
    xy, lattice = two_grains(key=key, angles=angles, field_nm=field, boundary=True, rows=capacity(field))
    mask = np.asarray(remove_overlaps(xy, lattice))
    places = field * np.array([[0.28, 0.3], [0.7, 0.66]]) + rng.normal(0, 0.02 * field, (2, 2))
    holes = _Holes(places, 0.1 * rng.normal(size=(2, 3, 2)))
    mask = mask & _drill(config, np.asarray(xy), holes, 0)
    n = np.asarray(coordination(xy, jnp.asarray(mask)))
    mask = mask & (n > 1)  # no dangling atoms in the first frame
    inner = (np.abs(np.asarray(xy) - field / 2) < field / 2 - 0.3).all(1)
    # most Si sit at the edges of the holes, some in the sheet
    weight = np.where(mask & inner, np.where(n < 3, 60.0, 1.0), 0.0)
    if np.count_nonzero(weight) < config.si_atoms:
        raise ConfigError(
            f"a field of {field:.3g} nm has no room for {config.si_atoms} Si atoms beside its holes; take a larger one"
        )
    si = rng.choice(len(mask), config.si_atoms, replace=False, p=weight / weight.sum())
    species = np.zeros(len(mask), np.int32)
    species[si] = 1
    return Sheet(xy, jnp.asarray(species), jnp.asarray(mask)), holes


def _some(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """As many of `rows` as asked for, or as there are."""
    return rng.choice(rows, min(count, len(rows)), replace=False)


def _advance(config: MovieConfig, sheet: Sheet, holes: _Holes, frame: int, rng: np.random.Generator) -> Sheet:
    xy, mask = np.asarray(sheet.xy), np.array(sheet.mask)
    field = config.size_px * config.pixel_size_nm
    mask &= _drill(config, xy, holes, frame)
    inner = mask & (np.abs(xy - field / 2) < field / 2).all(1) & (np.asarray(sheet.species) == 0)
    mask[_some(np.flatnonzero(inner), config.vacancies_per_frame, rng)] = False
    mask &= np.asarray(coordination(sheet.xy, jnp.asarray(mask))) > 0
    turned = _some(np.flatnonzero(inner & mask), config.bond_rotations_per_frame, rng)
    bent = rotate_bonds(sheet.xy, jnp.asarray(mask), jnp.asarray(turned), jnp.ones(len(turned), bool))
    return _hop(Sheet(bent, sheet.species, jnp.asarray(mask)), rng)


@jax.jit
def _relaxed(sheet: Sheet) -> Sheet:
    radius = jnp.asarray(COVALENT_RADIUS_NM)[sheet.species]
    return sheet._replace(xy=relax(sheet.xy, radius, sheet.mask, steps=RELAXATION_STEPS))


def _corner(config: MovieConfig, *, key: PRNGKeyArray) -> Float[Array, "h w"]:
    """Contamination's cover (0 to 1) of the lower right corner."""
    n = config.size_px
    y, x = jnp.meshgrid(jnp.arange(n), jnp.arange(n), indexing="ij")
    distance = jnp.hypot(x - n, y - n) / n + 0.05 * smooth_field((n, n), n / 12, key=key)
    return jax.nn.sigmoid((0.22 - distance) / 0.015) * float(config.contamination)


def simulate_movie(config: MovieConfig, *, key: PRNGKeyArray) -> SimulatedMovie:
    """Frames and truth of a sheet with two grains, two growing holes, vacancies, bond rotations and Si atoms.

    A first, simple version of the dynamics: what happens is drawn, not derived from energies.

    Args:
        config: size, specimen, dose.
        key: the one source of randomness.

    Returns:
        The movie (float32 frames in units of a C atom's peak) and, per atom and frame, its truth. Atoms under the
        contamination are not in the truth.
    """
    k_sheet, k_host, k_corner, k_dirt, k_image = jax.random.split(key, 5)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(k_host)))
    sheet, holes = _first_sheet(config, rng, key=k_sheet)
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
    for t in progress(range(config.frames), desc="simulating"):
        if t:
            sheet = _advance(config, sheet, holes, t, rng)
        sheet = _relaxed(sheet)
        frames.append(np.asarray(picture(sheet, jax.random.fold_in(k_image, t))))
        truths.append(_truth(sheet, t, config, np.asarray(cover) >= HIDDEN_ABOVE))
    metadata = {"simulated": "two grains, growing holes, vacancies, bond rotations, Si"}
    movie = Movie(np.stack(frames), px, "file", name="simulated", metadata=metadata)
    return SimulatedMovie(movie, join_truth(truths))


def _truth(sheet: Sheet, t: int, config: MovieConfig, hidden: np.ndarray) -> Truth:
    rows = np.flatnonzero(np.asarray(sheet.mask))
    species = np.asarray(SPECIES)[np.asarray(sheet.species)[rows]]
    return frame_truth(t, rows, np.asarray(sheet.xy)[rows], species, config.size_px, config.pixel_size_nm, hidden)
