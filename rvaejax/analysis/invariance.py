"""How invariant a trained rVAE is: what it says of copies of sub-images that were turned and moved by known amounts.

Nothing here needs a truth: a copy turned by t must have the angle + t (modulo the site's symmetry), the same content,
and the shift turned by t; a copy moved by d must have the shift + d and the rest as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Integer, Shaped

from rvaejax.analysis import copies, leakage
from rvaejax.analysis.circular import circular_difference
from rvaejax.analysis.symmetry import Symmetry, content_energies, image_energies, lacks, site_symmetry
from rvaejax.rvae.calibration import angle_misfit
from rvaejax.rvae.inference import decode, encode
from rvaejax.rvae.record import TrainedRVAE
from rvaejax.types import Latents, SubImages

QUARTERS, INTERPOLATED, DRAWN, MOVED = (
    "quarter turns",
    "any angle, interpolated",
    "any angle, drawn by the decoder",
    "moved by 1 px",
)
MORE = "drawn with more symmetry than their image has"
STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))  # moves (x, y) [px]


class Copies(NamedTuple):
    """Latents of copies of one kind, and of what they are copies of.

    Attributes:
        latents, reference: m rows each.
        turn: (m,) by which each copy was turned [rad].
        move: (m, 2) by which it was moved (x, y) [px].
        site: (m,) row of the sub-image.
    """

    latents: Latents
    reference: Latents
    turn: Float[np.ndarray, " m"]
    move: Float[np.ndarray, "m 2"]
    site: Integer[np.ndarray, " m"]


class Errors(NamedTuple):
    """How far each copy's latents are from what they must be.

    Attributes:
        angle: modulo the site's symmetry [rad]; NaN where the site looks the same at every angle.
        raw: modulo a full turn [rad].
        content: difference of the content.
        shift: distance of the shift [px].
    """

    angle: Float[np.ndarray, " m"]
    raw: Float[np.ndarray, " m"]
    content: Float[np.ndarray, "m d"]
    shift: Float[np.ndarray, " m"]


def check_invariance(
    model: TrainedRVAE, subimages: SubImages, *, turns: int = 4, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """All that turned and moved copies tell of a model, as sections of named numbers.

    Args:
        model: a trained rVAE.
        subimages: a few hundred; their labels, where there are any, name the kinds of which the worst is told.
        turns: copies of each at random angles.
        seed: of these angles.

    Raises:
        ImageError: the sub-images do not fit the model.
    """
    latents = encode(model, subimages)
    symmetry = site_symmetry(content_energies(model, latents.content, latents.class_probability))
    made = dict(make_copies(model, subimages, latents, turns=turns, seed=seed))
    spread = float(np.sqrt(latents.content.var(0).sum()))
    rows = {name: summary(c, symmetry, spread, subimages.label) for name, c in made.items()}
    return {
        **rows,
        "leakage of the angle into the content": leaks(made[INTERPOLATED], symmetry, seed),
        "calibration of angle_sd": calibration(model, subimages.images, made, symmetry),
        "symmetry of the sites": {
            **shares(symmetry, subimages.label),
            MORE: float(flattered(subimages.images, latents, symmetry).mean()),
        },
    }


def make_copies(
    model: TrainedRVAE, subimages: SubImages, latents: Latents, *, turns: int, seed: int
) -> Iterator[tuple[str, Copies]]:
    """Name and latents of each kind of copies."""
    n, rng = len(subimages), np.random.default_rng(seed)
    images, none, still = subimages.images, np.zeros(n), np.zeros((n, 2))

    def seen(pixels: Shaped[np.ndarray, "n h w c"]) -> Latents:
        return encode(model, replace(subimages, images=pixels))

    quarters = [(seen(copies.quarter_turned(images, q)), none + q * np.pi / 2, still) for q in (1, 2, 3)]
    yield QUARTERS, _joined(quarters, latents)
    angles = rng.uniform(0, 2 * np.pi, (turns, n))
    turned = [(seen(copies.turned(images, angle)), angle, still) for angle in angles]
    yield INTERPOLATED, _joined(turned, seen(copies.without_corners(images)))

    def drawn(turn: Float[np.ndarray, " n"]) -> Latents:
        shift = copies.turned_vectors(latents.shift, turn)
        further = {"scale": latents.scale, "classes": latents.class_probability}
        return seen(decode(model, latents.angle + turn, shift, latents.content, **further))  # type: ignore[arg-type]

    yield DRAWN, _joined([(drawn(angle), angle, still) for angle in angles], drawn(none))
    steps = [(seen(copies.moved(images, *step)), none, still + step) for step in STEPS]
    yield MOVED, _joined(steps, latents)


def errors(c: Copies, fold: Integer[np.ndarray, " n"]) -> Errors:
    """What must be zero."""
    symmetry, expected = fold[c.site], c.reference.angle + c.turn
    angle = circular_difference(c.latents.angle, expected, symmetry)
    shift = c.latents.shift - copies.turned_vectors(c.reference.shift, c.turn) - c.move
    return Errors(
        np.where(symmetry > 0, angle, np.nan),
        circular_difference(c.latents.angle, expected),
        c.latents.content - c.reference.content,
        np.hypot(*shift.T),
    )


def summary(
    c: Copies, symmetry: Symmetry, spread: float, label: Shaped[np.ndarray, " n"] | None = None
) -> dict[str, Any]:
    """The numbers of one kind of copies; `spread` is the content's over the sub-images."""
    e = errors(c, symmetry.fold)
    has, degrees = np.isfinite(e.angle), np.degrees(np.abs(e.angle))
    out: dict[str, Any] = {
        "angle error, median [deg]": _median(degrees[has]),
        "angle error, rms [deg]": _rms(degrees[has]),
        "angle error, 99 % below [deg]": float(np.percentile(degrees[has], 99)) if has.any() else float("nan"),
        "raw angle error, rms [deg]": _rms(np.degrees(e.raw)),
        "content drift / spread, rms": _rms(np.linalg.norm(e.content, axis=1) / max(spread, 1e-12)),
        "content drift / content_sd, rms": _rms(e.content / c.reference.content_sd),
        "shift error, median [px]": _median(e.shift),
    }
    if label is not None:
        kinds = {str(k): _rms(degrees[has & (label[c.site] == k)]) for k in np.unique(label)}
        worst = max(kinds, key=lambda k: np.nan_to_num(kinds[k]))
        out |= {"angle error of the worst kind, rms [deg]": kinds[worst], "worst kind": worst}
    return out


