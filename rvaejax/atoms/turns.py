"""Profile, noise and positions of one frame found in turns, each of which takes the others as they stand."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from rvaejax.atoms.background import COARSE_NM, background
from rvaejax.atoms.elastic import Windows, smoothed, windows
from rvaejax.atoms.fit import JOINT, Equations, Fit, Known, Patches, equations, far_light, pixel_weights, step
from rvaejax.atoms.noise import noise_of_counts, variance_of_differences
from rvaejax.atoms.patches import CHUNK, cut_patches, heights, on_device, padded, padded_rows, recut
from rvaejax.atoms.profile import Profile, peak
from rvaejax.atoms.profile_fit import fit_profile
from rvaejax.atoms.sample import FEWEST, sample_rows

CORES_NM = (0.022, 0.027, 0.033, 0.04, 0.048, 0.058, 0.07)  # widths tried for the profile's core
NEXT_CORE = 0.25  # logarithm of the largest change of the width after the first turn
LIMIT_NM = 0.02  # longest move in one sweep
ROUNDS = (4, 2)  # in which neighbours are heard: in the first turn, and in later ones
HEIGHT_SPREAD = 0.05  # least relative spread of the heights of one species
LARGEST_PX = 2048  # the smooth background of longer frames is left to each patch's own


class Look(NamedTuple):
    """How one turn goes.

    Attributes:
        spread: prior spread of the profile's weights around a Gaussian. The first turn sees atoms out of place, which
            smear the profile: it can tell less.
        sweeps: over the atoms after the profile is fitted.
        smooth: whether the smooth background is taken off first.
    """

    spread: float
    sweeps: int
    smooth: bool


LOOKS = (Look(0.05, 2, False), Look(0.1, 2, True), Look(0.1, 2, True))


class Frame(NamedTuple):
    """What stays the same in all turns; atoms in an order in which those that tell the profile come first.

    Attributes:
        image: the frame without hot pixels.
        xy: (n, 2) where patches were cut [px].
        species: (n,) numbers.
        near: (rows, JOINT) each atom and its nearest neighbours; rows are filled up to whole chunks.
        real: (rows, JOINT) 1 where there is one.
        first: number of atoms that tell the profile.
        sample: rows, among the first, from which profile and noise are told.
        sheet: neighbourhoods of the first.
        pixel_size_nm: [nm].
    """

    image: Float[np.ndarray, "h w"]
    xy: Float[np.ndarray, "n 2"]
    species: Int[np.ndarray, " n"]
    near: jax.Array
    real: jax.Array
    first: int
    sample: Int[np.ndarray, " m"]
    sheet: Windows
    pixel_size_nm: float


class State(NamedTuple):
    """What turns change.

    Attributes:
        fit: where all atoms are.
        known: what was known of them before.
        sd: (n,) standard deviation per axis [px].
        cores: widths still to be tried [px].
        profile: image of an atom, once fitted.
        chunks: patches of all atoms.
        weights: of their pixels, chunk by chunk.
        law: the noise, once told: see `pixel_weights`.
        scale: of what neighbours tell [px], once estimated.
        model, residual: of the sampled patches, filled up to a chunk.
    """

    fit: Fit
    known: Known
    sd: Float[np.ndarray, " n"]
    cores: Float[np.ndarray, " c"]
    profile: Profile | None
    chunks: list[Patches]
    weights: list[jax.Array]
    law: Float[np.ndarray, " 4"] | None
    scale: float | None
    model: Float[np.ndarray, "c k k"] | None
    residual: Float[np.ndarray, "c k k"] | None


def picked(chunks: list[jax.Array], rows: Int[np.ndarray, " m"]) -> np.ndarray:
    """Some rows of an array that comes in chunks, filled up with zeros to a chunk."""
    return padded(np.concatenate([np.asarray(c) for c in chunks])[rows], CHUNK)


def begin(
    image: Float[np.ndarray, "h w"],
    xy: Float[np.ndarray, "n 2"],
    species: Int[np.ndarray, " n"],
    sd: Float[np.ndarray, " n"],
    pixel_size_nm: float,
    *,
    first: int,
    special: Bool[np.ndarray, " n"],
    told: Bool[np.ndarray, " n"],
) -> tuple[Frame, State]:
    """Before the first turn.

    Args:
        image: the frame.
        xy: positions (x, y) [px], those that tell the profile first.
        species: number of each atom's species.
        sd: standard deviation of `xy` per axis [px].
        pixel_size_nm: the frame's pixel [nm].
        first: number of atoms that tell the profile.
        special: those that tell most.
        told: those that may tell.
    """
    rows = padded_rows(len(xy))
    chunks, near, real = cut_patches(image, xy, species, pixel_size_nm)
    near, real = near[:, :JOINT], real[:, :JOINT]
    whole = told[:first] & ((near[:first] < first) | (real[:first] == 0)).all(1)
    around = np.where((real[:first] > 0) & (near[:first] < first), near[:first], np.arange(first)[:, None])
    sample = sample_rows(around, special[:first], whole if whole.any() else np.full(first, True))
    height, variance = heights(image, xy), variance_of_differences(image)
    fit = Fit(on_device(xy, rows), on_device(height, rows))
    known = Known(fit.xy, on_device(1 / np.maximum(sd, 1e-6) ** 2, rows), fit.height, jnp.zeros_like(fit.height))
    frame = Frame(
        image, xy, species, jnp.asarray(padded(near, rows)), on_device(real, rows), first, sample,
        windows(xy[:first], species[:first], pixel_size_nm), pixel_size_nm,
    )  # fmt: skip
    weights = [chunk.inside / variance for chunk in chunks]
    cores = np.asarray(CORES_NM) / pixel_size_nm
    return frame, State(fit, known, sd, cores, None, chunks, weights, None, None, None, None)


def turn(frame: Frame, state: State, look: Look) -> State:
    """Profile, positions and noise, each told once more."""
    state = _heights_known(frame, _profile_told(frame, state, look))
    if look.smooth and max(frame.image.shape) <= LARGEST_PX:
        state = _background_off(frame, state)
    state, found = _swept(frame, state, look)
    inside = picked([chunk.inside for chunk in state.chunks], frame.sample)
    model, residual = (picked([getattr(s, name) for s in found], frame.sample) for name in ("model", "residual"))
    noise = noise_of_counts(model[inside > 0], residual[inside > 0])
    least = 1e-3 * float((residual[inside > 0] ** 2).mean())
    state = state._replace(law=np.asarray([*noise, least], np.float32), model=model, residual=residual)
    return _weighted(state, found)


def _profile_told(frame: Frame, state: State, look: Look) -> State:
    """The profile, fitted where neighbours, too, think that the atoms are.

    In a perfect lattice two sublattices moved apart look like elliptical spots.
    """
    first, fit = frame.first, state.fit
    flat = smoothed(
        np.asarray(fit.xy)[:first], state.sd[:first], frame.sheet, frame.pixel_size_nm,
        scale=state.scale, rounds=ROUNDS[state.scale is not None],
    )  # fmt: skip
    leading = slice(padded_rows(first) // CHUNK)
    shown = [picked([getattr(c, name) for c in state.chunks[leading]], frame.sample) for name in Patches._fields[1:]]
    weight = jnp.asarray(picked(state.weights[leading], frame.sample))
    at = fit._replace(xy=fit.xy.at[:first].set(jnp.asarray(flat.xy, jnp.float32)))
    patches = Patches(state.chunks[0].grid, *(jnp.asarray(part) for part in shown))
    count = int(frame.species.max(initial=0)) + 1
    profile = fit_profile(at, patches, weight, state.cores, count, look.spread)
    top = jax.vmap(peak)(profile.weights)
    profile = profile._replace(weights=profile.weights / top[:, None])
    numbers = jnp.asarray(padded(frame.species.astype(np.int32), len(fit.height)))
    cores = state.cores[np.abs(np.log(state.cores / float(profile.core))) < NEXT_CORE]
    fit = fit._replace(height=fit.height * jnp.maximum(top, 1e-3)[numbers])
    return state._replace(fit=fit, profile=profile, cores=cores, scale=flat.scale)


def _background_off(frame: Frame, state: State) -> State:
    """The patches without what is smooth in the frame."""
    rows = len(state.fit.height)
    assert state.profile is not None
    smooth = background(
        jnp.asarray(frame.image),
        state.fit,
        jnp.asarray(padded(frame.species.astype(np.int32), rows)),
        on_device(np.ones(len(frame.xy)), rows),
        state.profile,
        block=max(1, round(COARSE_NM / frame.pixel_size_nm)),
        pixel_size_nm=float(frame.pixel_size_nm),
    )
    chunks = recut(state.chunks, frame.image, np.asarray(smooth), frame.xy, frame.pixel_size_nm)
    return state._replace(chunks=chunks)


def _heights_known(frame: Frame, state: State) -> State:
    """Prior of the heights: atoms of a species are equally high, up to what those show that tell the profile."""
    height = np.asarray(state.fit.height)[: len(frame.xy)]
    usual, precision = np.ones(len(height)), np.zeros(len(height))
    for s in np.unique(frame.species):
        mine = frame.species == s
        shown = height[: frame.first][mine[: frame.first]]
        shown = shown if len(shown) else height[mine]
        usual[mine] = np.median(shown)
        if len(shown) >= FEWEST:
            deviation = 1.4826 * np.median(np.abs(shown - np.median(shown)))
            precision[mine] = max(HEIGHT_SPREAD * float(np.median(shown)), float(deviation)) ** -2.0
    rows = len(state.fit.height)
    known = state.known._replace(height=on_device(usual, rows), height_precision=on_device(precision, rows))
    return state._replace(known=known)


def _swept(frame: Frame, state: State, look: Look) -> tuple[State, list[Equations]]:
    """Some sweeps over the atoms."""
    assert state.profile is not None
    profile, fit = state.profile, state.fit
    state = state._replace(chunks=[c._replace(far=far_light(fit, c, profile)) for c in state.chunks])
    for sweep in range(look.sweeps):
        found = [equations(fit, c, w, profile) for c, w in zip(state.chunks, state.weights, strict=True)]
        system = (jnp.concatenate(parts) for parts in list(zip(*found, strict=True))[:3])
        limit = LIMIT_NM / frame.pixel_size_nm
        fit, covariance = step(fit, state.known, *system, frame.near, frame.real, limit)
        if sweep == look.sweeps - 2:  # not before: pixels around atoms that are still out of place look like outliers
            state = _weighted(state, found)
    trace = np.trace(np.asarray(covariance)[: len(frame.xy)], axis1=1, axis2=2)
    return state._replace(fit=fit, sd=np.sqrt(0.5 * np.maximum(trace, 0))), found


def _weighted(state: State, found: list[Equations]) -> State:
    """Pixels weighted by the noise as known, those that the fit cannot explain left out."""
    if state.law is None:
        return state
    law = jnp.asarray(state.law)
    weights = [pixel_weights(s, c.inside, law) for s, c in zip(found, state.chunks, strict=True)]
    return state._replace(weights=weights)
