"""What a segmenter is trained and tested on beside the images that are simulated on the fly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rvaejax.errors import ConfigError
from rvaejax.io.pairs import PairSource, read_pairs
from rvaejax.pipeline.resume import fingerprint
from rvaejax.pipeline.validation import Known, simulated
from rvaejax.segmentation.config import SegmenterConfig
from rvaejax.segmentation.pairs import PairStack, movies, split, stack
from rvaejax.segmentation.train import VALIDATION_SEED
from rvaejax.simulate.config import SPECIES


@dataclass(frozen=True, eq=False)
class Examples:
    """What is learned from and tested on beside the images that are simulated on the fly.

    Attributes:
        train, test: the user's pairs; None where there are none.
        known: frames whose atoms are known, by the prefix of their metrics.
        described: of the pairs, for the card and for a resumed training to know them again.
    """

    train: PairStack | None
    test: PairStack | None
    known: Mapping[str, Sequence[Known]]
    described: Mapping[str, Any]


def examples(source: PairSource | None, config: SegmenterConfig, seed: int) -> Examples:
    """The examples, read and split; frames are simulated once all else is known to be right.

    Raises:
        InputError: the pairs cannot be used, or are missing for species that cannot be simulated.
    """
    strange = config.species != SPECIES
    if source is None:
        if strange:
            raise ConfigError(
                f"species {', '.join(config.species)}: only {', '.join(SPECIES)} is simulated; give --pairs"
            )
        return Examples(None, None, {"": [simulated(config, VALIDATION_SEED)]}, {})
    if strange and config.pairs_per_batch < config.batch_size:
        raise ConfigError(
            f"species {', '.join(config.species)}: simulated images hold {', '.join(SPECIES)}; set pairs_fraction: 1"
        )
    pairs = read_pairs(source, config.species)
    known = movies(pairs)
    learn, held = split([len(atoms) > 0 for _, atoms in known], config.validation.pairs_holdout, seed)
    test, train = stack([known[i] for i in held], config), stack([known[i] for i in learn], config)
    sets = {"": [Known(*known[i]) for i in held]}
    if not strange:
        sets["simulated_"] = [simulated(config, VALIDATION_SEED)]
    described = {"number": len(known), "atoms": len(pairs.atoms), "held out": held}
    prints = fingerprint([*pairs.images, pairs.atoms.x, pairs.atoms.y, pairs.atoms.species.astype("U8")])
    return Examples(train, test, sets, {**described, "checksum": prints})
