"""Images for the comparison of segmenters: those that both learn from, and multislice images that neither has seen."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rvaejax.atoms.profile import Profile, functions, matrix
from rvaejax.atoms.refine import refine_positions
from rvaejax.simulate.config import SPECIES, ImagingConfig, SheetConfig
from rvaejax.simulate.dataset import labelled_batch
from rvaejax.simulate.imaging import class_labels
from rvaejax.simulate.multislice.config import DetectorConfig, MicroscopeConfig, MultisliceConfig
from rvaejax.simulate.multislice.image import resample, stem_image
from rvaejax.simulate.multislice.specimen import from_sheet
from rvaejax.simulate.sheet import graphene_sheet
from rvaejax.types import Atoms

TRAIN_PX_NM = 0.016
FIELD_NM, PAD_NM, FINE_NM = 3.2, 0.6, 0.008
BRIGHT = 2000.0  # counts per peak of the frames that an atom's image is taken from
MICROSCOPES = (  # voltage [kV], convergence [mrad], inner [mrad], defocus [nm], source [nm], thermal motion [nm]
    (60.0, 34.0, 70.0, 0.0, 0.025, 0.006),
    (100.0, 30.0, 80.0, 1.0, 0.03, 0.005),
    (80.0, 32.0, 60.0, -1.0, 0.02, 0.006),
    (200.0, 27.0, 70.0, 1.5, 0.03, 0.007),
)


class Scene(NamedTuple):
    """One specimen under one microscope, without noise: fractions of the beam on a fine raster over the whole cell.

    The cell is periodic, `cell_nm` high and wide; what is shown is the square of `field_nm` from `pad_nm` on.
    """

    fine: np.ndarray
    xy_nm: np.ndarray
    species: np.ndarray
    cell_nm: tuple[float, float]
    field_nm: float = FIELD_NM
    pad_nm: float = PAD_NM


class Shot(NamedTuple):
    """Frames at one dose and pixel, and their truth; `clean` in counts."""

    frames: np.ndarray
    clean: np.ndarray
    truth: Atoms


def training_images(n: int, size: int = 192, seed: int = 0) -> dict[str, np.ndarray]:
    """Images of graphene with holes, vacancies and Si at 2 to 400 counts, with masks of 0, 1 (C) and 2 (Si)."""
    sheet = SheetConfig(field_nm=size * TRAIN_PX_NM, scale_jitter=0.05, empty_probability=0.0, bank_share=0.0)
    imaging = ImagingConfig(
        size_px=size, pixel_size_nm=TRAIN_PX_NM, counts=(2.0, 400.0), contamination_probability=0.0,
        clip_probability=0.0, gamma=(1.0, 1.0), hot_pixels=0.0, readout=(0.0, 0.1), background=(0.0, 0.7),
        aberrated_share=0.0, rim_probability=0.0, row_flicker=(0.0, 0.0), wobble_nm=(0.0, 0.0),
    )  # fmt: skip
    make = jax.jit(lambda key: labelled_batch(4, sheet, imaging, key=key))
    parts = [jax.device_get(make(jax.random.fold_in(jax.random.key(seed), i))) for i in range(-(-n // 4))]
    images = np.concatenate([p.image for p in parts])[:n]
    labels = np.concatenate([np.asarray(class_labels(jnp.asarray(p.labels))) for p in parts])[:n]
    low, high = (np.quantile(images, q, axis=(1, 2), keepdims=True) for q in (0.01, 0.995))
    xy = np.concatenate([p.sheet.xy for p in parts])[:n] / TRAIN_PX_NM
    mask = np.concatenate([p.sheet.mask for p in parts])[:n] & ((xy > -0.5) & (xy < size - 0.5)).all(-1)
    frame, row = np.nonzero(mask)
    species = np.asarray(SPECIES)[np.concatenate([p.sheet.species for p in parts])[:n][frame, row]]
    return {
        "images": ((images - low) / (high - low)).astype(np.float32),
        "masks": labels.astype(np.uint8),
        "pixel_size_nm": np.asarray(TRAIN_PX_NM),
        "frame": frame, "xy": xy[frame, row], "species": species,
    }  # fmt: skip


def scenes(count: int, seed: int = 1) -> list[Scene]:
    """Multislice images of random sheets: vacancies, holes, Si, bond rotations, at rest but for thermal motion."""
    config = SheetConfig(
        field_nm=FIELD_NM, boundary_probability=0.25, max_holes=2, hole_radius_nm=(0.2, 0.6),
        vacancy_fraction=(0, 0.02), max_bond_rotations=3,
        si_fraction=(0.004, 0.012), strain=0.0, scale_jitter=0.0, displacement_nm=0.0,
        empty_probability=0.0, relaxation_steps=300,
    )  # fmt: skip
    draw, out = jax.jit(lambda key: graphene_sheet(config, key=key)), []
    for i in range(count):
        kv, alpha, inner, defocus, source, rms = MICROSCOPES[i % len(MICROSCOPES)]
        sheet = draw(jax.random.fold_in(jax.random.key(seed), i))
        specimen = from_sheet(sheet, FIELD_NM, pad_nm=PAD_NM)
        image = stem_image(
            specimen,
            MicroscopeConfig(voltage_kv=kv, convergence_mrad=alpha, defocus_nm=defocus, source_sigma_nm=source),
            (DetectorConfig("ADF", inner, 180.0),),
            MultisliceConfig(pixel_size_nm=FINE_NM, rms_displacement_nm=rms),
            key=jax.random.key(0),
        )
        shown = np.asarray(specimen.numbers) > 0
        numbers = np.asarray(specimen.numbers)[shown]
        out.append(
            Scene(
                np.asarray(image.images[0]),
                np.asarray(specimen.positions)[shown, :2],
                np.where(numbers == 6, "C", "Si"),
                tuple(n * FINE_NM for n in image.images[0].shape),
            )
        )
    return out


def shoot(group: list[Scene], counts: float, px_nm: float, seed: int = 0) -> Shot:
    """All scenes (of one field) at one pixel size; `counts`, the dose, is the median over a scene's C peaks."""
    rng, frames, cleans, rows = np.random.default_rng([seed, round(1e4 * px_nm)]), [], [], []
    size, first = int(group[0].field_nm / px_nm), int(np.ceil(group[0].pad_nm / px_nm))
    for t, scene in enumerate(group):
        whole = int(scene.cell_nm[0] / px_nm)
        image = np.asarray(resample(jnp.asarray(scene.fine)[None], scene.cell_nm, (whole, whole), px_nm))[0]
        image = np.maximum(image[first : first + size, first : first + size], 0)
        xy = scene.xy_nm / px_nm - first
        inside = ((xy > -0.5) & (xy < size - 0.5)).all(1)
        xy, species = xy[inside], scene.species[inside]
        at = np.clip(np.round(xy[species == "C"]).astype(int), 0, size - 1)
        clean = image * counts / np.median(image[at[:, 1], at[:, 0]])
        frames.append(rng.poisson(clean).astype(np.float32))
        cleans.append(clean)
        rows.append((np.full(len(xy), t), xy, species))
    frame, xy, species = (np.concatenate(column) for column in zip(*rows, strict=True))
    ones = np.ones(len(frame))
    truth = Atoms(frame, xy[:, 0].astype(float), xy[:, 1].astype(float), species, ones, 0 * ones, px_nm)
    return Shot(np.stack(frames), np.stack(cleans), truth)


