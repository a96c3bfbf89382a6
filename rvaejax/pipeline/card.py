"""The card of a trained segmenter: what it is, how it was made, how good it is."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax

from rvaejax.segmentation.record import Segmenter
from rvaejax.segmentation.weights import load_segmenter, read_card, save_segmenter, shipped_folder


@dataclass(frozen=True)
class Card:
    """Writes weights with their card into a folder, while the training goes on and when it has ended.

    Attributes:
        folder: of the segmenter.
        facts: what is the same all the time.
        began: `time.monotonic()` at the start of the training.
    """

    folder: Path
    facts: Mapping[str, Any]
    began: float = field(default_factory=time.monotonic)

    def write(
        self, segmenter: Segmenter, members: Sequence[Mapping[str, Any]], scores: Mapping[str, Any] | None = None
    ) -> None:
        """Weights, and what is known of each member so far; `scores` once there are any."""
        told = {**self.facts, "wall time s": round(time.monotonic() - self.began), "members": list(members)}
        if scores is not None:
            told["scores on simulated images"] = dict(scores)
        save_segmenter(self.folder, segmenter, told)

    def reload(self) -> Segmenter:
        """What is on the disk, in half precision: that is what is scored."""
        return load_segmenter(self.folder)


def facts(*, command: str, seed: int, species: Sequence[str], data: str, start_from: str | None) -> dict[str, Any]:
    """What a card says from the start.

    Args:
        command: by which the training can be repeated.
        seed: of the first member.
        species: that it finds.
        data: what it was trained on.
        start_from: "shipped", a folder, or None; the card found there goes onto this one, without its config.
    """
    told: dict[str, Any] = {
        "what": f"U-Net that finds {' and '.join(species)} atoms in annular dark field images",
        "command": command,
        "seed": seed,
        "data": data,
        "jax": jax.__version__,
        "device": f"{jax.default_backend()}, {jax.devices()[0].device_kind}",
    }
    if start_from is not None:
        with shipped_folder() as shipped:
            before = read_card(shipped if start_from == "shipped" else Path(start_from))
        told["started from"] = {name: value for name, value in before.items() if name != "config"}
    return told
