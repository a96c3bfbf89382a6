"""Pieces of large simulated sheets under the beam: realistic disorder for training images at the price of a crop."""

from __future__ import annotations

import functools
from importlib import resources
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from rvaejax.simulate.config import SheetConfig
from rvaejax.simulate.sheet import MARGIN_NM, Sheet, capacity


class SheetBank(NamedTuple):
    """Large sheets, one row each; `field_nm` is their side, positions [nm] run from 0 to it."""

    xy: Float[Array | np.ndarray, "sheets n 2"]
    species: Int[Array | np.ndarray, "sheets n"]
    mask: Bool[Array | np.ndarray, "sheets n"]
    field_nm: Float[Array | np.floating, ""] | np.floating


@functools.cache
def shipped_bank() -> SheetBank:
    """The package's own sheets (NumPy arrays, loaded once), as `experiments/make_sheet_bank.py` simulated them."""
    with resources.as_file(resources.files("rvaejax.simulate") / "sheets.npz") as path, np.load(path) as stored:
        counts = stored["count"]
        mask = np.arange(counts.max())[None, :] < counts[:, None]
        xy = np.zeros((*mask.shape, 2), np.float32)
        species = np.zeros(mask.shape, np.int32)
        xy[mask] = stored["xy"].astype(np.float32) * float(stored["unit_nm"])
        species[mask] = stored["species"]
        return SheetBank(xy, species, mask, np.float32(stored["field_nm"]))


def cut_sheet(bank: SheetBank, config: SheetConfig, *, key: PRNGKeyArray) -> Sheet:
    """A piece of a random sheet, at any place, turned by any angle, mirrored or not, slightly strained.

    Args:
        bank: the large sheets; their side should be at least 1.5 times the piece's.
        config: the piece's side, strain, scale, displacements, and the chance that it is empty.
        key: the one source of randomness.
    """
    k = jax.random.split(key, 8)
    field = config.field_nm
    sheets = jax.tree.map(jnp.asarray, bank)
    row = jax.random.randint(k[0], (), 0, len(bank.mask))
    corner = (field / 2 + MARGIN_NM) * jnp.sqrt(2.0)
    reach = jnp.minimum(corner, sheets.field_nm / 2)
    centre = jax.random.uniform(k[1], (2,), minval=reach, maxval=sheets.field_nm - reach)
    phi = jax.random.uniform(k[2], maxval=2 * jnp.pi)
    mirror = jnp.where(jax.random.bernoulli(k[3]), -1.0, 1.0)
    c, s = jnp.cos(phi), jnp.sin(phi)
    turn = jnp.stack([jnp.stack([c, -s]), jnp.stack([s * mirror, c * mirror])])
    scale = 1 + config.scale_jitter * jax.random.uniform(k[4], minval=-1.0)
    affine = turn @ (scale * jnp.eye(2) + config.strain * jax.random.normal(k[5], (2, 2)))
    xy = (sheets.xy[row] - centre[None]) @ affine
    mask = sheets.mask[row] & (jnp.abs(xy).max(1) <= field / 2 + MARGIN_NM)
    chosen = jnp.argsort(jnp.where(mask, 0, 1))[: capacity(field)]
    xy, mask, species = xy[chosen], mask[chosen], sheets.species[row][chosen]
    xy = xy + field / 2 + config.displacement_nm * jax.random.normal(k[6], xy.shape)
    mask = mask & ~jax.random.bernoulli(k[7], config.empty_probability)
    return Sheet(xy, jnp.where(mask, species, 0), mask)
