"""Profile, noise and positions of one frame found in turns, each of which takes the others as they stand."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from rvaejax.atoms.background import COARSE_NM, background
from rvaejax.atoms.elastic import smoothed
from rvaejax.atoms.fit import JOINT, Equations, Fit, Known, Patches, equations, far_light, pixel_weights, step
from rvaejax.atoms.noise import correlation_gain, noise_of_counts, variance_of_differences
from rvaejax.atoms.patches import CHUNK, cut_patches, heights, on_device, padded, padded_rows, recut
from rvaejax.atoms.profile import Profile, peak
from rvaejax.atoms.profile_fit import fit_profile
from rvaejax.atoms.sample import FEWEST
from rvaejax.atoms.state import Frame, Learned, State, Telling

peaks_of = jax.jit(jax.vmap(peak))
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


SWEEPS = 2  # over the atoms before, and after, the background is taken off


def _picked(chunks: list[jax.Array], rows: Int[np.ndarray, " m"]) -> np.ndarray:
    """Some rows of an array that comes in chunks, filled up with zeros to a chunk."""
    return padded(np.concatenate([np.asarray(c) for c in chunks])[rows], CHUNK)


def begin(
    image: Float[np.ndarray, "h w"],
    xy: Float[np.ndarray, "n 2"],
    species: Int[np.ndarray, " n"],
    sd: Float[np.ndarray, " n"],
    pixel_size_nm: float,
) -> tuple[Frame, State]:
    """Before the first turn.

    Args:
        image: the frame.
        xy: positions (x, y) [px].
        species: number of each atom's species.
        sd: standard deviation of `xy` per axis [px].
        pixel_size_nm: the frame's pixel [nm].
    """
    rows = padded_rows(len(xy))
    chunks, near, real = cut_patches(image, xy, species, pixel_size_nm)
    fit = Fit(on_device(xy, rows), on_device(heights(image, xy), rows))
    known = Known(fit.xy, on_device(1 / np.maximum(sd, 1e-6) ** 2, rows), fit.height, jnp.zeros_like(fit.height))
    bonded = jnp.asarray(padded(near[:, :JOINT], rows)), on_device(real[:, :JOINT], rows)
    variance = variance_of_differences(image)
    weights = [chunk.inside / variance for chunk in chunks]
    return Frame(image, xy, species, *bonded, pixel_size_nm), State(fit, known, sd, chunks, weights)


def learn(frame: Frame, state: State, telling: Telling) -> tuple[State, Learned]:
    """Profile, positions and noise, each told in turns from where the others stand."""
    cores = np.asarray(CORES_NM) / frame.pixel_size_nm
    scale: float | None = None
    law: Float[np.ndarray, " 5"] | None = None
    for look in LOOKS:
        state, profile, scale = _profile_told(frame, state, telling, cores, scale, look.spread)
        cores = cores[np.abs(np.log(cores / float(profile.core))) < NEXT_CORE]
        usual, precision = _usual_heights(frame, state, telling.kinds)
        state = _heights_known(frame, state, usual, precision)
        if look.smooth:
            state = _background_off(frame, state, profile)
        state, found = _swept(frame, state, profile, law, look.sweeps)
        inside = _picked([chunk.inside for chunk in state.chunks], telling.sample)
        model, residual = (_picked([getattr(s, name) for s in found], telling.sample) for name in ("model", "residual"))
        noise = noise_of_counts(model[inside > 0], residual[inside > 0])
        gain = correlation_gain(residual, inside, float(profile.core))
        law = np.asarray([*noise, 1e-3 * float((residual[inside > 0] ** 2).mean()), gain], np.float32)
        state = _weighted(state, found, law)
    usual, precision = _usual_heights(frame, state, telling.kinds)
    assert law is not None and scale is not None
    return state, Learned(profile, law, scale, usual, precision)


def apply(frame: Frame, state: State, learned: Learned) -> State:
    """Positions of all atoms of a frame, given what some of them have told."""
    state = _heights_known(frame, state, learned.height, learned.precision)
    numbers = jnp.asarray(padded(frame.species, len(state.fit.height)))
    seen = jnp.asarray(learned.precision > 0)[numbers]
    state = state._replace(fit=state.fit._replace(height=jnp.where(seen, state.known.height, state.fit.height)))
    state, _ = _swept(frame, state, learned.profile, None, SWEEPS)  # atoms out of place would leave a rough background
    state = _background_off(frame, state, learned.profile)
    state, _ = _swept(frame, state, learned.profile, learned.law, SWEEPS)
    return state


def _profile_told(
    frame: Frame, state: State, telling: Telling, cores: Float[np.ndarray, " c"], scale: float | None, spread: float
) -> tuple[State, Profile, float]:
    """The profile, fitted where neighbours, too, think that the atoms are; heights follow it.

    In a perfect lattice two sublattices moved apart look like elliptical spots.
    """
    fit, n, rows = state.fit, len(frame.xy), len(state.fit.height)
    rounds = ROUNDS[scale is not None]
    flat = smoothed(np.asarray(fit.xy)[:n], state.sd, telling.sheet, frame.pixel_size_nm, scale=scale, rounds=rounds)
    shown = [_picked([getattr(c, name) for c in state.chunks], telling.sample) for name in Patches._fields[1:]]
    patches = Patches(state.chunks[0].grid, *(jnp.asarray(part) for part in shown))
    weight = jnp.asarray(_picked(state.weights, telling.sample))
    at = fit._replace(xy=on_device(flat.xy, rows))
    profile = fit_profile(at, patches, weight, cores, telling.kinds, spread)
    top = peaks_of(profile.weights)
    profile = profile._replace(weights=profile.weights / top[:, None])
    numbers = jnp.asarray(padded(frame.species, rows))
    fit = fit._replace(height=fit.height * jnp.maximum(top, 1e-3)[numbers])
    return state._replace(fit=fit), profile, flat.scale


def _background_off(frame: Frame, state: State, profile: Profile) -> State:
    """The patches without what is smooth in the frame."""
    if max(frame.image.shape) > LARGEST_PX:
        return state
    rows = len(state.fit.height)
    smooth = background(
        jnp.asarray(frame.image),
        state.fit,
        jnp.asarray(padded(frame.species, rows)),
        on_device(np.ones(len(frame.xy)), rows),
        profile,
        block=max(1, round(COARSE_NM / frame.pixel_size_nm)),
        pixel_size_nm=float(frame.pixel_size_nm),
    )
    chunks = recut(state.chunks, frame.image, np.asarray(smooth), frame.xy, frame.pixel_size_nm)
    return state._replace(chunks=chunks)


def _usual_heights(
    frame: Frame, state: State, count: int
) -> tuple[Float[np.ndarray, " species"], Float[np.ndarray, " species"]]:
    """Of each species the median height, and the precision of one atom's height around it, as the frame shows them."""
    height = np.asarray(state.fit.height)[: len(frame.xy)]
    usual, precision = np.zeros(count), np.zeros(count)
    for s in range(count):
        shown = height[frame.species == s]
        if len(shown):
            usual[s] = np.median(shown)
        if len(shown) >= FEWEST:
            deviation = 1.4826 * float(np.median(np.abs(shown - usual[s])))
            precision[s] = max(HEIGHT_SPREAD * usual[s], deviation) ** -2.0
    return usual, precision


