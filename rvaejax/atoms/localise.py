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

import numpy as np
from jaxtyping import Float, Int
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.special import expit, logit

from rvaejax.atoms.config import LocalisationConfig
from rvaejax.atoms.elastic import smoothed, windows
from rvaejax.atoms.patches import view
from rvaejax.atoms.refine import refine_positions
from rvaejax.errors import NoAtomsError
from rvaejax.progress import progress
from rvaejax.types import Atoms, Maps

log = logging.getLogger(__name__)

ITERATIONS = 4
FARTHEST_NM = 0.03  # a refined position farther from the map's than this is none
SETTLING = 3  # rounds in which neighbours are heard, from the scale that the fit has found
DISC_OF_BLOB = 2.2  # radius within which a blob's mass is told, over the label's width: half a bond
WINDOW_OF_BLOB = 0.75  # width of the centroid's weight over the label's: narrow enough that neighbours do not pull


def peaks(density: Float[np.ndarray, "h w"], separation: float, least: float) -> Int[np.ndarray, "n 2"]:
    """Local maxima (x, y) [px] of at least `least`; of two nearer than `separation` the higher stays."""
    reach = max(round(separation), 1)
    highest = ndimage.maximum_filter(density, 2 * reach + 1, mode="constant")
    y, x = np.nonzero((density == highest) & (density > least))
    xy = np.column_stack([x, y])
    pairs = cKDTree(xy).query_pairs(reach, output_type="ndarray") if len(xy) else np.zeros((0, 2), int)
    return np.delete(xy, np.unique(pairs[:, 1]), axis=0)  # of equal neighbours the first stays


def _gaussian(centre: Float[np.ndarray, "n 2"], sigma: float, reach: int) -> Float[np.ndarray, "n k k"]:
    d = np.arange(-reach, reach + 1)
    gx = np.exp(-0.5 * ((d[None] - centre[:, 0:1]) / sigma) ** 2)
    gy = np.exp(-0.5 * ((d[None] - centre[:, 1:2]) / sigma) ** 2)
    return gy[:, :, None] * gx[:, None, :]


def weighted_centroids(
    patches: Float[np.ndarray, "n k k"], blob: float
) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, " n"]]:
    """Centre (x, y) of the blob in each patch, from the patch's middle, and its variance per axis [px, px²].

    A centroid weighted by a Gaussian of width w moves from its centre by w² / (w² + b²) of the way to a Gaussian blob
    of width b; dividing by that factor and repeating converges on the blob's centre.
    """
    reach = patches.shape[1] // 2
    window = WINDOW_OF_BLOB * blob
    gain = 1 + (blob / window) ** 2
    d = np.arange(-reach, reach + 1)
    centre = np.zeros((len(patches), 2))
    for _ in range(ITERATIONS):
        weight = patches * _gaussian(centre, window, reach)
        total = np.maximum(weight.sum((1, 2)), 1e-12)
        mean = np.column_stack([(weight.sum(1) @ d) / total, (weight.sum(2) @ d) / total])
        centre = np.clip(centre + gain * (mean - centre), -reach / 2, reach / 2)
    weight = patches * _gaussian(centre, window, reach)
    total = np.maximum(weight.sum((1, 2)), 1e-12)
    dx, dy = d[None] - centre[:, 0:1], d[None] - centre[:, 1:2]
    variance = 0.5 * ((weight.sum(1) * dx**2).sum(1) + (weight.sum(2) * dy**2).sum(1)) / total
    # the weighted variance v of a blob of variance s: 1/v = 1/s + 1/w²
    return centre, 1 / np.maximum(1 / np.maximum(variance, 1e-6) - 1 / window**2, 1e-3)