def cramer_rao_pm(shot: Shot, border_px: float = 8.0) -> float:
    """Bound on the radial error [pm, root mean square] of an unbiased estimator that knows an atom's image exactly.

    All positions and heights are unknown; the noise is Poisson's. The atom's image is fitted to the frame at
    `BRIGHT` counts per C peak pixel, from the true positions.
    """
    bounds, rng = [], np.random.default_rng(0)
    h, w = shot.clean.shape[1:]
    for t, clean in enumerate(shot.clean):
        rows = shot.truth.frame == t
        xy = np.column_stack([shot.truth.x, shot.truth.y])[rows]
        species = (shot.truth.species[rows] == "Si").astype(int)
        raised = BRIGHT / float(np.quantile(clean, 0.98))
        bright = rng.poisson(raised * clean).astype(np.float32)
        fit = refine_positions(bright, xy, species, np.full(len(xy), 0.02), shot.truth.pixel_size_nm)
        design = _design(fit.profile, xy, species, fit.height / raised, (h, w)).reshape(3 * len(xy), -1)
        fisher = (design / np.maximum(clean.reshape(-1), 1e-3)) @ design.T
        bound = np.diag(np.linalg.inv(fisher + 1e-9 * np.eye(len(fisher)))).reshape(3, -1)
        inside = ((xy >= border_px) & (xy <= np.array([w, h]) - 1 - border_px)).all(1)
        bounds.append((bound[1] + bound[2])[inside])
    return float(1000 * shot.truth.pixel_size_nm * np.sqrt(np.concatenate(bounds).mean()))


def _design(
    profile: Profile, xy: np.ndarray, species: np.ndarray, height: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Derivatives of the image by each atom's height, x and y."""
    h, w = shape
    fx, sx = functions(jnp.arange(float(w))[None] - jnp.asarray(xy[:, 0:1], jnp.float32), profile.core)
    fy, sy = functions(jnp.arange(float(h))[None] - jnp.asarray(xy[:, 1:2], jnp.float32), profile.core)
    m = jax.vmap(matrix)(profile.weights)[jnp.asarray(species)]
    a = jnp.asarray(height)[:, None, None]

    def image(y: jax.Array, x: jax.Array) -> jax.Array:
        return jnp.einsum("snh,nst,tnw->nhw", y, m, x, optimize="optimal")

    return np.stack([np.asarray(image(fy, fx)), np.asarray(a * image(fy, sx)), np.asarray(a * image(sy, fx))])
