"""Geometry of the specimen, against brute force on the positions."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import cKDTree

from rvaejax.simulate.config import BOND_NM, LATTICE_NM, SheetConfig
from rvaejax.simulate.imaging import Probe, render
from rvaejax.simulate.relaxation import relax
from rvaejax.simulate.sheet import (
    MARGIN_NM,
    TOO_CLOSE_NM,
    Sheet,
    capacity,
    coordination,
    graphene_sheet,
    hole_depth,
    honeycomb,
    remove_overlaps,
    rotate_bonds,
    two_grains,
)
from rvaejax.structure.sites import describe_sites

ATOMS_PER_NM2 = 4 / (np.sqrt(3) * LATTICE_NM**2)
ORIGIN = jnp.zeros(2)
QUICK = {"xla_backend_optimization_level": 0}  # compiled in half the time


@pytest.fixture(scope="module")
def patch():
    """A round flake about the middle of a bond: atoms 0 and 1 are that bond's."""
    sites = np.asarray(honeycomb(jnp.float32(0.3), ORIGIN, ORIGIN, 1.5), np.float64)
    first = sites[np.argmin(np.hypot(*sites.T))]
    second = sites[np.argsort(np.hypot(*(sites - first).T))[1]]
    middle = (first + second) / 2
    sites = sites[np.hypot(*(sites - middle).T) < 1.05]
    return sites[np.argsort(np.hypot(*(sites - middle).T))].astype(np.float32)


def _rings(xy, longest=0.2):
    """Sizes of the faces of the planar bond graph, the outer one left out."""
    near = cKDTree(xy).query_ball_point(xy, longest)
    around = {}
    for i, js in enumerate(near):
        js = [j for j in js if j != i]
        around[i] = sorted(js, key=lambda j: np.arctan2(*(xy[j] - xy[i])[::-1]))
    todo = {(i, j) for i, js in around.items() for j in js}
    sizes = []
    while todo:
        edge = start = min(todo)
        face = []
        while not face or edge != start:
            todo.discard(edge)
            face.append(edge[0])
            i, j = edge
            turn = around[j]
            edge = (j, turn[turn.index(i) - 1])  # the next bond, clockwise
        sizes.append(len(face))
    return sorted(sizes)[:-1]


@pytest.mark.parametrize("angle", [0.0, 0.4, 2.0])
def test_every_site_has_three_neighbours_at_the_bond_length(angle):
    offset = jnp.array([0.05, -0.11])
    sites = np.asarray(honeycomb(jnp.float32(angle), offset, jnp.array([1.0, 1.0]), 1.2))
    inner = sites[np.hypot(*(sites - 1.0).T) < 0.9]
    distance = cKDTree(sites).query(inner, 10)[0]
    assert np.allclose(distance[:, 1:4], BOND_NM, rtol=5e-4)  # 0.142 nm is 0.246 nm / sqrt 3, rounded
    assert np.allclose(distance[:, 4:10], LATTICE_NM, rtol=5e-4)
    assert len(inner) / (np.pi * 0.9**2) == pytest.approx(ATOMS_PER_NM2, rel=0.05)


def test_an_angle_turns_the_lattice_counter_clockwise_as_displayed():
    """With y down, x - iy is the complex plane as the image shows it: the turn is a factor exp(i angle)."""
    start, turned = (np.asarray(honeycomb(jnp.float32(a), ORIGIN, ORIGIN, 1.0)) for a in (0.0, 0.35))
    start, turned = start[:, 0] - 1j * start[:, 1], turned[:, 0] - 1j * turned[:, 1]
    expected = start[abs(start) < 0.8] * np.exp(0.35j)
    assert abs(expected[:, None] - turned[None]).min(1).max() < 1e-5
    wrong = start[abs(start) < 0.8] * np.exp(-0.35j)
    assert abs(wrong[:, None] - turned[None]).min(1).max() > 0.05


