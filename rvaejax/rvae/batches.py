"""Rows of a training's data: images, and labels and targets where the configuration asks for them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Integer, PyTree, Shaped

from rvaejax.rvae.config import RVAEConfig
from rvaejax.rvae.given import Given
from rvaejax.rvae.inputs import scaled
from rvaejax.training.state import BatchFn, random_rows

Split = tuple[Integer[np.ndarray, " a"], Integer[np.ndarray, " b"]]


def rows_of(
    images: Shaped[np.ndarray, "n h w c"], given: Given, rows: Integer[np.ndarray, " m"]
) -> dict[str, Shaped[np.ndarray, "m ..."]]:
    """Images, labels and targets, scaled, of some rows; the latter two where there are such."""
    found = {"images": images[rows]}
    if given.labels is not None:
        found["labels"] = given.labels[rows]
    if given.targets is not None:
        found["targets"] = scaled(given.targets[rows], given.target_scaling)
    return found


def loop_data(rows: dict[str, Shaped[np.ndarray, "m ..."]], scaling: tuple[float, float]) -> dict[str, np.ndarray]:
    """The loop's data: rows to draw from, the intensities' scaling, and which rows have a label."""
    labels = rows.get("labels")
    labelled = {} if labels is None else {"labelled": np.flatnonzero(labels >= 0).astype(np.int32)}
    return {**rows, **labelled, "scaling": np.asarray(scaling, np.float32)}


def keep_labelled(given: Given, rows: Integer[np.ndarray, " a"], held: Integer[np.ndarray, " b"]) -> Split:
    """The split into training and held-out rows; where few have a label, all of these are trained on."""
    classes = given.config.classes
    if given.labels is None or classes is None or classes.labels != "some":
        return rows, held
    known = given.labels[held] >= 0
    return np.sort(np.concatenate([rows, held[known]])), held[~known]


def each_row(data: dict[str, PyTree]) -> dict[str, PyTree]:
    """What a batch has one of for each example."""
    return {name: data[name] for name in ("images", "labels", "targets") if name in data}


def drawer(config: RVAEConfig) -> BatchFn:
    """`(data, *, key, step) -> rows` of a batch, drawn at random; where few rows have a label, a share from these."""
    draw, known = random_rows(config.training.batch_size), 0
    if config.classes is not None and config.classes.labels == "some":
        known = round(config.classes.labelled_share * config.training.batch_size)

    def rows(data: dict[str, Any], *, key: Array, step: Array) -> dict[str, Array]:
        drawn = draw(each_row(data), key=key, step=step)
        if not known:
            return drawn
        picked = jax.random.randint(jax.random.fold_in(key, 1), (known,), 0, len(data["labelled"]))
        chosen = data["labelled"][picked]
        return {name: jnp.concatenate([data[name][chosen], drawn[name][known:]]) for name in drawn}

    return rows
