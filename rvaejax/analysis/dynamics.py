"""Curves of order parameters over time or dose, and the points at which they change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Integer

from rvaejax.analysis.changes import Changes, change_points
from rvaejax.analysis.circular import concentration
from rvaejax.types import Latents, Movie

FEWEST = 3  # atoms of a frame for its mean to count
OFF = "share of surroundings off the crystal"


class Clock(NamedTuple):
    """What the frames are plotted against.

    Attributes:
        values: (t,) of every frame of the movie.
        label: name and unit.
    """

    values: Float[np.ndarray, " t"]
    label: str


def clock(movie: Movie) -> Clock:
    """The accumulated dose at the end of each frame where it is known, else seconds, else frame numbers."""
    return frame_clock(len(movie), movie.frame_time_s, movie.dose)


def frame_clock(frames: int, frame_time_s: float | None, dose: Float[np.ndarray, " t"] | None) -> Clock:
    """The same for a number of frames; the dose is that of each frame [electrons/nm²]."""
    if dose is not None:
        return Clock(np.cumsum(np.asarray(dose, float)), "dose [e/nm²]")
    if frame_time_s is not None:
        return Clock(np.arange(frames) * float(frame_time_s), "time [s]")
    return Clock(np.arange(frames, dtype=float), "frame")


class Curve(NamedTuple):
    """A quantity of the atoms of each frame; NaN in frames with fewer than `FEWEST` of them.

    Attributes:
        mean: (t,) mean.
        error: (t,) its standard error, atoms taken as independent.
        low, middle, high: (t,) quartiles.
        sites: (t,) how many there are.
    """

    mean: Float[np.ndarray, " t"]
    error: Float[np.ndarray, " t"]
    low: Float[np.ndarray, " t"]
    middle: Float[np.ndarray, " t"]
    high: Float[np.ndarray, " t"]
    sites: Int[np.ndarray, " t"]


def curve(values: Float[np.ndarray, " n"], frame: Integer[np.ndarray, " n"], frames: int) -> Curve:
    """Mean and quartiles of a quantity in each frame.

    Args:
        values: of each atom; NaN where there is none.
        frame: its frame.
        frames: of the movie; those without atoms have NaN.
    """
    mean, error, low, middle, high = out = np.full((5, frames), np.nan)
    count = np.bincount(frame[np.isfinite(values)], minlength=frames)
    for t in np.flatnonzero(count >= FEWEST):
        here = values[(frame == t) & np.isfinite(values)]
        out[:, t] = here.mean(), here.std(ddof=1) / np.sqrt(len(here)), *np.percentile(here, [25, 50, 75])
    return Curve(mean, error, low, middle, high, count)


def angular_order(
    angle: Float[np.ndarray, " n"], frame: Integer[np.ndarray, " n"], frames: int, fold: int = 6
) -> Float[np.ndarray, " t"]:
    """|<exp(i fold angle)>| of each frame: 1 for one crystal, near 0 for many or for a glass; NaN without atoms."""
    out = np.full(frames, np.nan)
    for t in range(frames):
        here = angle[(frame == t) & np.isfinite(angle)]
        if len(here) >= FEWEST:
            out[t] = concentration(here, fold)
    return out


def order_parameters(
    latents: Latents,
    frame: Integer[np.ndarray, " n"],
    frames: int,
    *,
    deviation: Float[np.ndarray, " n"] | None = None,
    threshold: float = 3.0,
) -> dict[str, Float[np.ndarray, " t"]]:
    """The order parameters that the latents give for each frame, by name.

    Args:
        latents: of n sites.
        frame: of each.
        frames: of the movie.
        deviation: distance of each site from the crystal (`rvaejax.analysis.deviation`); None leaves its share out.
        threshold: distance beyond which a site is none of the crystal's.

    Returns:
        Angular order modulo 60 degrees; mean of each content latent; share of sites whose window does not show the
        crystal: edges, defects, dopants, and the sites beside them.
    """
    out = {"angular order": angular_order(latents.angle, frame, frames)}
    for i in range(latents.content.shape[1]):
        out[f"content latent {i + 1}, mean"] = curve(np.asarray(latents.content[:, i], float), frame, frames).mean
    if deviation is not None:
        out[OFF] = curve((deviation > threshold).astype(float), frame, frames).mean
    return out


def curve_changes(curves: Mapping[str, Float[np.ndarray, " t"]]) -> dict[str, Changes]:
    """The change points of each curve by itself; frames without a value are bridged by straight lines."""
    found = {}
    for name, values in curves.items():
        known = np.isfinite(values)
        if known.sum() < 2:
            continue
        t = np.arange(len(values))
        bridged = np.interp(t, t[known], values[known])
        found[name] = change_points(bridged[:, None], piece="line")
    return found
