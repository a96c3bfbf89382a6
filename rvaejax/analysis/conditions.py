"""Movies taken under different conditions, in one latent space: how their sites differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Integer
from scipy.stats import wasserstein_distance

from rvaejax.analysis.circular import concentration
from rvaejax.analysis.deviation import OFF_CRYSTAL, deviation
from rvaejax.analysis.dynamics import OFF
from rvaejax.analysis.grains import FOLD
from rvaejax.types import Latents

SCALES_AGREE = 0.01  # of the bond length, as scans are calibrated
BONDED_ALIKE_NM = 0.142  # the bond of graphene


class Comparison(NamedTuple):
    """Latents of k conditions that one model has encoded.

    Attributes:
        labels: (k,) of the conditions.
        sites: (k,) how many each has.
        mean: (k, d) of each content latent.
        sd: (k, d) its standard deviation.
        order: (k,) |<exp(6 i angle)>|: 1 for one crystal all the time, near 0 for many orientations.
        off: (k,) share of the sites off the crystal that is common to all.
        distance: (k, k, d) of the distributions of each content latent, in its standard deviations over all sites.
        within: (k, d) the same between the first and the second half of each condition's frames; NaN where it has one
            frame, or its frames are not known.
        deviation: of each condition's sites from the common crystal, one array a condition.
    """

    labels: tuple[str, ...]
    sites: Int[np.ndarray, " k"]
    mean: Float[np.ndarray, "k d"]
    sd: Float[np.ndarray, "k d"]
    order: Float[np.ndarray, " k"]
    off: Float[np.ndarray, " k"]
    distance: Float[np.ndarray, "k k d"]
    within: Float[np.ndarray, "k d"]
    deviation: tuple[Float[np.ndarray, " n"], ...]


def compare(
    latents: Mapping[str, Latents],
    *,
    frames: Mapping[str, Integer[np.ndarray, " n"]] | None = None,
    threshold: float = OFF_CRYSTAL,
    away: Sequence[Float[np.ndarray, " n"]] | None = None,
) -> Comparison:
    r"""How the sites of several conditions differ, as one model sees them.

    The distance of two conditions a and b is the first Wasserstein distance of a content latent's distributions,

    .. math:: W = \int | F_a(z) - F_b(z) |\, dz,

    over its standard deviation in all conditions together: how far the sites of one have to be moved, on average, to be
    distributed as those of the other. What the halves of one movie differ by is a measure of what a distance means: one
    condition alone makes as much. The crystal is that of the majority of all sites together, the same for all.

    Args:
        latents: of each condition, from one model.
        frames: the frame of each row, by condition.
        threshold: deviation from the crystal beyond which a site is none of it.
        away: of each condition's sites, from the common crystal, where it is at hand (`deviation` of all together).

    Source: S. S. Vallender, Theory Probab. Appl. 18, 784 (1974).
    """
    whole = joined(list(latents.values()))
    if away is None:
        away = split(deviation(whole), [len(part) for part in latents.values()])
    content = [np.asarray(part.content, float) for part in latents.values()]
    unit = np.maximum(np.asarray(whole.content, float).std(0), 1e-300)
    k, d = len(content), whole.content.shape[1]
    distance, within = np.zeros((k, k, d)), np.full((k, d), np.nan)
    for i in range(k):
        for j in range(i):
            distance[i, j] = distance[j, i] = _apart(content[i], content[j]) / unit
    for i, label in enumerate(latents):
        late = _second_half(np.asarray(frames[label])) if frames is not None else np.zeros(len(content[i]), bool)
        if late.any() and not late.all():
            within[i] = _apart(content[i][~late], content[i][late]) / unit
    return Comparison(
        tuple(latents),
        np.array([len(part) for part in content]),
        np.array([part.mean(0) for part in content]),
        np.array([part.std(0) for part in content]),
        np.array([concentration(part.angle, FOLD) for part in latents.values()]),
        np.array([float((part > threshold).mean()) for part in away]),
        distance,
        within,
        tuple(away),
    )


def _apart(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> Float[np.ndarray, " d"]:
    """First Wasserstein distance of each column."""
    return np.array([wasserstein_distance(p, q) for p, q in zip(a.T, b.T, strict=True)])


def _second_half(frame: Integer[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Which rows are of the later half of the frames that have any."""
    each = np.unique(frame)
    return frame >= each[len(each) // 2] if len(each) > 1 else np.zeros(len(frame), bool)


def differing_scales(labels: Sequence[str], bond_nm: Sequence[float], pixel_nm: Sequence[float]) -> list[str]:
    """A line of warning where movies do not agree on how long a bond is: content that tells scale then tells movies.

    Args:
        labels: of the movies.
        bond_nm: their median bonds [nm]; NaN where there are none.
        pixel_nm: their pixel sizes [nm].
    """
    known = {label: nm for label, nm in zip(labels, bond_nm, strict=True) if np.isfinite(nm)}
    if not known or max(known.values()) <= (1 + SCALES_AGREE) * min(known.values()):
        return []
    said = ", ".join(f"{label} {nm:.4f} nm" for label, nm in known.items())
    alike = " ".join(
        f"{px * BONDED_ALIKE_NM / nm if np.isfinite(nm) else px:.5g}" for nm, px in zip(bond_nm, pixel_nm, strict=True)
    )
    return [
        f"Median bonds differ: {said}. Either a sheet is strained or shaken, or the pixel sizes do not agree; the "
        "content differs by that alone, and sites of a sound lattice may count as off the common crystal. In graphene "
        f"that no condition strains, --pixel-sizes {alike} makes all of them {BONDED_ALIKE_NM} nm."
    ]


def most_apart(told: Comparison) -> list[str]:
    """A line that says where each condition differs most from the first one, beside what halves of one movie do."""
    said = []
    for i in range(1, len(told.labels)):
        d = int(told.distance[0, i].argmax())
        own = told.within[[0, i], d]
        halves = f"; halves of one of the two by up to {np.nanmax(own):.2f}" if np.isfinite(own).any() else ""
        said.append(f"{told.labels[i]} in content latent {d + 1}, by {told.distance[0, i, d]:.2f}{halves}")
    return [f"Most apart from {told.labels[0]}: {'. '.join(said)}."] if said else []


def notes(told: Comparison, curves: Mapping[str, Mapping[str, np.ndarray]]) -> list[str]:
    """What the reader of a comparison must know first; `curves` are the order parameters of each condition."""
    share = ", ".join(f"{label} {n}" for label, n in zip(told.labels, told.sites.tolist(), strict=True))
    change = {label: course(curves[label].get(OFF, np.zeros(0))) for label in told.labels}
    off = [
        f"{label} {value:.0%}" + ("" if (of := change[label]) is None else f" ({100 * of[1]:+.0f} points)")
        for label, value in zip(told.labels, told.off, strict=True)
    ]
    added = " (in brackets from the first to the last frame)" if any(change.values()) else ""
    return [
        f"One model, trained on all movies together; sub-images: {share}. The report of each movie is in its folder.",
        f"Share of the surroundings off the common crystal{added}: {', '.join(off)}.",
        *most_apart(told),
        "Distances of distributions are Wasserstein's, in standard deviations of the latent over all movies.",
    ]


def course(values: Float[np.ndarray, " t"]) -> tuple[float, float] | None:
    """A curve's first value, and how much higher the last one is; None of fewer than two."""
    known = values[np.isfinite(values)]
    return (known[0], known[-1] - known[0]) if len(known) > 1 else None


def joined(parts: Sequence[Latents]) -> Latents:
    """The latents of several stacks as one."""
    whole = {}
    for one in fields(Latents):
        values = [getattr(part, one.name) for part in parts]
        whole[one.name] = None if values[0] is None else np.concatenate(values)
    return replace(parts[0], **whole)  # type: ignore[arg-type]


def split(values: Float[np.ndarray, " n"], lengths: Sequence[int]) -> list[Float[np.ndarray, " m"]]:
    """The inverse: values of all rows, apart again."""
    return np.split(values, np.cumsum(lengths)[:-1])


def part_of(latents: Latents, rows: slice) -> Latents:
    """Some of the rows."""
    values = {one.name: getattr(latents, one.name) for one in fields(Latents)}
    return replace(latents, **{name: v if v is None else v[rows] for name, v in values.items()})  # type: ignore[arg-type]