def test_a_quarter_turn_of_the_lattice_is_a_quarter_turn_of_the_image():
    size, px = 65, 0.02
    centre = jnp.full(2, (size - 1) / 2 * px)

    def image(angle):
        xy = honeycomb(jnp.float32(angle), jnp.array([0.03, 0.07]), centre, 1.2)
        sheet = Sheet(xy, jnp.zeros(len(xy), int), jnp.ones(len(xy), bool))
        probe = Probe(jnp.float32(0.04), jnp.float32(0.1), jnp.float32(0.0))
        return np.asarray(render(sheet, probe, size_px=size, pixel_size_nm=px))

    turned = image(np.pi / 2)
    assert np.allclose(turned, np.rot90(image(0.0)), atol=1e-4)  # rot90 is counter-clockwise as displayed
    assert abs(turned - np.rot90(image(0.0), -1)).max() > 0.1


@pytest.fixture(scope="module")
def grains():
    return jax.jit(partial(two_grains, field_nm=4.0, rows=capacity(4.0)))


@pytest.mark.parametrize("seed", [0, 1])
def test_a_grain_boundary_parts_two_orientations(grains, seed):
    angles = jnp.array([0.12, 0.42])
    xy, mask = grains(key=jax.random.key(seed), angles=angles, boundary=True)
    mask = remove_overlaps(xy, mask)
    xy = np.asarray(xy)[np.asarray(mask)]
    sites = describe_sites(xy, np.full(len(xy), "C"))
    orientation, kind = sites.orientation, sites.kind
    bulk, xy = orientation[kind == "bulk"], xy[kind == "bulk"]
    # modulo 60 degrees both sublattices agree; at angle 0 a bond points down, 30 degrees in that period
    local = np.angle(np.exp(6j * (bulk - np.pi / 6))) / 6
    first = abs(local - 0.12) < abs(local - 0.42)
    exact = abs(local - np.where(first, 0.12, 0.42)) < 1e-3
    assert exact.mean() > 0.95  # a few sites have a neighbour across the boundary
    assert 0.1 < first.mean() < 0.9
    near = cKDTree(xy).query(xy, 4)[1][:, 1:]
    assert (first[near] == first[:, None]).mean() > 0.9  # each on its own side


def test_without_a_boundary_there_is_one_grain_that_fills_the_field(grains):
    xy, mask = grains(key=jax.random.key(3), angles=jnp.array([0.5, 1.0]), boundary=False)
    kept = np.asarray(xy)[np.asarray(mask)]
    sites = describe_sites(kept, np.full(len(kept), "C"))
    n, orientation, kind = sites.coordination, sites.orientation, sites.kind
    local = np.angle(np.exp(6j * (orientation[kind == "bulk"] - np.pi / 6 - 0.5))) / 6
    assert abs(local).max() < 1e-3
    inside = ((kept >= 0) & (kept <= 4.0)).all(1)
    assert inside.sum() == pytest.approx(ATOMS_PER_NM2 * 16, rel=0.03)
    assert (n[inside] == 3).all() and kind.tolist().count("bulk") >= inside.sum()
    assert np.abs(kept - 2).max() <= 2 + MARGIN_NM + 1e-5


@pytest.mark.parametrize("field", [0.5, 1.0, 2.56, 4.1])
def test_the_rows_suffice_for_the_lattice_and_its_margin(field):
    assert capacity(field) % 64 == 0
    assert capacity(field) > ATOMS_PER_NM2 * (field + 2 * MARGIN_NM) ** 2


def test_overlaps_are_removed_and_nothing_else():
    xy = np.random.default_rng(0).uniform(0, 2, (150, 2)).astype(np.float32)
    mask = np.random.default_rng(1).random(150) < 0.9
    kept = np.asarray(remove_overlaps(jnp.asarray(xy), jnp.asarray(mask)))
    distance = np.hypot(*(xy[:, None] - xy[None]).transpose(2, 0, 1))
    for i in range(150):
        crowded = any(distance[i, j] < TOO_CLOSE_NM and mask[j] for j in range(i))
        assert kept[i] == (mask[i] and not crowded)


def test_coordination_counts_neighbours_that_exist():
    xy = np.random.default_rng(2).uniform(0, 1.5, (90, 2)).astype(np.float32)
    mask = np.random.default_rng(3).random(90) < 0.7
    counted = np.asarray(coordination(jnp.asarray(xy), jnp.asarray(mask)))
    tree = cKDTree(xy[mask])
    expected = np.array([len(tree.query_ball_point(p, 0.2)) - mask[i] for i, p in enumerate(xy)])
    assert (counted == expected).all()


