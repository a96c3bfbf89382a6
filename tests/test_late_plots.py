"""Figures of bonds, grains, trajectories and time."""

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from PIL import Image

from rvaejax import plotting
from rvaejax.analysis.changes import change_points
from rvaejax.analysis.dynamics import Clock
from rvaejax.analysis.grains import movie_grains
from rvaejax.analysis.markov import transitions
from rvaejax.analysis.sites import movie_sites
from rvaejax.analysis.trajectories import steps
from rvaejax.analysis.traversal import Traversal
from rvaejax.atoms.tracking import track_atoms
from rvaejax.plotting.structure import RING_COLOURS
from rvaejax.simulate.sheet import honeycomb
from rvaejax.types import Atoms

PX, SIZE = 0.016, (110, 110)


@pytest.fixture(scope="module")
def atoms():
    """Three frames of a small sheet; in the last one the Si has changed places with a neighbour."""
    xy = np.asarray(honeycomb(jnp.float32(0.1), jnp.zeros(2), jnp.full(2, 0.88), 1.5), np.float64)
    xy = xy[((xy > 0.05) & (xy < 1.7)).all(1)]
    near = np.argsort(np.hypot(*(xy - 0.88).T))
    species = np.full((3, len(xy)), "C", "U2")
    species[:2, near[0]] = species[2, near[1]] = "Si"
    x, y = np.tile(xy, (3, 1)).T / PX
    one = np.ones(len(x))
    return Atoms(np.repeat([0, 1, 2], len(xy)), x, y, species.ravel(), one, 0 * one, PX)


def figures(atoms):
    sites, tracks = movie_sites(atoms, SIZE), track_atoms(atoms)
    grains = movie_grains(atoms, sites.sites.orientation, sites.pairs)
    t = np.arange(30.0)
    curves = {"order": np.where(t < 12, 1.0, 0.4) + 0.01 * np.sin(7 * t), "atoms": np.full(30, np.nan)}
    changes = {"order": change_points(curves["order"][:, None])}
    images = np.random.default_rng(0).random((3, 4, 8, 8, 1))
    drawn = Traversal(images, np.zeros((3, 4, 2)), np.arange(4), (0.1, 0.5, 0.9))
    table = transitions(sites.sites.coordination, steps(atoms, tracks))
    return {
        "rings": plotting.ring_map(atoms, sites.pairs, [0, 2], SIZE),
        "grains": plotting.grain_map(atoms, grains, [0], SIZE),
        "paths": plotting.trajectories(np.random.default_rng(1).random(SIZE), atoms, tracks),
        "transitions": plotting.transition_matrix(table, "bonds"),
        "order": plotting.order_over_time(curves, changes, Clock(1e6 * t, "dose [e/nm²]")),
        "traversal": plotting.traversal(drawn, "content latent 1"),
        "physics": plotting.heat_map(np.array([[0.3, np.nan]]), ["a"], ["b", "c"], "correlation"),
    }


def test_every_figure_is_drawn_and_saved(atoms, tmp_path):
    for name, figure in figures(atoms).items():
        plotting.save_figure(figure, tmp_path / f"{name}.png", dpi=60)
        with Image.open(tmp_path / f"{name}.png") as image:
            assert min(image.size) > 80 and np.asarray(image.convert("L")).std() > 1


def test_what_is_drawn_is_what_was_found(atoms):
    drawn = figures(atoms)
    rings = [c for c in drawn["rings"].axes[0].collections if isinstance(c, PolyCollection)][0]
    colours = {tuple(np.round(255 * np.array(c[:3])).astype(int)) for c in rings.get_facecolors()}
    hexagon = tuple(int(RING_COLOURS[6][i : i + 2], 16) for i in (1, 3, 5))
    assert colours == {hexagon} and len(rings.get_paths()) > 20
    lattice, dopant = [c for c in drawn["paths"].axes[0].collections if isinstance(c, LineCollection)]
    assert len(dopant.get_segments()) == 2  # the Si: it stays, then hops
    hop = np.diff(dopant.get_segments()[1], axis=0)[0]
    assert np.hypot(*hop) * PX == pytest.approx(0.142, abs=0.001)
    assert len(lattice.get_segments()) == 1  # the carbon that gave way
    changes = [line for line in drawn["order"].axes[0].lines if line.get_linestyle() == "--"]
    assert len(changes) == 1 and changes[0].get_xdata()[0] == pytest.approx(11.5e6)
