"""How good a segmenter is on images whose atoms are known: by the same way that a user's image goes."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from rvaejax.analysis.scores import AtomScores, score_atoms
from rvaejax.atoms.localise import find_atoms
from rvaejax.errors import NoAtomsError
from rvaejax.segmentation.config import SegmenterConfig
from rvaejax.segmentation.predict import predict_maps
from rvaejax.segmentation.record import Segmenter
from rvaejax.segmentation.train import VALIDATION_SEED
from rvaejax.simulate.config import SPECIES, ImagingConfig, SheetConfig
from rvaejax.simulate.dataset import LabelledImage, labelled_batch
from rvaejax.training.cache import QUICK
from rvaejax.types import Atoms, Movie

TEST_SEED = VALIDATION_SEED + 1


class Known(NamedTuple):
    """Frames and the atoms that they show."""

    movie: Movie
    truth: Atoms


@functools.lru_cache(maxsize=2)
def _simulator(n: int, sheet: SheetConfig, imaging: ImagingConfig) -> Callable[..., LabelledImage]:
    return jax.jit(lambda key: labelled_batch(n, sheet, imaging, key=key), compiler_options=QUICK)


def simulated(config: SegmenterConfig, seed: int, batches: int = 1) -> Known:
    """Simulated frames as `config.validation` asks for, of graphene of the right scale, `batches` times as many."""
    v = config.validation
    sheet = replace(config.sheet, field_nm=v.size_px * v.pixel_size_nm, scale_jitter=0.0, empty_probability=0.0)
    imaging = replace(
        config.imaging, size_px=v.size_px, pixel_size_nm=v.pixel_size_nm, counts=v.counts, noise_blur_px=(0.0, 0.0)
    )
    make = _simulator(v.images, sheet, imaging)
    made = [jax.device_get(make(jax.random.fold_in(jax.random.key(seed), b))) for b in range(batches)]
    frames = np.concatenate([m.image for m in made])
    xy = np.concatenate([m.sheet.xy for m in made]) / v.pixel_size_nm
    inside = ((xy >= -0.5) & (xy <= v.size_px - 0.5)).all(-1) & np.concatenate([m.sheet.mask for m in made])
    frame, row = np.nonzero(inside)
    species = np.asarray(SPECIES)[np.concatenate([m.sheet.species for m in made])[frame, row]]
    ones = np.ones(len(frame))
    truth = Atoms(frame, xy[frame, row, 0], xy[frame, row, 1], species, ones, 0 * ones, v.pixel_size_nm)
    return Known(Movie(frames, v.pixel_size_nm, "option", name="validation"), truth)


@contextlib.contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Without what a part of the package has to say of each of the many frames that are only there for a score."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def scores(segmenter: Segmenter, known: Known) -> AtomScores:
    """Detection, position and species of a segmenter's atoms on frames whose atoms are known."""
    try:
        with _quiet("rvaejax.atoms"):
            found = find_atoms(predict_maps(segmenter, known.movie))
    except NoAtomsError:
        found = known.truth.select(np.zeros(0, int))
    return score_atoms(known.truth, found, size=known.movie.size)


def evaluation(config: SegmenterConfig, sets: Mapping[str, Sequence[Known]]) -> Callable[[Any], dict[str, float]]:
    """Weights to F1, position error and share of right species, for the training to report.

    Args:
        config: of the network.
        sets: frames whose atoms are known, by the prefix that their metrics get; the set "" decides what is best.
    """

    def evaluate(params: Any) -> dict[str, float]:
        segmenter = Segmenter(config, (params,))
        each = {prefix: pooled([scores(segmenter, known) for known in group]) for prefix, group in sets.items()}
        return {prefix + name: value for prefix, metrics in each.items() for name, value in metrics.items()}

    return evaluate


def pooled(each: Sequence[AtomScores]) -> dict[str, float]:
    """Scores of several sets as if they were one."""
    hits = np.asarray([s.recall * s.n_true for s in each])
    n_true, n_found = sum(s.n_true for s in each), sum(s.n_found for s in each)

    def over_hits(values: Sequence[float], power: int = 1) -> float:
        have = hits > 0.5
        if not have.any():
            return float("nan")
        return float(np.average(np.asarray(values)[have] ** power, weights=hits[have]) ** (1 / power))

    return {
        "f1": round(float(2 * hits.sum() / max(n_true + n_found, 1)), 5),
        "rmse_pm": round(over_hits([s.rmse_pm for s in each], 2), 3),
        "species_accuracy": round(over_hits([s.species_accuracy for s in each]), 5),
    }