def leaks(c: Copies, symmetry: Symmetry, seed: int) -> dict[str, Any]:
    """Probes and mutual information on copies that were turned at random; see `analysis/leakage.py`."""
    rng, fold = np.random.default_rng(seed), symmetry.fold[c.site]
    angle = c.reference.angle + c.turn
    before, after = (x.content + x.content_sd * rng.standard_normal(x.content.shape) for x in (c.reference, c.latents))
    plain = leakage.probe(c.latents.content, angle, leakage.HARMONICS)
    pairs = leakage.probe(np.concatenate([before, after], axis=1), c.turn, leakage.HARMONICS)
    nats = leakage.information(after, angle, fold, seed)
    return {
        "R2 of the angle modulo its symmetry": leakage.probe_folded(c.latents.content, angle, fold),
        f"R2 of the angle, best harmonic ({plain.harmonic})": plain.r2,
        f"R2 of the turn from before and after, best harmonic ({pairs.harmonic})": pairs.r2,
        "mutual information [nat]": nats.nats,
        "mutual information of shuffled angles [nat]": nats.shuffled,
    }


def calibration(
    model: TrainedRVAE, images: Shaped[np.ndarray, "n h w c"], made: Mapping[str, Copies], symmetry: Symmetry
) -> dict[str, Any]:
    """The stated standard deviation of the angle beside errors of copies, and errors that the residuals speak of."""
    found = angle_misfit(model.config, model.params, images, model.scaling)
    stated = found.stated * model.angle_sd_factor
    over = {name: errors(c, symmetry.fold).angle / c.latents.angle_sd for name, c in made.items()}
    expected = found.factor / model.angle_sd_factor
    return {
        "stated angle_sd, median [deg]": float(np.degrees(stated)),
        "quarter turns: error / angle_sd, rms": _rms(over[QUARTERS]),
        "any angle, interpolated: error / angle_sd, rms": _rms(over[INTERPOLATED]),
        "from the residuals: encoder off the best fit [deg]": float(np.degrees(found.gap)),
        "from the residuals: error of the best fit [deg]": float(np.degrees(found.misfit)),
        "from the residuals: error / angle_sd": expected,
    }


def shares(symmetry: Symmetry, label: Shaped[np.ndarray, " n"] | None = None) -> dict[str, Any]:
    """Share of the sites that the decoder draws with each symmetry, and the commonest of each kind."""
    fold = symmetry.fold
    out: dict[str, Any] = {fold_name(int(k)): float((fold == k).mean()) for k in np.unique(fold)}
    for kind in [] if label is None else np.unique(label):
        of_kind = fold[label == kind]
        commonest = int(np.bincount(of_kind).argmax())
        out[f"kind {kind}"] = f"{fold_name(commonest)} ({(of_kind == commonest).mean():.0%})"
    return out


def flattered(images: Shaped[np.ndarray, "n h w c"], latents: Latents, symmetry: Symmetry) -> Bool[np.ndarray, " n"]:
    """Which sites are drawn with more symmetry than their image has about the centre that the shift names."""
    return lacks(image_energies(copies.centred(images, latents.shift)), symmetry.fold)


def fold_name(fold: int) -> str:
    """A symmetry in words."""
    return {0: "no angle (round)", 1: "1-fold"}.get(fold, f"{fold}-fold")


def _joined(parts: list[tuple[Latents, np.ndarray, np.ndarray]], reference: Latents) -> Copies:
    count, n = len(parts), len(reference)
    names = ("angle", "angle_sd", "shift", "content", "content_sd")
    latents = Latents(*(np.concatenate([getattr(p[0], name) for p in parts]) for name in names))
    repeated = Latents(*(np.concatenate([getattr(reference, name)] * count) for name in names))
    turn, move = (np.concatenate([p[i] for p in parts]) for i in (1, 2))
    return Copies(latents, repeated, turn, move, np.tile(np.arange(n), count))


def _rms(x: Float[np.ndarray, "..."]) -> float:
    known = x[np.isfinite(x)]
    return float(np.sqrt((known.astype(np.float64) ** 2).mean())) if known.size else float("nan")


def _median(x: Float[np.ndarray, " m"]) -> float:
    return float(np.median(x)) if x.size else float("nan")
