"""What a training says while it goes on: the bar, and rows of metrics.jsonl."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from rvaejax.io.files import write_text
from rvaejax.io.metrics import read_metrics
from rvaejax.training.loop import Report


def metrics_row(report: Report) -> dict[str, float]:
    """A report as a row of metrics.jsonl."""
    return {"step": report.step, "seconds": round(report.seconds, 3), **report.metrics}


def reporter(bar, path: Path | None, resume: bool, report: Callable[[Report], None] | None) -> Callable[[Report], None]:
    """Moves the bar, appends to the metrics' file, and passes the report on."""
    state: dict[str, int] = {"calls": 0}

    def tell(r: Report) -> None:
        bar.total = r.horizon
        bar.update(r.step - bar.n)
        if path is not None:
            if not state["calls"]:
                _keep_before(path, r.step if resume else 0)
            with path.open("a") as file:
                file.write(json.dumps(metrics_row(r)) + "\n")
        state["calls"] += 1
        if report is not None:
            report(r)

    return tell


def _keep_before(path: Path, step: int) -> None:
    """Drops rows from `step` on: a resumed training writes them again."""
    write_text(path, "".join(json.dumps(row) + "\n" for row in read_metrics(path) if row["step"] < step))