def _heights_known(
    frame: Frame, state: State, usual: Float[np.ndarray, " species"], precision: Float[np.ndarray, " species"]
) -> State:
    """Prior of the heights: atoms of a species are equally high, up to what the frame shows."""
    rows = len(state.fit.height)
    of_atom = (on_device(v[frame.species], rows) for v in (usual, precision))
    return state._replace(known=state.known._replace(**dict(zip(("height", "height_precision"), of_atom, strict=True))))


def _swept(
    frame: Frame, state: State, profile: Profile, law: Float[np.ndarray, " 5"] | None, sweeps: int
) -> tuple[State, list[Equations]]:
    """Some sweeps over the atoms."""
    fit = state.fit
    far = [far_light(fit, chunk, profile) for chunk in state.chunks]
    state = state._replace(chunks=[c._replace(far=light) for c, light in zip(state.chunks, far, strict=True)])
    for sweep in range(sweeps):
        found = [equations(fit, *patch, profile) for patch in zip(state.chunks, state.weights, strict=True)]
        system = (jnp.concatenate(parts) for parts in list(zip(*found, strict=True))[:3])
        limit = LIMIT_NM / frame.pixel_size_nm
        fit, covariance = step(fit, state.known, *system, frame.near, frame.real, limit)
        if sweep == sweeps - 2:  # not before: pixels around atoms that are still out of place look like outliers
            state = _weighted(state, found, law)
    trace = np.trace(np.asarray(covariance)[: len(frame.xy)], axis1=1, axis2=2)
    return state._replace(fit=fit, sd=np.sqrt(0.5 * np.maximum(trace, 0))), found


def _weighted(state: State, found: list[Equations], law: Float[np.ndarray, " 5"] | None) -> State:
    """Pixels weighted by the noise as known, those that the fit cannot explain left out."""
    if law is None:
        return state
    noise = jnp.asarray(law)
    told = zip(found, state.chunks, strict=True)
    weights = [pixel_weights(solved, chunk.inside, noise) for solved, chunk in told]
    return state._replace(weights=weights)
