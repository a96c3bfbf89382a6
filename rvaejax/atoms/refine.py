"""From positions good to a pixel to positions limited by the photons: the fit to the frame, as the host leads it."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import nnls

from rvaejax.atoms.background import COARSE_NM, background
from rvaejax.atoms.elastic import Windows, smoothed, windows
from rvaejax.atoms.fit import JOINT, Fit, Known, Patches, equations, pixel_weights, step
from rvaejax.atoms.patches import CHUNK, cut_patches, padded, padded_rows, recut
from rvaejax.atoms.profile import Profile, peak
from rvaejax.atoms.profile_fit import fit_profile

CORES_NM = (0.022, 0.027, 0.033, 0.04, 0.048, 0.058, 0.07)  # widths tried for the profile's core
LIMIT_NM = 0.02  # longest move in one sweep
# Looks at profile and noise: prior spread of the profile's weights around a Gaussian, and sweeps over the atoms after
# it. The first look sees atoms out of place, which smear the profile: it can tell less.
LOOKS = ((0.05, 2), (0.1, 2), (0.1, 3))
HOT = (0.005, 0.5, 0.995)  # quantiles that say how bright pixels may be
BORDER_NM = 0.3  # atoms nearer to the border do not tell the profile
USUAL = 2.5  # standard deviations from the median brightness within which surroundings are usual
HEIGHT_SPREAD = 0.05  # least spread of the heights of one species
FEWEST = 30  # atoms from which profile and noise are told, if there are so many
LARGEST_PX = 2048  # the smooth background of longer frames is left to each patch's constant
BINNED_NM = 0.012  # finer frames are averaged over blocks of pixels up to about this


class Refined(NamedTuple):
    """Refined atoms of one frame.

    Attributes:
        xy: (n, 2) positions [px].
        sd: (n,) their standard deviation per axis [px].
        height: (n,) peak of each atom, in the frame's units.
        profile: image of an atom of each species.
        noise: variance of a pixel = noise[0] + noise[1] * (brightness - noise[2]).
        gain: by how much correlations of the noise widen the positions' variance.
        sheet: each atom's neighbourhood, for what neighbours tell.
    """

    xy: Float[np.ndarray, "n 2"]
    sd: Float[np.ndarray, " n"]
    height: Float[np.ndarray, " n"]
    profile: Profile
    noise: tuple[float, float, float]
    gain: float
    sheet: Windows


def typical(chunks: list[Patches], species: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Atoms in surroundings of usual brightness and slope: on the bare sheet, away from contamination.

    The rarer species, brighter than the others by nature, are not asked.
    """
    grid = chunks[0].grid
    numbers = []
    for chunk in chunks:
        total = jnp.maximum(chunk.inside.sum((1, 2)), 1.0)
        shown = chunk.values * chunk.inside
        slope = jnp.hypot((shown.sum(1) * grid[None]).sum(1), (shown.sum(2) * grid[None]).sum(1))
        numbers.append(jnp.stack([shown.sum((1, 2)) / total, slope / total], 1))
    measured = np.concatenate([np.asarray(v) for v in numbers])[: len(species)]
    common = measured[species == 0] if (species == 0).any() else measured
    middle = np.median(common, 0)
    spread = 1.4826 * np.median(np.abs(common - middle), 0) + 1e-12
    return ((measured - middle < USUAL * spread) & (middle - measured < 2 * USUAL * spread)).all(1) | (species > 0)


