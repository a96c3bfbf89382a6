"""Movies taken under different conditions, in one latent space: how their sites differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import wasserstein_distance

from rvaejax.analysis.circular import concentration
from rvaejax.analysis.deviation import OFF_CRYSTAL, deviation
from rvaejax.analysis.grains import FOLD
from rvaejax.types import Latents

SCALES_AGREE = 0.01  # of the bond length, as scans are calibrated


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
        deviation: of each condition's sites from the common crystal, one array a condition.
    """

    labels: tuple[str, ...]
    sites: Int[np.ndarray, " k"]
    mean: Float[np.ndarray, "k d"]
    sd: Float[np.ndarray, "k d"]
    order: Float[np.ndarray, " k"]
    off: Float[np.ndarray, " k"]
    distance: Float[np.ndarray, "k k d"]
    deviation: tuple[Float[np.ndarray, " n"], ...]


def compare(latents: Mapping[str, Latents], *, threshold: float = OFF_CRYSTAL) -> Comparison:
    r"""How the sites of several conditions differ, as one model sees them.

    The distance of two conditions a and b is the first Wasserstein distance of a content latent's distributions,

    .. math:: W = \int | F_a(z) - F_b(z) |\, dz,

    over its standard deviation in all conditions together: how far the sites of one have to be moved, on average, to be
    distributed as those of the other. The crystal is that of the majority of all sites together, the same for all.

    Args:
        latents: of each condition, from one model.
        threshold: deviation from the crystal beyond which a site is none of it.

    Source: S. S. Vallender, Theory Probab. Appl. 18, 784 (1974).
    """
    whole = joined(list(latents.values()))
    away = split(deviation(whole), [len(part) for part in latents.values()])
    content = [np.asarray(part.content, float) for part in latents.values()]
    unit = np.maximum(np.asarray(whole.content, float).std(0), 1e-300)
    k, d = len(content), whole.content.shape[1]
    distance = np.zeros((k, k, d))
    for i in range(k):
        for j in range(i):
            each = [wasserstein_distance(content[i][:, q], content[j][:, q]) / unit[q] for q in range(d)]
            distance[i, j] = distance[j, i] = each
    return Comparison(
        tuple(latents),
        np.array([len(part) for part in content]),
        np.array([part.mean(0) for part in content]),
        np.array([part.std(0) for part in content]),
        np.array([concentration(part.angle, FOLD) for part in latents.values()]),
        np.array([float((part > threshold).mean()) for part in away]),
        distance,
        tuple(away),
    )


def differing_scales(labels: Sequence[str], bond_nm: Sequence[float]) -> list[str]:
    """A line of warning where movies do not agree on how long a bond is: content that tells scale then tells movies.

    Args:
        labels: of the movies.
        bond_nm: their median bonds [nm]; NaN where there are none.
    """
    known = {label: nm for label, nm in zip(labels, bond_nm, strict=True) if np.isfinite(nm)}
    if not known or max(known.values()) <= (1 + SCALES_AGREE) * min(known.values()):
        return []
    said = ", ".join(f"{label} {nm:.4f} nm" for label, nm in known.items())
    return [
        f"Median bonds differ: {said}. Either a sheet is strained or shaken, or the pixel sizes do not agree; the "
        "content differs by that alone, and sites of a sound lattice may count as off the common crystal."
    ]


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
