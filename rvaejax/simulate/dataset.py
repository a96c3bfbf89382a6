"""Labelled images for training, made on the fly: one pure function of a key, `vmap`ped over a batch."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rvaejax.simulate.aberrated import random_spot, render_spots
from rvaejax.simulate.bank import SheetBank, cut_sheet
from rvaejax.simulate.config import LATTICE_NM, ImagingConfig, SheetConfig
from rvaejax.simulate.degrade import amorphous, blur, contamination, poisson, shift_rows, smooth_field
from rvaejax.simulate.draws import between, log_between
from rvaejax.simulate.imaging import (
    ATOMIC_NUMBER,
    AtomImage,
    Probe,
    atom_image,
    gaussians,
    label_maps,
    multislice_profiles,
    pixel_centres,
    render_atoms,
)
from rvaejax.simulate.sheet import Sheet, graphene_sheet

HIDDEN_ABOVE = 1.6  # contamination brighter than this many C peaks hides the atoms under it
AREA_PER_ATOM_NM2 = LATTICE_NM**2 * 3**0.5 / 4  # of graphene


class LabelledImage(NamedTuple):
    """An image, its per-pixel class probabilities (background, C, Si), and the atoms it shows."""

    image: Float[Array, "h w"]
    labels: Float[Array, "h w classes"]
    sheet: Sheet


def expose(
    clean: Float[Array, "h w"], config: ImagingConfig, *, key: PRNGKeyArray, extra: Float[Array, "h w"] | float = 0.0
) -> Float[Array, "h w"]:
    """A noiseless image (in C peaks) as recorded: background, `extra`, jitter, counting, read-out, export."""
    k = jax.random.split(key, 16)
    h, w = shape = clean.shape
    level = between(config.background, key=k[0])
    slope = smooth_field((h, w), jnp.float32(h / 3), key=k[1])
    bright = jnp.maximum(clean + extra + level * (1 + 0.4 * slope), 0.0)
    jitter = between(config.row_jitter_px, key=k[2]) * jax.random.normal(k[3], (shape[0],))
    bright = shift_rows(bright, jitter)
    flicker = between(config.row_flicker, key=k[14]) * jax.random.normal(k[15], (shape[0], 1))
    bright = bright * jnp.maximum(1 + flicker, 0.0)
    counts = log_between(config.counts, key=k[4])
    noise = poisson(bright * counts, key=k[5]) / counts - bright
    noise = noise + between(config.readout, key=k[6]) * jax.random.normal(k[7], shape)
    sigma = between(config.noise_blur_px, key=k[8])
    image = bright + jnp.where(sigma > 0.25, blur(noise, sigma), noise)
    hot = jax.random.bernoulli(k[9], config.hot_pixels, shape)
    image = image + hot * 20.0 * jax.random.uniform(k[10], shape)
    # export: the brightest pixels clipped, a gamma on the display scale
    lattice = jnp.maximum(jnp.quantile(clean, 0.98), 0.5)
    limit = level + lattice * between(config.clip, key=k[11])
    clip = jax.random.bernoulli(k[12], config.clip_probability)
    image = jnp.where(clip, jnp.minimum(image, limit), image)
    low = image.min()
    span = jnp.maximum(image.max() - low, 1e-3)
    gamma = between(config.gamma, key=k[13])
    return ((image - low) / span) ** gamma * span + low


def _atom_image(config: ImagingConfig, *, key: PRNGKeyArray) -> AtomImage:
    """An atom's image at random: one of the multislice table's, or a core and a tail."""
    k = jax.random.split(key, 6)
    probe = Probe(
        between(config.core_nm, key=k[0]), between(config.tail_nm, key=k[1]), between(config.tail_weight, key=k[2])
    )
    simple = atom_image(probe, between(config.z_exponent, key=k[3]))
    table = multislice_profiles()
    row = jax.random.randint(k[4], (), 0, len(table.widths_nm))
    fill = table.widths_nm.shape[1] - len(simple.widths_nm)
    simple = AtomImage(
        jnp.pad(simple.widths_nm, (0, fill), constant_values=1.0), jnp.pad(simple.heights, ((0, 0), (0, fill)))
    )
    multislice = AtomImage(jnp.asarray(table.widths_nm)[row], jnp.asarray(table.heights)[row])
    use = jax.random.bernoulli(k[5], config.multislice_share)
    return jax.tree.map(lambda a, b: jnp.where(use, a, b), multislice, simple)


def labelled_image(sheet_config: SheetConfig, config: ImagingConfig, *, key: PRNGKeyArray) -> LabelledImage:
    """One random sheet, its image and its labels."""
    k_sheet, k_image = jax.random.split(key)
    return imaged(graphene_sheet(sheet_config, key=k_sheet), config, key=k_image)


def imaged(sheet: Sheet, config: ImagingConfig, *, key: PRNGKeyArray) -> LabelledImage:
    """A sheet's image under a microscope drawn at random, and its labels."""
    k = jax.random.split(key, 8)
    size, px = config.size_px, config.pixel_size_nm
    sheet = sheet._replace(xy=wobbled(sheet.xy, config, key=k[0]))
    clean = _clean(sheet, config, key=k[1])
    here = jax.random.bernoulli(k[2], config.contamination_probability)
    dirt = here * contamination((size, size), px, between(config.contamination, key=k[3]), key=k[4])
    dirty_rims = jax.random.bernoulli(k[5], config.rim_probability)
    dirt = dirt + dirty_rims * rim_dirt(sheet, config, key=k[6])
    at = jnp.clip(jnp.round(sheet.xy / px).astype(jnp.int32), 0, size - 1)
    visible = blur(dirt, 0.08 / px)[at[:, 1], at[:, 0]] < HIDDEN_ABOVE
    labels = label_maps(sheet, size_px=size, pixel_size_nm=px, label_nm=config.label_nm, visible=visible)
    image = expose(clean, config, key=k[7], extra=dirt)
    return LabelledImage(image, labels, sheet._replace(mask=sheet.mask & visible))


