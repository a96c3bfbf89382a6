"""From probability maps to atoms: sub-pixel positions with species, score and uncertainty.

The segmenter's label of an atom is a Gaussian of height 1 and known width. Where it is sure, its map repeats that
blob; where the image leaves the position open, the blob is the label blurred by the posterior of the position. So the
centroid is the expected position, the blob's excess second moment a measure of the position's variance (calibrated,
since networks blur on their own), and its overlap with the label the probability that an atom is there.

The network's own resolution ends at some picometres. Where the frame itself is at hand, that is only the start: the
atoms are fitted to the frame (`refine`), and neighbours are heard (`elastic`).
"""

from __future__ import annotations

import logging
import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Num
from scipy.special import expit, logit

from rvaejax.atoms.config import LocalisationConfig
from rvaejax.atoms.elastic import smoothed, spread, windows
from rvaejax.atoms.patches import padded, padded_rows
from rvaejax.atoms.refine import refine_positions
from rvaejax.atoms.spots import Lengths, Spots, find_spots, split_spots
from rvaejax.errors import NoAtomsError
from rvaejax.progress import progress
from rvaejax.types import Atoms, Maps

log = logging.getLogger(__name__)

FARTHEST_NM = 0.03  # a refined position farther from the map's than this is none
SETTLING = 3  # rounds in which neighbours are heard, from the scale that the fit has found
DENSEST_NM2 = 50.0  # atoms: graphene has 38; room for blobs is made for so many at first
SPLIT_ROWS = 32  # blobs that are taken for two in one compiled call


def localise_frame(
    probabilities: Float[np.ndarray, "h w c"], pixel_size_nm: float, config: LocalisationConfig
) -> tuple[Float[np.ndarray, "n 2"], Int[np.ndarray, " n"], Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Atoms of one frame of maps.

    Args:
        probabilities: per species.
        pixel_size_nm: pixel of the maps.
        config: lengths and threshold.

    Returns:
        xy (n, 2) [map px], species index (n,), score (n,), standard deviation per axis (n,) [map px].
    """
    maps = jnp.asarray(probabilities)
    lengths = Lengths(
        config.blob_nm / pixel_size_nm,
        config.smoothing_nm / pixel_size_nm,
        config.separation_nm / pixel_size_nm,
        0.3 * config.threshold,
    )
    spots = found_spots(maps, lengths, pixel_size_nm)
    merged = np.flatnonzero(spots.mass > config.merged_mass)
    ends, overlaps = split(maps, np.asarray(spots.pixel)[merged], lengths)
    pixel, variance = (
        np.concatenate([np.delete(v, merged, 0), np.repeat(v[merged], 2, 0)]) for v in (spots.pixel, spots.variance)
    )
    offset = np.concatenate([np.delete(spots.offset, merged, 0), ends])
    overlap = np.concatenate([np.delete(spots.overlap, merged, 0), overlaps])
    score = probability(overlap.sum(1), config)
    excess = np.maximum(variance - lengths.blob**2 - (config.blur_nm / pixel_size_nm) ** 2, 0)
    sd = np.sqrt(config.spread_gain**2 * excess + (config.floor_nm / pixel_size_nm) ** 2)
    xy = pixel + offset
    keep = (score >= config.threshold) & is_inside(xy, maps.shape)
    return xy[keep], species_of(overlap, config.dopant_share)[keep], score[keep], sd[keep]


def found_spots(maps: Num[Array, "h w c"], lengths: Lengths, pixel_size_nm: float) -> Spots:
    """The blobs of one frame of maps, on the host, without empty rows."""
    rows = padded_rows(math.ceil(DENSEST_NM2 * maps.shape[0] * maps.shape[1] * pixel_size_nm**2))
    spots = find_spots(maps, lengths, rows)
    total = int(spots.total)
    if total > rows:  # denser than any sheet
        spots = find_spots(maps, lengths, padded_rows(2 * total))
    filled = {name: np.asarray(getattr(spots, name))[:total] for name in Spots._fields[:-1]}
    return spots._replace(**filled)


def split(
    maps: Num[Array, "h w c"], pixel: Int[np.ndarray, "m 2"], lengths: Lengths
) -> tuple[Float[np.ndarray, "k 2"], Float[np.ndarray, "k c"]]:
    """Of blobs that hold two atoms, one atom after the other: offsets from the blobs' pixels, overlaps with the label.

    In chunks of one size, so that one compilation serves all frames.
    """
    ends, overlaps = [np.zeros((0, 2))], [np.zeros((0, maps.shape[2]))]
    for first in range(0, len(pixel), SPLIT_ROWS):
        part = pixel[first : first + SPLIT_ROWS]
        end, overlap = split_spots(maps, jnp.asarray(padded(part, SPLIT_ROWS)), lengths)
        ends.append(np.asarray(end)[: len(part)].reshape(-1, 2))
        overlaps.append(np.asarray(overlap)[: len(part)].reshape(-1, maps.shape[2]))
    return np.concatenate(ends), np.concatenate(overlaps)


def probability(overlap: Float[np.ndarray, " n"], config: LocalisationConfig) -> Float[np.ndarray, " n"]:
    """Probability of an atom, from a blob's overlap with the label: what the network states, calibrated."""
    sure = 1e-3  # the network's own scale ends here
    clipped = np.clip(overlap, sure, 1 - sure)
    return expit(config.score_offset + config.score_gain * logit(clipped))


def species_of(weights: Float[np.ndarray, "n c"], dopant_share: float) -> Int[np.ndarray, " n"]:
    """Species of each blob from its weight in each channel: the first unless another has at least `dopant_share`."""
    best = weights.argmax(1)
    share = weights.max(1) / np.maximum(weights.sum(1), 1e-12)
    return np.where(share >= dopant_share, best, 0)


def is_inside(xy: Float[np.ndarray, "n 2"], shape: tuple[int, ...]) -> Bool[np.ndarray, " n"]:
    """Which positions (x, y) [px] lie in a frame (h, w, ...); atoms beyond it only shine in."""
    inside = (xy >= -0.5) & (xy <= np.array([shape[1], shape[0]]) - 0.5)
    return np.asarray(inside.all(axis=1))


def is_credible(score: Float[np.ndarray, " n"], least: float) -> bool:
    """Whether a frame's atoms are a lattice rather than noise: their median score, of those above a half."""
    sure = score[score >= 0.5]
    return not len(sure) or bool(np.median(sure) >= least)


def refined(
    image: Float[np.ndarray, "h w"],
    xy: Float[np.ndarray, "n 2"],
    species: Int[np.ndarray, " n"],
    sd: Float[np.ndarray, " n"],
    pixel_size_nm: float,
    prior_gain: float,
) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, " n"]]:
    """Positions and standard deviations [px] from the map, the frame, and what neighbours tell, in this order.

    A frame to which no profile can be fitted (saturated, or of another kind than sums of spots) keeps the map's.
    """
    fit = refine_positions(image, xy, species, prior_gain * sd, pixel_size_nm)
    farthest = FARTHEST_NM / pixel_size_nm
    good = np.isfinite(fit.xy).all(1) & np.isfinite(fit.sd) & (fit.sd > 0)
    good &= np.hypot(*(fit.xy - xy).T) < farthest
    measured, alone = np.where(good[:, None], fit.xy, xy), np.where(good, fit.sd, sd)
    sheet = windows(measured, species, pixel_size_nm)
    settled = smoothed(measured, alone, sheet, pixel_size_nm, scale=fit.scale, rounds=SETTLING)
    together = spread(measured, alone, settled.stiffness, sheet)
    near = np.hypot(*(settled.xy - xy).T) < farthest
    return np.where(near[:, None], settled.xy, xy), np.where(near, together, sd)


