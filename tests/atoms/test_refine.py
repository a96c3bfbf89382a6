"""Positions fitted to the frame: exact without noise, at the photon limit with it, honest about what is left."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from rvaejax.atoms.fit import Fit, Known, step
from rvaejax.atoms.noise import correlation_gain, noise_of_counts
from rvaejax.atoms.patches import CHUNK, cut_patches
from rvaejax.atoms.profile import FUNCTIONS, TERMS, functions, matrix, peak
from rvaejax.atoms.refine import refine_positions

PX_NM, CORE_NM, SIZE = 0.016, 0.042, 112
CORE = CORE_NM / PX_NM


def honeycomb(size=SIZE, bond=0.142 / PX_NM, angle=0.3, shift=(0.31, 0.73)):
    i, j = np.meshgrid(np.arange(-20, 21), np.arange(-20, 21))
    a = bond * np.sqrt(3) * np.stack([i + j / 2, j * np.sqrt(3) / 2], -1).reshape(-1, 2)
    sites = np.concatenate([a, a + [0, bond]])
    c, s = np.cos(angle), np.sin(angle)
    sites = sites @ np.array([[c, -s], [s, c]]) + size / 2 + np.array(shift)
    return sites[((sites > -6) & (sites < size + 5)).all(1)]


def spots(xy, size=SIZE, core=CORE, height=1.0, stretch=0.0):
    """Sum of Gaussians, elongated along the diagonal by `stretch`."""
    y, x = np.mgrid[:size, :size]
    image = np.zeros((size, size))
    for (cx, cy), a in zip(xy, np.broadcast_to(height, len(xy)), strict=True):
        u, v = ((x - cx) + (y - cy)) / np.sqrt(2), ((x - cx) - (y - cy)) / np.sqrt(2)
        image += a * np.exp(-0.5 * ((u / (1 + stretch)) ** 2 + (v * (1 + stretch)) ** 2) / core**2)
    return image


def shown(xy, margin=0.0, size=SIZE):
    return ((xy >= margin) & (xy <= size - 1 - margin)).all(1)


@pytest.fixture(scope="module")
def lattice():
    xy = honeycomb()
    image = spots(xy)
    return xy[shown(xy)], image


def refined(image, xy, sd=0.5, start=None, **options):
    rng = np.random.default_rng(1)
    begin = xy + rng.normal(0, 0.3, xy.shape) if start is None else start
    species = options.pop("species", np.zeros(len(xy), int))
    return refine_positions(image, begin, species, np.full(len(xy), sd), options.pop("px", PX_NM))


def test_functions_have_the_slopes_they_say():
    d = jnp.linspace(-6, 6, 41)
    values, slopes = functions(d, CORE)
    step = 1e-2
    ahead, _ = functions(d - step, CORE)  # the centre moved by +step
    behind, _ = functions(d + step, CORE)
    assert values.shape == (FUNCTIONS, 41)
    np.testing.assert_allclose((ahead - behind) / (2 * step), slopes, atol=2e-3)


def test_the_matrix_is_the_sum_of_its_terms():
    weights = jax.random.normal(jax.random.key(0), (len(TERMS),))
    f, _ = functions(jnp.linspace(-4, 4, 9), CORE)
    product = f.T @ matrix(weights) @ f
    summed = sum(w * f[i, :, None] * f[j, None, :] for w, (i, j) in zip(weights, TERMS, strict=True))
    np.testing.assert_allclose(product, summed, rtol=1e-4, atol=1e-5)
    assert float(peak(weights)) == pytest.approx(float(product[4, 4]), rel=1e-4)
    np.testing.assert_allclose(product, product[::-1, ::-1], rtol=1e-4, atol=1e-5)  # a centre of symmetry


def test_without_noise_positions_are_exact(lattice):
    xy, image = lattice
    found = refined(image, xy)
    inner = shown(xy, 20)  # atoms beyond the border shine into what is nearer to it
    assert np.sqrt(((found.xy - xy)[inner] ** 2).sum(1).mean()) * PX_NM * 1000 < 0.5  # pm
    assert found.height[inner].std() < 0.02 * found.height[inner].mean()


def test_neither_unit_nor_offset_of_the_intensity_matters(lattice):
    xy, image = lattice
    counts = np.random.default_rng(0).poisson(100 * image + 5).astype(float)
    plain, other = refined(counts, xy), refined(37.0 * counts - 4000.0, xy)
    np.testing.assert_allclose(plain.xy, other.xy, atol=0.02)
    np.testing.assert_allclose(plain.sd, other.sd, rtol=0.05)


def photon_limit(xy, counts, background):
    """Cramér-Rao bound [px², trace] of each position where all positions and heights are unknown (Poisson)."""
    y, x = (jnp.asarray(v, jnp.float32) for v in np.mgrid[:SIZE, :SIZE])

    def image(parameters):
        cx, cy, a = parameters.reshape(3, -1)
        gx = jnp.exp(-0.5 * ((x[0][None] - cx[:, None]) / CORE) ** 2)
        gy = jnp.exp(-0.5 * ((y[:, 0][None] - cy[:, None]) / CORE) ** 2)
        return counts * jnp.einsum("n,nh,nw->hw", a, gy, gx) + background

    start = jnp.concatenate([jnp.asarray(xy[:, 0]), jnp.asarray(xy[:, 1]), jnp.ones(len(xy))]).astype(jnp.float32)
    jacobian = np.asarray(jax.jacfwd(image)(start), np.float64).reshape(SIZE * SIZE, -1)
    fisher = jacobian.T @ (jacobian / np.asarray(image(start), np.float64).reshape(-1, 1))
    bound = np.diag(np.linalg.inv(fisher + 1e-9 * np.eye(len(fisher)))).reshape(3, -1)
    return bound[0] + bound[1]


def test_errors_are_at_the_photon_limit_and_as_large_as_stated():
    xy = honeycomb()
    clean, own = spots(xy), xy[shown(xy)]
    inner = shown(own, 14)
    limit = photon_limit(xy[shown(xy, -5)], 40.0, 4.0)[shown(xy[shown(xy, -5)])][inner]
    errors, sds = [], []
    for seed in range(4):
        counts = np.random.default_rng(seed).poisson(40 * clean + 4).astype(float)
        found = refined(counts, own)
        errors.append((found.xy - own)[inner])
        sds.append(np.repeat(found.sd[inner, None], 2, 1))
    errors, sds = np.concatenate(errors), np.concatenate(sds)
    efficiency = (errors**2).sum(1).mean() / limit.mean()
    assert 0.85 < efficiency < 1.25
    assert 0.60 < (np.abs(errors) < sds).mean() < 0.76


def test_elliptical_spots_do_not_pull_their_neighbours(lattice):
    xy = honeycomb()
    own = xy[shown(xy)]
    found = refined(spots(xy, stretch=0.12), own)
    assert np.sqrt(((found.xy - own)[shown(own, 24)] ** 2).sum(1).mean()) * PX_NM * 1000 < 1.5


def test_a_bright_species_of_its_own_shape_does_not_pull_its_neighbours():
    xy = honeycomb()
    silicon = np.zeros(len(xy), int)
    inside = np.flatnonzero(shown(xy, 20))
    silicon[inside[::25]] = 1
    image = spots(xy[silicon == 0]) + spots(xy[silicon == 1], core=1.1 * CORE, height=4.0)
    own = shown(xy)
    found = refined(image, xy[own], species=silicon[own])
    assert np.sqrt(((found.xy - xy[own])[shown(xy[own], 24)] ** 2).sum(1).mean()) * PX_NM * 1000 < 2.0


def test_hot_pixels_do_not_move_atoms(lattice):
    xy, image = lattice
    counts = np.random.default_rng(0).poisson(200 * image + 5).astype(float)
    at = np.round(xy[shown(xy, 20)][::9]).astype(int) + [2, 1]
    hot = counts.copy()
    hot[at[:, 1], at[:, 0]] += 5000
    inner = shown(xy, 20)
    moved = np.hypot(*(refined(hot, xy).xy - refined(counts, xy).xy)[inner].T)
    assert moved.max() * PX_NM * 1000 < 4.0


def test_what_was_known_before_counts(lattice):
    xy, image = lattice
    start = xy + [0.4, 0.0]
    held = refined(np.random.default_rng(0).poisson(3 * image + 1.0).astype(float), xy, sd=1e-3, start=start)
    np.testing.assert_allclose(held.xy, start, atol=0.02)


def test_fine_pixels_are_binned_and_give_the_same_place():
    size = 300
    xy = honeycomb(size=size, bond=0.142 / 0.004, shift=(0.2, 0.4))
    own = xy[shown(xy, size=size)]
    image = spots(xy, size=size, core=CORE_NM / 0.004)
    found = refined(image, own, px=0.004, sd=4.0, start=own + np.random.default_rng(0).normal(0, 1.5, own.shape))
    inner = shown(own, 75, size=size)
    assert inner.sum() > 8
    assert np.sqrt(((found.xy - own)[inner] ** 2).sum(1).mean()) * 4 < 1.0  # pm


def test_noise_follows_its_brightness():
    rng = np.random.default_rng(0)
    model = rng.uniform(10, 200, 20000)
    offset, slope, low = noise_of_counts(model, rng.normal(0, np.sqrt(3 * model + 50)))
    assert slope == pytest.approx(3.0, rel=0.1)
    assert offset - slope * low == pytest.approx(50, abs=15)


def pulls(noise, core=CORE):
    """What each patch of noise adds to an x and a y: its product with the slope of a spot."""
    grid = np.arange(noise.shape[1]) - noise.shape[1] // 2
    bell = np.exp(-0.5 * (grid / core) ** 2)
    slope = (grid * bell)[None] * bell[:, None]
    return np.stack([(noise * part).sum((1, 2)) for part in (slope, slope.T)]) / np.sqrt((slope**2).sum())


@pytest.mark.parametrize("blur", [0.0, 0.6, 1.0, 2.0])
def test_blurred_noise_pulls_by_as_much_as_its_correlation_says(blur):
    white = np.random.default_rng(0).normal(size=(400, 29, 29))
    noise = ndimage.gaussian_filter(white, (0, blur, blur))[:, 6:23, 6:23]
    expected = pulls(noise).var() / noise.var()
    assert correlation_gain(noise, np.ones_like(noise), CORE) == pytest.approx(max(1.0, expected), rel=0.12)


def test_what_is_even_about_an_atom_does_not_pull_at_it():
    grid = np.arange(-8, 9)
    ring = np.cos(np.hypot(grid[:, None], grid[None]))[None] * np.ones((60, 1, 1))
    wave = np.sin(0.3 * grid)[None, :] * np.ones((60, 17, 17))
    white = 0.1 * np.random.default_rng(0).normal(size=ring.shape)
    ones = np.ones_like(ring)
    assert correlation_gain(white + ring, ones, CORE) == 1.0
    assert correlation_gain(white + wave, ones, CORE) > 10.0


def some_atoms(n=12):
    """Equations of atoms in a ring, each coupled to the next three, from one design: positive definite."""
    rng = np.random.default_rng(5)
    near = (np.arange(n)[:, None] + np.arange(4)) % n
    design = rng.normal(size=(n, 3, 40))
    normal = np.einsum("npk,nqk->npq", design, design)
    coupling = 0.2 * np.einsum("npk,nmqk->npqm", design, design[near[:, 1:]]).reshape(n, 3, 9)
    known = Known(*(jnp.asarray(v, jnp.float32) for v in (np.zeros((n, 2)), np.ones(n), np.ones(n), np.zeros(n))))
    fit = Fit(jnp.zeros((n, 2)), jnp.ones(n))
    return fit, known, normal, coupling, rng.normal(size=(n, 3)), near


def stepped(fit, known, normal, coupling, gradient, near):
    parts = (jnp.asarray(v, jnp.float32) for v in (normal, coupling, gradient))
    return step(fit, known, *parts, jnp.asarray(near, jnp.int32), jnp.ones(near.shape), 10.0)


def test_a_step_solves_each_atoms_equations_with_its_neighbours():
    """Against the dense system of four atoms, in which neighbours are not coupled to one another."""
    fit, known, normal, coupling, gradient, near = some_atoms()
    normal[:, 0, 0] = 40.0  # all patches equally sure
    moved, covariance = stepped(fit, known, normal, coupling, gradient, near)
    ridge = 1e-4 * np.diagonal(normal, axis1=1, axis2=2) + np.array([0.0, 1.0, 1.0])
    for i in range(len(near)):
        dense = np.zeros((4, 3, 4, 3))
        for j, atom in enumerate(near[i]):
            dense[j, :, j] = normal[atom] + np.diag(ridge[atom])
        shared = coupling[i].reshape(3, 3, 3)
        for m in range(3):
            dense[0, :, m + 1] = shared[:, :, m]
            dense[m + 1, :, 0] = shared[:, :, m].T
        inverse = np.linalg.inv(dense.reshape(12, 12))
        np.testing.assert_allclose(covariance[i], inverse[1:3, 1:3], rtol=2e-3, atol=1e-5)
        np.testing.assert_allclose(moved.xy[i], (inverse @ gradient[near[i]].ravel())[1:3], rtol=2e-3, atol=1e-5)


def test_a_patch_that_the_fit_cannot_explain_does_not_throw_its_neighbours_out():
    """At 10,000 counts such a patch counts a thousand times less, and what the next one says of its atom must, too."""
    fit, known, normal, coupling, gradient, near = some_atoms()
    normal[:, 0, 0] = 40.0
    alike = stepped(fit, known, normal, 3 * coupling, gradient, near)
    assert (np.linalg.eigvalsh(alike.covariance) > 0).all()
    doubtful = 1000.0 ** -np.arange(len(near) % 2, len(near) + len(near) % 2)[:, None, None].clip(0, 1)
    doubtful[::2] = 1.0
    odd = stepped(fit, known, doubtful * normal, doubtful * 3 * coupling, doubtful[:, :, 0] * gradient, near)
    assert (np.linalg.eigvalsh(odd.covariance) > 0).all()


def test_patches_come_in_chunks_of_one_shape_and_know_their_neighbours():
    xy = honeycomb()
    own = xy[shown(xy)]
    chunks, near, real = cut_patches(spots(xy), own, np.zeros(len(own), int), PX_NM)
    assert {chunk.values.shape[0] for chunk in chunks} == {CHUNK}
    assert (near[:, 0] == np.arange(len(own))).all()
    bonded = np.hypot(*(own[near[:, 1:4]] - own[:, None]).transpose(2, 0, 1)) * PX_NM
    np.testing.assert_allclose(bonded[shown(own, 12)], 0.142, atol=1e-3)
    assert real[:, 0].all()
