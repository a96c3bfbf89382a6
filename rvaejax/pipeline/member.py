"""The training of one member of a segmenter: its reports, its best weights on the disk, its share of the time."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rvaejax.io.files import write_text
from rvaejax.io.metrics import read_metrics
from rvaejax.pipeline.card import Card
from rvaejax.pipeline.config import SegmenterOptions
from rvaejax.pipeline.examples import Examples
from rvaejax.pipeline.validation import evaluation
from rvaejax.progress import progress
from rvaejax.segmentation.config import SegmenterConfig
from rvaejax.segmentation.record import Segmenter
from rvaejax.segmentation.train import train_segmenter
from rvaejax.training.best import Best
from rvaejax.training.interrupt import StopFlag
from rvaejax.training.loop import Report

log = logging.getLogger(__name__)

METRICS = "metrics.jsonl"
RESERVE_S = 30.0  # for the scores on the card, where a time budget holds, but no more than a fifth of it


class Training(NamedTuple):
    """What all members have in common."""

    folder: Path
    options: SegmenterOptions
    config: SegmenterConfig
    card: Card
    examples: Examples
    resume: bool
    began: float


@dataclass(frozen=True, eq=False)
class Job:
    """The training of one member.

    Attributes:
        of: the training that it belongs to.
        number: of the member, from 0.
        members: weights of the members before it.
        done: what the card says of these.
    """

    of: Training
    number: int
    members: tuple[Any, ...]
    done: tuple[dict[str, Any], ...]

    @property
    def seed(self) -> int:
        """The member's own seed."""
        return self.of.options.seed + self.number

    def train(self, start: Any, should_stop: StopFlag) -> tuple[Any, dict[str, Any]]:
        """The weights, and what the card says of them."""
        began, config, used = time.monotonic(), self.of.config, self.of.examples
        with progress(total=config.steps, desc=f"training {self.number + 1}", unit="steps") as bar:
            result = train_segmenter(
                config,
                seed=self.seed,
                start=start,
                pairs=used.train,
                held_out_pairs=used.test,
                evaluate=evaluation(config, used.known),
                better=self._keep,
                checkpoint_dir=self.of.folder / "checkpoints" / f"member_{self.number}",
                resume=self.of.resume,
                deadline=self._deadline(),
                report=self._reporter(bar),
                should_stop=should_stop,
            )
        assert result.best is not None
        told = {
            "seed": self.seed,
            "steps": int(result.state.step),
            "best step": result.best.step,
            "cut": result.cut,
            "wall time s": round(time.monotonic() - began),
            "finished": True,
        }
        return result.best.params, told

    def _deadline(self) -> float | None:
        """An equal share of what is left for each member that is left."""
        seconds, now = self.of.options.max_seconds, time.monotonic()
        if seconds is None:
            return None
        end = self.of.began + seconds - min(RESERVE_S, 0.2 * seconds)
        return now + (end - now) / (self.of.options.members - self.number)

    def _keep(self, best: Best) -> None:
        told = {"seed": self.seed, "best step": best.step, "finished": False}
        self.of.card.write(Segmenter(self.of.config, (*self.members, best.params)), [*self.done, told])

    def _reporter(self, bar: Any) -> Callable[[Report], None]:
        """Moves the bar, appends to the metrics' file, and logs what evaluations say."""
        path, calls = self.of.folder / METRICS, [0]

        def tell(r: Report) -> None:
            bar.total = r.horizon
            bar.update(r.step - bar.n)
            if not calls[0]:
                _drop_from(path, self.number, r.step if self.of.resume else 0)
            calls[0] += 1
            row = {"member": self.number, "step": r.step, "seconds": round(r.seconds, 3), **r.metrics}
            with path.open("a") as file:
                file.write(json.dumps(row) + "\n")
            if "holdout_loss" in r.metrics:
                said = ", ".join(f"{name.removeprefix('holdout_')} {v:.5g}" for name, v in r.metrics.items())
                log.info("member %d, step %d of %d, %.0f s: %s", self.number, r.step, r.horizon, r.seconds, said)

        return tell


def _drop_from(path: Path, member: int, step: int) -> None:
    """Drops rows from a member's `step` on: a resumed training writes them again."""
    rows = [row for row in read_metrics(path) if (row["member"], row["step"]) < (member, step)]
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
