"""Which atoms tell the profile, and what a background that is steep, or a frame of many atoms, does to positions."""

import jax
import numpy as np
import pytest
from scipy import ndimage

from rvaejax.atoms.patches import cut_patches, heights
from rvaejax.atoms.refine import refine_positions
from rvaejax.atoms.sample import ROOM, rims, sample_rows, telling_box, usable

PX_NM, CORE = 0.016, 0.042 / 0.016
BOND = 0.142 / PX_NM


def sheet(size, hole=0.0, angle=0.3):
    """Graphene around a round hole, in a frame and somewhat beyond it."""
    i, j = np.meshgrid(np.arange(-40, 41), np.arange(-40, 41))
    a = BOND * np.sqrt(3) * np.stack([i + j / 2, j * np.sqrt(3) / 2], -1).reshape(-1, 2)
    c, s = np.cos(angle), np.sin(angle)
    xy = np.concatenate([a, a + [0, BOND]]) @ np.array([[c, -s], [s, c]]) + size / 2
    xy = xy[((xy > -8) & (xy < size + 7)).all(1)]
    return xy[np.hypot(*(xy - size / 2).T) > hole]


def picture(xy, size):
    d = np.arange(size)[None] - xy[:, :1], np.arange(size)[None] - xy[:, 1:]
    gx, gy = (np.exp(-0.5 * (v / CORE) ** 2) for v in d)
    return gy.T @ gx


def inside(xy, size, margin=0.0):
    return ((xy >= margin) & (xy <= size - 1 - margin)).all(1)


@pytest.fixture(scope="module")
def large():
    size = 320
    xy = sheet(size, hole=40.0)
    return size, xy, picture(xy, size)


def test_the_part_that_tells_is_the_one_with_rims(large):
    size, xy, _ = large
    own = xy[inside(xy, size)]
    told = inside(own, size, 20)
    rim = rims(own, PX_NM)
    assert (np.hypot(*(own[rim & told] - size / 2).T) < 40 + 1.5 * BOND).all()
    down, across = telling_box((size, size), own, rim, told)
    part = ((own >= [across.start, down.start]) & (own < [across.stop, down.stop])).all(1)
    assert 0.6 * ROOM < part.sum() <= ROOM < len(own)
    assert (part & rim & told).sum() > 0.9 * (rim & told).sum()


def test_where_there_is_dirt_nothing_is_learned(large):
    size, xy, _ = large
    own = xy[inside(xy, size)]
    clean = own[:, 0] < 0.6 * size
    _, across = telling_box((size, size), own, np.zeros(len(own), bool), clean)
    assert across.start == 0 and across.stop < 0.9 * size


def test_a_frame_of_few_atoms_tells_as_a_whole():
    ones = np.ones(ROOM, bool)
    xy = np.random.default_rng(0).uniform(0, 90, (ROOM, 2))
    assert telling_box((90, 99), xy, ~ones, ones) == (slice(0, 90), slice(0, 99))


def test_frames_that_lose_atoms_compile_once(large, caplog):
    size, xy, image = large
    own = xy[inside(xy, size)]
    assert len(own) > ROOM
    programs = []
    for lost in (3, 5, 7):
        less = own[lost:]
        with jax.log_compiles(), caplog.at_level("WARNING", logger="jax"):
            caplog.clear()
            refine_positions(image, less, np.zeros(len(less), int), np.full(len(less), 0.3), PX_NM)
        programs.append([r.getMessage() for r in caplog.records if r.getMessage().startswith("Compiling")])
    assert programs[0] and programs[1:] == [[], []]


def test_the_sample_holds_the_special_atoms_and_no_others_twice():
    around = (np.arange(900)[:, None] + np.arange(4)) % 900
    special = np.zeros(900, bool)
    special[[100, 500]] = True
    told = np.ones(900, bool)
    told[101] = False
    rows = sample_rows(around, special, told)
    assert {100, 102, 103, 500, 501, 502, 503} <= set(rows.tolist())
    assert 101 not in rows and len(np.unique(rows)) == len(rows) == 256


def test_bright_dirt_does_not_tell_the_profile(large):
    size, xy, image = large
    own = xy[inside(xy, size)]
    dirt = 3 / (1 + np.exp((np.hypot(*(np.indices((size, size))[::-1] - [[[240]], [[240]]])) - 25) / 4))
    told = usable(image + dirt, own, np.zeros(len(own), int), PX_NM)
    far = np.hypot(*(own - 240).T)
    assert not told[far < 20].any()
    assert told[(far > 60) & inside(own, size, 25)].all()  # rims too