def find_atoms(maps: Maps, *, config: LocalisationConfig | None = None) -> Atoms:
    """Atoms of all frames; positions in px of the input frames.

    Maps that were rendered from a table of coordinates return that table's atoms.

    Args:
        maps: probability maps.
        config: lengths and threshold.

    Returns:
        Atoms of all frames. Where `maps.movie` is at hand, positions are refined on its frames.

    Raises:
        NoAtomsError: no frame holds an atom.
    """
    if maps.atoms is not None:
        return maps.atoms
    config = config or LocalisationConfig()
    rows, noise = [], []
    for t in progress(range(len(maps)), desc="finding atoms"):
        found = _frame_rows(maps, t, config)
        if not is_credible(found[4], config.credible):
            noise.append(t)
            found = [column[:0] for column in found]
        rows.append(found)
    frame, x, y, species, score, sd = (np.concatenate(column) for column in zip(*rows, strict=True))
    if not len(x):
        raise NoAtomsError(
            f"{maps.name}: no atoms found; check the pixel size ({maps.input_pixel_size_nm:.4g} nm) and that the "
            "image is atomically resolved"
        )
    if noise:
        log.warning(
            "%s: %d of %d frames show nothing but noise, the first is %d", maps.name, len(noise), len(maps), noise[0]
        )
    log.info("%s: %d atoms in %d frames", maps.name, len(x), len(maps))
    return Atoms(frame.astype(np.int64), x, y, species, score, sd, maps.input_pixel_size_nm)


def _frame_rows(maps: Maps, t: int, config: LocalisationConfig) -> list[np.ndarray]:
    """Columns of the atoms table for one frame, in px of the input frame, from top to bottom."""
    sy, sx = maps.scale
    xy, species, score, sd = localise_frame(maps.probabilities[t], maps.pixel_size_nm, config)
    # pixel centres at whole numbers on both grids
    x, y = (xy[:, 0] + 0.5) * sx - 0.5, (xy[:, 1] + 0.5) * sy - 0.5
    sd = sd * np.sqrt(sx * sy)
    if config.refine and maps.movie is not None and len(x) and is_credible(score, config.credible):
        frame = np.asarray(maps.movie.frames[t])
        px = maps.input_pixel_size_nm
        (x, y), sd = (v.T for v in refined(frame, np.column_stack([x, y]), species, sd, px, config.prior_gain))
    columns = [np.full(len(x), t), x, y, np.asarray(maps.species)[species], score, sd]
    inside = np.flatnonzero(is_inside(np.column_stack([x, y]), maps.input_size))
    order = inside[np.lexsort((x[inside], y[inside]))]
    return [column[order] for column in columns]