def sample_rows(
    near: Int[np.ndarray, "n j"],
    real: Float[np.ndarray, "n j"],
    species: Int[np.ndarray, " n"],
    usable: Bool[np.ndarray, " n"],
) -> Int[np.ndarray, " m"]:
    """Atoms that tell profile and noise: those around the rarer species, then an even sample of the others.

    Args:
        near: each atom and its neighbours.
        real: which of them exist.
        species: of each atom.
        usable: which atoms may be taken: none near the border, into whose patches atoms shine that nobody sees.
    """
    rare = np.flatnonzero((species > 0) & usable)[: CHUNK // (2 * JOINT)]
    around = np.unique(near[rare, :JOINT][real[rare, :JOINT] > 0]).astype(int)
    around = around[usable[around]]
    rest = np.setdiff1d(np.flatnonzero(usable), around)
    room = CHUNK - len(around)
    return np.concatenate([around, rest[np.linspace(0, len(rest) - 1, min(room, len(rest))).astype(int)]])


def noise_of_counts(
    model: Float[np.ndarray, " k"], residual: Float[np.ndarray, " k"], bins: int = 12
) -> tuple[float, float, float]:
    """Variance of a pixel as a straight line over its brightness: counting and read-out noise of an unknown gain."""
    low, high = np.percentile(model, [2, 98])
    bright = np.clip(model, low, high)
    place = np.clip(((bright - low) / max(high - low, 1e-30) * bins).astype(int), 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    used = count > 20
    if not used.any():
        return float((residual**2).mean()), 0.0, float(low)
    variance = np.bincount(place, residual**2, bins)[used] / count[used]
    mean = np.bincount(place, bright, bins)[used] / count[used] - low
    design = np.column_stack([np.ones(len(mean)), mean])
    precision = np.sqrt(count[used]) / np.maximum(variance, 1e-30)  # of a mean of squares
    scale = precision.max()
    (offset, slope), _ = nnls(design * (precision / scale)[:, None], variance * precision / scale)
    return float(offset), float(slope), float(low)


def correlation_gain(residual: Float[np.ndarray, "n k k"], inside: Float[np.ndarray, "n k k"]) -> float:
    """By how much correlated noise widens what is averaged over many pixels: the sum of its autocorrelation."""
    r = residual * inside
    total = 0.0
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        total += 2 * float((r * np.roll(r, (dy, dx), (1, 2))).sum())
    return max(1.0, 1.0 + total / max(float((r**2).sum()), 1e-30))


def _start(image: Float[np.ndarray, "h w"], xy: Float[np.ndarray, "n 2"]) -> tuple[np.ndarray, float]:
    """Heights read off the frame, and the noise's variance from second differences, which a smooth image has not."""
    h, w = image.shape
    at = np.clip(np.round(xy).astype(int), 0, [w - 1, h - 1])
    floor = 1e-3 * max(float(np.ptp(image)), 1e-12)
    height = np.maximum(image[at[:, 1], at[:, 0]] - np.percentile(image, 5), floor)
    difference = image[1:, 1:] + image[:-1, :-1] - image[1:, :-1] - image[:-1, 1:]
    variance = (1.4826 * np.median(np.abs(difference - np.median(difference)))) ** 2 / 4
    return height, max(float(variance), 1e-6 * float(image.var()), 1e-20)


def _usual_heights(height: Float[np.ndarray, " n"], species: Int[np.ndarray, " n"], rows: int) -> dict[str, jax.Array]:
    """Prior of the heights: atoms of a species are equally high, up to what the frame itself shows."""
    usual, spread = np.ones(len(height)), np.full(len(height), np.inf)
    for s in np.unique(species):
        mine = species == s
        usual[mine] = np.median(height[mine])
        if mine.sum() >= FEWEST:
            deviation = 1.4826 * np.median(np.abs(height[mine] - usual[mine]))
            spread[mine] = max(HEIGHT_SPREAD * usual[mine][0], deviation)
    return {
        "height": jnp.asarray(padded(usual.astype(np.float32), rows)),
        "height_precision": jnp.asarray(padded((1 / spread**2).astype(np.float32), rows)),
    }


def _rows(chunks: list[jax.Array], rows: Int[np.ndarray, " m"]) -> np.ndarray:
    """Some rows of an array that comes in chunks, filled up with zeros to a chunk."""
    return padded(np.concatenate([np.asarray(c) for c in chunks])[rows], CHUNK)


def _binned(image: Float[np.ndarray, "h w"], block: int) -> Float[np.ndarray, "h2 w2"]:
    h, w = (side // block * block for side in image.shape)
    return image[:h, :w].reshape(h // block, block, w // block, block).mean((1, 3))


def refine_positions(
    image: Float[np.ndarray, "h w"],
    xy: Float[np.ndarray, "n 2"],
    species: Int[np.ndarray, " n"],
    sd: Float[np.ndarray, " n"],
    pixel_size_nm: float,
) -> Refined:
    """Positions of known atoms, refined on the frame by weighted least squares.

    The profile of an atom, the noise's dependence on brightness and the positions are found in turns (`LOOKS`).

    Args:
        image: the frame, intensities in any unit.
        xy: positions (x, y) right to about a third of a bond [px].
        species: number of each atom's species; the first is the common one.
        sd: standard deviation of `xy` per axis [px]: the fit starts from it as from a normal prior.
        pixel_size_nm: the frame's pixel [nm].
    """
    block = max(1, int(BINNED_NM / pixel_size_nm)) if min(image.shape) >= 64 else 1
    if block > 1:
        shift = (block - 1) / 2  # pixel centres at whole numbers on both grids
        coarse = refine_positions(
            _binned(image, block), (xy - shift) / block, species, sd / block, pixel_size_nm * block
        )
        return coarse._replace(xy=coarse.xy * block + shift, sd=coarse.sd * block)
    n, count = len(xy), int(species.max(initial=0)) + 1
    low, middle, high = np.quantile(image, HOT)  # single hot pixels are cut down before anything is fitted to them
    image = np.clip(image, middle - 3 * (high - low), middle + 3 * (high - low)).astype(np.float32)
    chunks, near, real = cut_patches(image, xy, species, pixel_size_nm)
    height, variance = _start(image, xy)
    rows = padded_rows(n)
    fit = Fit(*(jnp.asarray(padded(v.astype(np.float32), rows)) for v in (xy, height)))
    known = Known(fit.xy, jnp.asarray(padded((1 / np.maximum(sd, 1e-6) ** 2).astype(np.float32), rows)), fit.height, 0 * fit.height)
    h, w = image.shape
    border = np.minimum(np.minimum(*xy.T), np.minimum(w - 1 - xy[:, 0], h - 1 - xy[:, 1])) * pixel_size_nm
    usable = border > BORDER_NM
    usable &= typical(chunks, species) if usable.sum() >= FEWEST else True
    if usable.sum() < FEWEST:
        usable = border > 0.5 * BORDER_NM if (border > 0.5 * BORDER_NM).sum() >= FEWEST else np.full(n, True)
    sample = sample_rows(near, real, species, usable)
    fields = {name: jnp.asarray(_rows([getattr(c, name) for c in chunks], sample)) for name in Patches._fields[1:]}
    shown = Patches(chunks[0].grid, **fields)
    weights = [chunk.inside / variance for chunk in chunks]
    shown_weight = shown.inside / variance
    cores = np.asarray(CORES_NM) / pixel_size_nm
    sheet = windows(xy, species, pixel_size_nm)
    bonded = (jnp.asarray(padded(near[:, :JOINT], rows)), jnp.asarray(padded(real[:, :JOINT].astype(np.float32), rows)))
    numbers = jnp.asarray(padded(species.astype(np.int32), rows))
    there = jnp.asarray(padded(np.ones(n, np.float32), rows))
    block = max(1, round(COARSE_NM / pixel_size_nm))
    for look, (spread, sweeps) in enumerate(LOOKS):
        # In a perfect lattice two sublattices moved apart look like elliptical spots: the profile is fitted where
        # neighbours, too, think that the atoms are.
        flat, _ = smoothed(np.asarray(fit.xy)[:n], sd, sheet, pixel_size_nm)
        at = fit._replace(xy=jnp.asarray(padded(flat.astype(np.float32), rows)))
        profile = fit_profile(at, shown, shown_weight, cores, count, spread)
        top = jax.vmap(peak)(profile.weights)
        profile = profile._replace(weights=profile.weights / top[:, None])
        fit = fit._replace(height=fit.height * jnp.maximum(top, 1e-3)[numbers])
        cores = cores[np.abs(np.log(cores / float(profile.core))) < 0.25]
        if look and max(image.shape) <= LARGEST_PX:
            smooth = background(
                jnp.asarray(image), fit, numbers, there, profile, block=block, pixel_size_nm=float(pixel_size_nm)
            )
            chunks = recut(chunks, image, np.asarray(smooth), xy, pixel_size_nm)
            shown = shown._replace(**{k: jnp.asarray(_rows([getattr(c, k) for c in chunks], sample)) for k in ("values", "slope")})
        known = known._replace(**_usual_heights(np.asarray(fit.height)[:n], species, rows))
        for _ in range(sweeps):
            found = [equations(fit, c, w, profile) for c, w in zip(chunks, weights, strict=True)]
            system = (jnp.concatenate(parts) for parts in list(zip(*found, strict=True))[:3])
            fit, covariance = step(fit, known, *system, *bonded, LIMIT_NM / pixel_size_nm)
        sd = np.sqrt(0.5 * np.maximum(np.trace(np.asarray(covariance)[:n], axis1=1, axis2=2), 0))
        inside = np.asarray(shown.inside)
        model, residual = (_rows([getattr(s, name) for s in found], sample) for name in ("model", "residual"))
        noise = noise_of_counts(model[inside > 0], residual[inside > 0])
        least = 1e-3 * float((residual[inside > 0] ** 2).mean())
        law = jnp.asarray([*noise, least], jnp.float32)
        weights = [pixel_weights(s, c.inside, law) for s, c in zip(found, chunks, strict=True)]
        shown_weight = jnp.asarray(_rows(weights, sample))
    gain = correlation_gain(residual, inside)
    return Refined(np.asarray(fit.xy)[:n], np.sqrt(gain) * sd, np.asarray(fit.height)[:n], profile, noise, gain, sheet)