def test_atoms_that_do_not_tell_the_profile_are_as_exact_as_those_that_do(large):
    size, xy, image = large
    own = xy[inside(xy, size)]
    counts = np.random.default_rng(2).poisson(200 * image + 10).astype(float)
    start = own + np.random.default_rng(0).normal(0, 0.3, own.shape)
    numbers = np.zeros(len(own), int)
    special, told = rims(start, PX_NM), usable(counts, start, numbers, PX_NM)
    down, across = telling_box((size, size), start, special, told)
    part = ((start >= [across.start, down.start]) & (start < [across.stop, down.stop])).all(1)
    found = refine_positions(counts, start, numbers, np.full(len(own), 0.5), PX_NM)
    squared = np.where(inside(own, size, 20), ((found.xy - own) ** 2).sum(1), np.nan) * (1000 * PX_NM) ** 2
    telling, others = (np.sqrt(np.nanmean(squared[rows])) for rows in (part, ~part))
    assert others < 1.15 * telling and telling < 1.5  # pm


def test_at_the_rim_of_dirt_positions_are_as_sure_as_stated(large):
    """A steep background pulls atoms uphill; where it is steep, less is known, and this is said."""
    size, xy, image = large
    own = xy[inside(xy, size)]
    distance = np.hypot(*(np.indices((size, size))[::-1] - [[[255]], [[70]]]))
    dirty = image + 2.5 / (1 + np.exp((distance - 30) / 3))
    counts = np.random.default_rng(0).poisson(60 * dirty + 6).astype(float)
    known = np.full(len(own), 0.3)
    start = own + np.random.default_rng(1).normal(0, 0.3, own.shape)
    found = refine_positions(counts, start, np.zeros(len(own), int), known, PX_NM)
    far = np.hypot(*(own - [255, 70]).T)
    rim, clean = np.abs(far - 34) < 9, (far > 80) & inside(own, size, 20)
    assert np.median(found.sd[rim]) > 1.5 * np.median(found.sd[clean])
    ratio = np.hypot(*(found.xy - own).T) / (np.sqrt(2) * found.sd)
    assert np.sqrt((ratio[rim] ** 2).mean()) < 2.0


@pytest.mark.parametrize("pixel_size_nm", [0.012, 0.0171, 0.02, 0.0236, 0.03])
def test_patches_are_centred_at_every_pixel_size(pixel_size_nm):
    y, x = np.indices((90, 80)).astype(float)
    xy = np.array([[40.2, 50.7], [3.0, 88.1]])
    zeros = np.zeros(2, int)
    for image, axis in ((x, 1), (y, 0)):
        (chunk,), _, _ = cut_patches(image, xy, zeros, pixel_size_nm)
        middle = chunk.values[0].shape[0] // 2
        assert chunk.grid[middle] == 0 and len(chunk.grid) == chunk.values.shape[1] == chunk.values.shape[2]
        assert chunk.values[0, middle, middle] == chunk.origin[0, 1 - axis]
        assert 0 < chunk.inside[1].sum() < chunk.inside[0].sum()


def test_heights_are_read_at_the_atoms():
    image = np.zeros((9, 9))
    image[2, 7] = 5.0
    assert heights(image, np.array([[7.2, 1.9], [30.0, -4.0]])).tolist() == [5.0, pytest.approx(0.005)]


@pytest.mark.parametrize("seed", [2, 3])
def test_at_very_high_dose_no_atom_is_lost_at_the_border(seed):
    """What shines in from beyond it cannot be explained there, which at 10,000 counts is as plain as can be."""
    size = 160
    xy = sheet(size, hole=25.0, angle=0.3 + seed)
    image = picture(xy, size)
    tails = image + 0.9 * ndimage.gaussian_filter(image, 4.0)
    counts = np.random.default_rng(seed).poisson(10_000 * tails + 20).astype(float)
    own = xy[inside(xy, size)]
    start = own + np.random.default_rng(1).normal(0, 0.2, own.shape)
    found = refine_positions(counts, start, np.zeros(len(own), int), np.full(len(own), 0.6), PX_NM)
    assert (found.sd > 0).all()
    assert found.height.min() > 0.8 * np.median(found.height)
    errors = (found.xy - own)[inside(own, size, 8)] * 1000 * PX_NM
    assert np.sqrt((errors**2).sum(1).mean()) < 0.8  # pm