def _clean(sheet: Sheet, config: ImagingConfig, *, key: PRNGKeyArray) -> Float[Array, "h w"]:
    """The noiseless image, in C peaks, under an aberrated probe or with atoms' images of `_atom_image`."""
    k = jax.random.split(key, 7)
    size, px = config.size_px, config.pixel_size_nm
    amplitude = 1 + config.amplitude_sd * jax.random.normal(k[0], (len(sheet.mask),))
    phi = jax.random.uniform(k[1], maxval=2 * jnp.pi)
    drag = 0.5 * between(config.drag_nm, key=k[2]) * jnp.stack([jnp.cos(phi), jnp.sin(phi)])
    atom = _atom_image(config, key=k[3])
    round_ = render_atoms(sheet, atom, size_px=size, pixel_size_nm=px, amplitude=amplitude, drag_nm=drag)
    if not config.aberrated_share:
        return round_
    z = jnp.asarray(ATOMIC_NUMBER, jnp.float32) / ATOMIC_NUMBER[0]
    height = amplitude * (z ** between(config.z_exponent, key=k[4]))[sheet.species]
    aberrated = render_spots(sheet, random_spot(config, key=k[5]), height, size_px=size, pixel_size_nm=px)
    return jnp.where(jax.random.bernoulli(k[6], config.aberrated_share), aberrated, round_)


def wobbled(xy: Float[Array, "n 2"], config: ImagingConfig, *, key: PRNGKeyArray) -> Float[Array, "n 2"]:
    """Positions as a scan sees them whose rows slowly swing along themselves."""
    k_size, k_length, k_rows = jax.random.split(key, 3)
    rows, px = config.size_px, config.pixel_size_nm
    length = log_between((0.1, 1.0), key=k_length) / px  # [px], of a swing
    swing = smooth_field((rows, 1), length, key=k_rows)[:, 0] * between(config.wobble_nm, key=k_size)
    dx = jnp.interp(xy[:, 1] / px, jnp.arange(rows, dtype=jnp.float32), swing)
    return xy + jnp.stack([dx, jnp.zeros_like(dx)], -1)


def rim_dirt(sheet: Sheet, config: ImagingConfig, *, key: PRNGKeyArray) -> Float[Array, "h w"]:
    """Bright amorphous matter along the rims of holes, in patches, as it gathers there under the beam."""
    k_wide, k_patch, k_bright, k_texture = jax.random.split(key, 4)
    size, px = config.size_px, config.pixel_size_nm
    width = between((0.08, 0.2), key=k_wide)
    density = gaussians(
        sheet.xy, sheet.mask.astype(jnp.float32), width, pixel_centres(size, px), pixel_centres(size, px)
    )
    covered = jnp.clip(density * AREA_PER_ATOM_NM2 / (2 * jnp.pi * width**2), 0.0, 1.0)
    patch = jax.nn.sigmoid(4.0 * (smooth_field((size, size), 0.4 / px, key=k_patch) - 0.3))
    rim = 4 * covered * (1 - covered) * patch
    return amorphous(rim, px, between(config.rim, key=k_bright), key=k_texture)


def labelled_batch(
    n: int,
    sheet_config: SheetConfig,
    config: ImagingConfig,
    *,
    key: PRNGKeyArray,
    bank: SheetBank | None = None,
) -> LabelledImage:
    """`n` labelled images at once; every array has a leading axis of `n`.

    Args:
        n: number of images.
        sheet_config: what the sheets are drawn from.
        config: what the images are drawn from.
        key: the one source of randomness.
        bank: sheets under the beam, of which `sheet_config.bank_share` of the images show pieces.
    """
    each = jax.vmap(jax.random.split)(jax.random.split(key, n))
    k_sheet, k_image = each[:, 0], each[:, 1]  # as in `labelled_image`
    cut = 0 if bank is None else round(sheet_config.bank_share * n)
    parts = []
    if bank is not None and cut:
        parts.append(jax.vmap(lambda k: cut_sheet(bank, sheet_config, key=k))(k_sheet[:cut]))
    if cut < n:
        parts.append(jax.vmap(lambda k: graphene_sheet(sheet_config, key=k))(k_sheet[cut:]))
    sheets = jax.tree.map(lambda *rows: jnp.concatenate(rows), *parts)
    return jax.vmap(lambda sheet, k: imaged(sheet, config, key=k))(sheets, k_image)
