"""`rvaejax train-segmenter`: a segmenter, or an ensemble of them, trained into a folder."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from rvaejax.config import to_dict
from rvaejax.errors import ConfigError
from rvaejax.io.files import check_output, check_source_survives, prepare_output, write_text
from rvaejax.io.metrics import read_metrics
from rvaejax.pipeline.card import Card, facts
from rvaejax.pipeline.config import SegmenterOptions
from rvaejax.pipeline.config_file import read_section
from rvaejax.pipeline.examples import examples
from rvaejax.pipeline.member import METRICS, Job, Training
from rvaejax.pipeline.resume import was_begun
from rvaejax.pipeline.validation import TEST_SEED, scores, simulated
from rvaejax.plotting import save_figure
from rvaejax.plotting.segmenter import segmenter_curves
from rvaejax.segmentation.config import SegmenterConfig
from rvaejax.segmentation.record import Segmenter
from rvaejax.segmentation.weights import CARD, load_segmenter, read_card
from rvaejax.simulate.config import SPECIES
from rvaejax.training.interrupt import catch_signals

log = logging.getLogger(__name__)

SECTION = "segmenter"
SIMULATED = "images simulated on the fly (rvaejax.simulate), a new one in every place of every batch"
TEST_BATCHES = 2  # times the validation's images, for the scores on the card


def read_config(path: Path | None) -> SegmenterConfig:
    """The segmenter's config from a YAML file (its section `segmenter`, or all of it), or the default one.

    Raises:
        MissingFileError: there is no such file.
        FormatError: it is not YAML with names and values.
        ConfigError: an option is unknown or makes no sense.
    """
    return SegmenterConfig() if path is None else read_section(path, SECTION, SegmenterConfig(), "segmenter")


def train_folder(
    out: Path,
    options: SegmenterOptions,
    *,
    overwrite: bool = False,
    resume: bool = False,
    started: float | None = None,
) -> Segmenter:
    """Trains into a folder: `segmenter.json`, `member_0.npz` ..., config.yaml, metrics.jsonl, checkpoints, a figure.

    The weights on disk are always the best so far, so that the folder is of use before the training ends.

    Args:
        out: the folder.
        options: what to train, on what, for how long.
        overwrite: replace an earlier training.
        resume: go on with one that was interrupted; its options must be the same but for the time budget.
        started: `time.monotonic()` from which the time budget counts; default: now.

    Raises:
        InputError: an option, the config, or a segmenter to start from cannot be used, or the output exists.
        Interrupted: by SIGINT or SIGTERM; `resume` goes on.
    """
    began = time.monotonic() if started is None else started
    check_output(out, overwrite, resume)
    source = options.pair_source
    for path in () if source is None else source.paths:
        check_source_survives(path, out)
    start = start_segmenter(options.start_from, out)
    config = fitting(options.applied_to(read_config(options.config)), start)
    used = examples(source, config, options.seed)
    told = {"seed": options.seed, "members": options.members, "start_from": options.start_from}
    sections = {"train-segmenter": {**told, "pairs": dict(used.described)}, SECTION: to_dict(config)}
    done = _finished(out) if resume and was_begun(out, sections) else []
    folder = prepare_output(out, overwrite, resume)
    write_text(folder / "config.yaml", yaml.safe_dump(sections, sort_keys=False))
    members = load_segmenter(folder).members[: len(done)] if done else ()
    data = f"{len(used.train.images)} of the user's images and " if used.train is not None else ""
    told = facts(
        command=options.command,
        seed=options.seed,
        species=config.species,
        data=data + SIMULATED,
        start_from=options.start_from,
    )
    training = Training(folder, options, config, Card(folder, told, began), used, resume, began)
    with catch_signals() as should_stop:
        for number in range(len(done), options.members):
            begin = None if start is None else start.members[number % len(start.members)]
            params, said = Job(training, number, members, tuple(done)).train(begin, should_stop)
            members, done = (*members, params), [*done, said]
    segmenter = Segmenter(config, members)
    training.card.write(segmenter, done)
    training.card.write(segmenter, done, test_scores(load_segmenter(folder)))
    save_figure(segmenter_curves(read_metrics(folder / METRICS)), folder / "figures" / "training.png")
    return load_segmenter(folder)


def test_scores(segmenter: Segmenter) -> dict[str, Any]:
    """Scores on simulated images that decided nothing, by their doses; none where the species cannot be simulated."""
    config = segmenter.config
    if config.species != SPECIES:
        return {}
    found = scores(segmenter, simulated(config, TEST_SEED, TEST_BATCHES))._asdict()
    log.info("on simulated images that decided nothing: %s", ", ".join(f"{k} {v:.5g}" for k, v in found.items()))
    low, high = config.validation.counts
    return {f"{low:g} to {high:g} counts": found}


def start_segmenter(name: str | None, out: Path) -> Segmenter | None:
    """The segmenter to go on from: "shipped", or that of a folder.

    Raises:
        OutputExistsError: it would be overwritten.
        MissingFileError, FormatError: there is none in that folder.
    """
    if name is None or name == "shipped":
        return None if name is None else load_segmenter()
    check_source_survives(name, out)
    return load_segmenter(name)


def fitting(config: SegmenterConfig, start: Segmenter | None) -> SegmenterConfig:
    """The config with the network that it starts from, if that is one that differs only from the default.

    Raises:
        ConfigError: it asks for another network than the one to start from.
    """
    if start is None:
        return config
    default, changes = SegmenterConfig(), {}
    for name in ("widths", "species", "pixel_size_nm"):
        mine, theirs = getattr(config, name), getattr(start.config, name)
        if mine not in (theirs, getattr(default, name)):
            raise ConfigError(f"--start-from: that network has {name} {theirs}, the config asks for {mine}")
        changes[name] = theirs
    return replace(config, **changes)


def _finished(folder: Path) -> list[dict[str, Any]]:
    """What the card says of the members whose training had ended."""
    if not (folder / CARD).is_file():
        return []
    return [told for told in read_card(folder).get("members", []) if told.get("finished")]
