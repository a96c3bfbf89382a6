"""Aberrated probes against optics' closed forms, symmetry, and the package's own multislice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.simulate.aberrated import SPREAD, aberrated_spot, random_spot, render_spots, zernike
from rvaejax.simulate.config import ImagingConfig
from rvaejax.simulate.multislice.config import DetectorConfig, MicroscopeConfig, MultisliceConfig
from rvaejax.simulate.multislice.image import stem_image
from rvaejax.simulate.multislice.optics import wavelength
from rvaejax.simulate.multislice.specimen import graphene
from rvaejax.simulate.sheet import Sheet

PX, CUTOFF = 0.02, 7.0
FLAT = jnp.zeros(len(SPREAD))


def _spot(wavefront, sigma=0.03, cutoff=CUTOFF, tail=0.0):
    return aberrated_spot(wavefront, cutoff, sigma, 0.15, tail, pixel_size_nm=PX)


def _image(spot, xy, species=None, size=64):
    species = np.zeros(len(xy), int) if species is None else species
    height = jnp.where(jnp.asarray(species) == 1, 5.0, 1.0)
    sheet = Sheet(jnp.asarray(xy, jnp.float32), jnp.asarray(species), jnp.ones(len(xy), bool))
    return np.asarray(render_spots(sheet, spot, height, size_px=size, pixel_size_nm=PX))


def test_polynomials_are_orthonormal_over_the_aperture():
    side = (np.arange(400) + 0.5) / 200 - 1
    y, x = np.meshgrid(side, side, indexing="ij")
    inside = np.hypot(x, y) < 1
    z = np.asarray(zernike(jnp.asarray(x), jnp.asarray(y)))[:, inside]
    np.testing.assert_allclose(z @ z.T / inside.sum(), np.eye(len(z)), atol=0.01)


def test_a_perfect_probe_has_the_transfer_function_of_a_round_aperture():
    """(2/pi) (acos v - v sqrt(1 - v²)), v = k over twice the aperture's radius, times the Gaussian's."""
    kernel = np.asarray(_spot(FLAT, sigma=PX).kernel)  # what remains after the drawn Gaussian: the probe alone
    k = np.fft.fftfreq(len(kernel), PX)
    v = np.clip(np.hypot(*np.meshgrid(k, k)) / (2 * CUTOFF), 0, 1)
    expected = 2 / np.pi * (np.arccos(v) - v * np.sqrt(1 - v**2))
    found = np.fft.fft2(np.fft.ifftshift(kernel)).real
    # the far tail, 4 % of the intensity, is cut off: that takes from k = 0 alone
    scale = (found * expected)[0, 1:].sum() / (expected[0, 1:] ** 2).sum()
    assert found[0, 0] / scale == pytest.approx(0.96, abs=0.01)
    np.testing.assert_allclose(found.flat[1:] / scale, expected.flat[1:], atol=0.01)


@pytest.mark.parametrize("wavefront", [FLAT, FLAT.at[1].set(1.0), FLAT.at[0].set(0.7).at[2].set(-0.8)])
def test_an_atom_peaks_at_1_and_at_its_place(wavefront):
    at = np.array([[0.603, 0.657]])
    spot = _spot(wavefront, tail=0.2)
    middle = _image(spot, np.array([[0.64, 0.64]]))
    assert middle.max() == pytest.approx(1.0, abs=2e-3) and middle[32, 32] == middle.max()
    image = _image(spot, at)
    y, x = np.indices(image.shape) * PX
    centre = (image * x).sum() / image.sum(), (image * y).sum() / image.sum()
    assert centre == pytest.approx(tuple(at[0]), abs=1e-3)


def test_coma_is_one_sided_but_its_bright_part_stays_in_place():
    image = _image(_spot(FLAT.at[3].set(1.0)), np.array([[0.64, 0.64]]))
    y, x = np.indices(image.shape) * PX
    bright = image**2
    assert (bright * x).sum() / bright.sum() == pytest.approx(0.64, abs=0.002)
    assert image[32, 37] > 1.5 * image[32, 27] or image[32, 27] > 1.5 * image[32, 37]


def test_turned_astigmatism_turns_the_image():
    """Cosine to minus cosine is a quarter turn; in focus a quarter turn changes nothing, out of focus it does."""
    xy = np.array([[0.64, 0.64], [0.5, 0.8]])
    turned = np.column_stack([xy[:, 1], xy[:, 0]])  # mirrored at the diagonal
    out = FLAT.at[0].set(0.5)
    one, other = out.at[1].set(0.8), out.at[1].set(-0.8)
    image = _image(_spot(one), xy)
    np.testing.assert_allclose(image, _image(_spot(other), turned).T, atol=1e-4)
    assert np.abs(image - _image(_spot(one), turned).T).max() > 0.1


def test_nothing_wraps_round_the_border():
    """Atoms beyond one border shine in from there alone."""
    image = _image(_spot(FLAT.at[1].set(1.0), tail=0.3), np.array([[-0.2, 0.6], [0.6, -0.3]]))
    assert image[30, 0] > 0.02 and image[0, 30] > 0.005
    assert np.abs(image[50:, 50:]).max() < 2e-3


def test_random_spots_are_finite_and_differ():
    draw = jax.jit(jax.vmap(lambda key: random_spot(ImagingConfig(), key=key).kernel))
    kernels = np.asarray(draw(jax.random.split(jax.random.key(0), 20)))
    assert np.isfinite(kernels).all() and (kernels.max((1, 2)) > 0).all()
    turned = np.abs(kernels[:, 1:, 1:] - kernels[:, 1:, 1:].transpose(0, 2, 1)).max((1, 2)) / kernels.max((1, 2))
    assert np.median(turned) > 0.1  # most have a direction


def test_sheets_under_an_astigmatic_probe_are_those_of_multislice():
    kv, mrad, c12, phi, defocus = 60.0, 31.0, 2.5, 0.5, 2.0  # nm
    column = MicroscopeConfig(
        voltage_kv=kv, convergence_mrad=mrad, defocus_nm=defocus, astigmatism_nm=c12, astigmatism_angle=phi,
        source_sigma_nm=0.03,
    )  # fmt: skip
    sheet = graphene(1.7, silicon=2)  # of 5 C peaks each
    full = stem_image(
        sheet, column, (DetectorConfig("ADF", 70, 180),), MultisliceConfig(pixel_size_nm=PX), key=jax.random.key(0)
    ).images[0]
    cell = np.asarray(sheet.cell)[:2]
    copies = np.array([[i, j] for i in (-1, 0, 1) for j in (-1, 0, 1)]) * cell
    xy = (np.asarray(sheet.positions)[None, :, :2] + copies[:, None]).reshape(-1, 2)
    species = np.tile((np.asarray(sheet.numbers) == 14).astype(int), len(copies))
    near = ((xy > -0.3) & (xy < cell + 0.3)).all(1)
    full = np.asarray(full)
    side = min(full.shape)
    strength = np.pi * (mrad * 1e-3) ** 2 / wavelength(kv)
    flat = FLAT.at[0].set(-strength * defocus / 2 / np.sqrt(3))
    turn = np.array([np.cos(2 * phi), np.sin(2 * phi)])
    wavefront = flat.at[1].set(strength * c12 * turn[0] / np.sqrt(6)).at[2].set(strength * c12 * turn[1] / np.sqrt(6))

    def agreement(aberrations):
        spot = _spot(aberrations, sigma=0.032, cutoff=mrad * 1e-3 / wavelength(kv))  # the source and the atom
        image = _image(spot, xy[near], species[near], size=side)
        return np.corrcoef(image.ravel(), full[:side, :side].ravel())[0, 1]

    assert agreement(wavefront) > 0.9995
    assert agreement(flat) < 0.97  # the direction counts