def split_merged(
    patches: Float[np.ndarray, "n k k"], blob: float, least_mass: float
) -> tuple[Int[np.ndarray, " m"], Float[np.ndarray, "m 2 2"]]:
    """Blobs that hold two atoms, and where these are.

    A blob of about two labels' mass is compared with two labels, clipped to a sum of 1 as the training's are, at every
    direction and distance on a grid around its centroid.

    Args:
        patches: density around each peak; the peak is in the middle.
        blob: standard deviation of a label [px].
        least_mass: in units of a label's mass, from which a blob is two.

    Returns:
        Rows of `patches`, and two positions (x, y) each, from the patch's middle [px].
    """
    if not len(patches):
        return np.zeros(0, int), np.zeros((0, 2, 2))
    reach = patches.shape[1] // 2
    d = np.arange(-reach, reach + 1)
    x, y = (v.ravel().astype(float) for v in np.meshgrid(d, d))
    disc = np.hypot(x, y) <= DISC_OF_BLOB * blob
    weight = patches.reshape(len(patches), -1)[:, disc].astype(float)
    x, y = x[disc], y[disc]
    rows = np.flatnonzero(weight.sum(1) > least_mass * 2 * np.pi * blob**2)
    if not len(rows):
        return rows, np.zeros((0, 2, 2))
    weight, points = weight[rows], np.stack([x, y], -1)
    mean = weight @ points / weight.sum(1, keepdims=True)
    phi, half = (v.ravel() for v in np.meshgrid(np.arange(18) * np.pi / 18, blob * np.linspace(0.5, 1.5, 21)))
    arm = half[:, None] * np.column_stack([np.cos(phi), np.sin(phi)])
    labels = [
        np.exp(-0.5 * ((points - mean[:, None, None] - side * arm[None, :, None]) ** 2).sum(-1) / blob**2)
        for side in (1, -1)
    ]
    missed = ((np.minimum(labels[0] + labels[1], 1.0) - weight[:, None]) ** 2).sum(2)
    best = arm[missed.argmin(1)]
    return rows, np.stack([mean + best, mean - best], 1)


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
    maps = np.asarray(probabilities, np.float32)
    density = maps.sum(-1)
    blob = config.blob_nm / pixel_size_nm
    smooth = ndimage.gaussian_filter(density, config.smoothing_nm / pixel_size_nm)
    xy = peaks(smooth, config.separation_nm / pixel_size_nm, 0.3 * config.threshold)
    reach = int(np.ceil(2.5 * blob))
    patches = view(density, reach)[xy[:, 1], xy[:, 0]]
    offset, variance = weighted_centroids(patches, blob)
    merged, pairs = split_merged(patches, blob, config.merged_mass)
    xy, patches, variance = (
        np.concatenate([np.delete(v, merged, 0), np.repeat(v[merged], 2, 0)]) for v in (xy, patches, variance)
    )
    offset = np.concatenate([np.delete(offset, merged, 0), pairs.reshape(-1, 2)])
    label = _gaussian(offset, blob, reach)
    norm = (label**2).sum((1, 2))
    per_species = np.stack(
        [(view(maps[..., c], reach)[xy[:, 1], xy[:, 0]] * label).sum((1, 2)) for c in range(maps.shape[-1])], 1
    )
    score = probability(per_species.sum(1) / norm, config)
    excess = np.maximum(variance - blob**2 - (config.blur_nm / pixel_size_nm) ** 2, 0)
    sd = np.sqrt(config.spread_gain**2 * excess + (config.floor_nm / pixel_size_nm) ** 2)
    keep = score >= config.threshold
    return (xy + offset)[keep], species_of(per_species, config.dopant_share)[keep], score[keep], sd[keep]


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
) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, " n"]]:
    """Positions and standard deviations [px] from the map, the frame, and what neighbours tell, in this order.

    A frame to which no profile can be fitted (saturated, or of another kind than sums of spots) keeps the map's.
    """
    fit = refine_positions(image, xy, species, sd, pixel_size_nm)
    farthest = FARTHEST_NM / pixel_size_nm
    good = np.isfinite(fit.xy).all(1) & np.isfinite(fit.sd) & (fit.sd > 0)
    good &= np.hypot(*(fit.xy - xy).T) < farthest
    measured, spread = np.where(good[:, None], fit.xy, xy), np.where(good, fit.sd, sd)
    sheet = windows(measured, species, pixel_size_nm)
    settled = smoothed(measured, spread, sheet, pixel_size_nm, scale=fit.scale, rounds=SETTLING)
    near = np.hypot(*(settled.xy - xy).T) < farthest
    return np.where(near[:, None], settled.xy, xy), np.where(near, settled.sd, sd)


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
        (x, y), sd = (v.T for v in refined(frame, np.column_stack([x, y]), species, config.prior_gain * sd, px))
        sd = config.sd_gain * sd
    columns = [np.full(len(x), t), x, y, np.asarray(maps.species)[species], score, sd]
    order = np.lexsort((x, y))
    return [column[order] for column in columns]