def test_a_round_hole_has_its_radius_and_a_wobbling_one_its_rim():
    phi = np.linspace(0, 2 * np.pi, 50, endpoint=False)
    wobble = 0.1 * np.random.default_rng(4).standard_normal((3, 2))
    rim = 1 + sum(a * np.cos(k * phi) + b * np.sin(k * phi) for k, (a, b) in enumerate(wobble, 2))
    around = np.column_stack([np.cos(phi), np.sin(phi)])
    centre = np.array([0.3, 0.7])
    depth = partial(hole_depth, centre=jnp.asarray(centre, jnp.float32))
    round_ = depth(jnp.asarray(centre + 0.6 * around, jnp.float32), wobble=jnp.zeros((3, 2)))
    assert np.allclose(round_, 0.6, atol=1e-5)
    on_rim = jnp.asarray(centre + 0.45 * rim[:, None] * around, jnp.float32)
    assert np.allclose(depth(on_rim, wobble=jnp.asarray(wobble, jnp.float32)), 0.45, atol=1e-5)


def test_a_turned_bond_is_a_stone_wales_defect(patch):
    """Every atom keeps three bonds, and four hexagons become two pentagons and two heptagons."""
    mask = jnp.ones(len(patch), bool)
    whole = _rings(patch.astype(np.float64))
    turn = jax.jit(rotate_bonds)(jnp.asarray(patch), mask, jnp.array([0]), jnp.array([True]))
    assert np.allclose(np.asarray(turn).mean(0), patch.mean(0), atol=1e-6)
    before, after = patch[1] - patch[0], np.asarray(turn)[1] - np.asarray(turn)[0]
    assert abs(before @ after) < 1e-6 and np.hypot(*after) == pytest.approx(BOND_NM, abs=1e-5)
    relaxed = np.asarray(jax.jit(partial(relax, steps=150))(turn, jnp.full(len(patch), BOND_NM / 2), mask), np.float64)
    inner = np.hypot(*relaxed.T) < 0.8
    near = cKDTree(relaxed).query_ball_point(relaxed[inner], 0.185)
    assert {len(js) - 1 for js in near} == {3}
    rings = _rings(relaxed, 0.185)
    assert len(rings) == len(whole) and set(whole) == {6}
    assert [rings.count(n) for n in (5, 6, 7)] == [2, len(whole) - 4, 2]


def test_no_bond_is_turned_where_it_is_not_asked_for(patch):
    same = rotate_bonds(jnp.asarray(patch), jnp.ones(len(patch), bool), jnp.array([0, 5]), jnp.array([False, False]))
    assert np.allclose(same, patch, atol=1e-6)


def test_random_sheets_keep_their_fractions():
    """Vacancies and Si come in the shares that were asked for, and an empty sheet holds nothing."""
    config = SheetConfig(
        field_nm=2.0, max_holes=0, boundary_probability=0.0, max_bond_rotations=0, relaxation_steps=2,
        vacancy_fraction=(0.1, 0.1), si_fraction=(0.02, 0.02), empty_probability=0.0, scale_jitter=0.0, strain=0.0,
    )  # fmt: skip
    draw = jax.jit(jax.vmap(lambda key: graphene_sheet(config, key=key)), compiler_options=QUICK)
    sheets = draw(jax.random.split(jax.random.key(0), 64))
    atoms = np.asarray(sheets.mask.sum(1)) / (ATOMS_PER_NM2 * (2.0 + 2 * MARGIN_NM) ** 2)
    full = atoms > 0.97  # half of the sheets have no vacancies
    assert 0.3 < full.mean() < 0.7
    assert np.median(atoms[~full]) == pytest.approx(0.9, abs=0.02)
    inner = np.asarray(sheets.mask & (jnp.abs(sheets.xy - 1.0).max(-1) < 1.0))[full]
    assert np.asarray(sheets.species)[full][inner].mean() == pytest.approx(0.02, abs=0.005)
    assert np.isfinite(np.asarray(sheets.xy)).all()
