"""Several rVAEs of one configuration trained side by side from different seeds, as one training.

Their parameters are stacked and their losses added up, so that no gradient of one depends on another; Adam works on
each number by itself. Each is what its seed alone would give, to float tolerance.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Integer, PyTree, Shaped

from rvaejax.errors import ConfigError
from rvaejax.rvae.batches import each_row
from rvaejax.rvae.config import ConvEncoder, RVAEConfig
from rvaejax.rvae.inference import encode_raw
from rvaejax.rvae.record import SeedScore
from rvaejax.training.state import BatchFn, LossFn

Evaluate = Callable[[PyTree], dict[str, float]]


def check_seeds(config: RVAEConfig, seeds: int, held_out: int) -> None:
    """Refuses what several seeds cannot be trained with.

    Raises:
        ConfigError: fewer than one seed; a limit of the gradient's norm, which would tie the seeds together; or
            too little held out to tell the best by.
    """
    if seeds < 1:
        raise ConfigError(f"seeds={seeds} makes no sense: it must be at least 1")
    if seeds > 1 and config.training.clip is not None:
        raise ConfigError(f"clip={config.training.clip} with {seeds} seeds: it must be null, or train them one by one")
    if held_out < 2 and (seeds > 1 or config.training.patience is not None):
        wanted = "several seeds" if seeds > 1 else "patience"
        raise ConfigError(
            f"{wanted}: the best is told by held-out images, of which there are {held_out}; raise holdout"
        )


def stack(trees: Sequence[PyTree]) -> PyTree:
    """Pytrees of the same structure as one, with the members along the first axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def member(params: PyTree, number: int) -> PyTree:
    """The parameters of one."""
    return jax.tree.map(lambda leaf: leaf[number], params)


@functools.lru_cache(maxsize=8)
def side_by_side(loss_fn: LossFn, batch_fn: BatchFn, config: RVAEConfig, seeds: int) -> tuple[LossFn, BatchFn]:
    """Loss and batches of all members, from those of one; the metrics are means over the members.

    Dense networks are mapped over their weights: one program, larger matrix products. For convolutions that would be
    grouped convolutions, many times slower on CPUs, and so would convolutions in a `lax.map`: those members are
    written into the program one after the other, which compiles for as many times longer.
    """

    def batches(data, *, key, step):
        rows = jax.vmap(lambda k: each_row(batch_fn(data, key=k, step=step)))(key)
        return {**data, **rows, "step": step}

    def all_losses(params, batch, keys):
        def one(p, rows, key):
            return loss_fn(p, {**batch, **rows}, key)

        rows = each_row(batch)
        if not isinstance(config.encoder, ConvEncoder):
            return jax.vmap(one)(params, rows, keys)
        return stack([one(member(params, i), member(rows, i), keys[i]) for i in range(seeds)])

    def loss(params, batch, keys):
        losses, metrics = all_losses(params, batch, keys)
        return losses.sum(), {"loss": losses.mean(), **jax.tree.map(lambda v: v.mean(0), metrics)}

    return loss, batches


def evaluation(evaluate: Evaluate, first: int, seeds: int) -> Evaluate:
    """Held-out metrics of the member with the highest ELBO, and the ELBO of each as `elbo_seed_N`."""

    def of(params: PyTree) -> dict[str, float]:
        found = [evaluate(member(params, i)) for i in range(seeds)]
        each = {f"elbo_seed_{first + i}": values["elbo"] for i, values in enumerate(found)}
        return {**max(found, key=lambda values: values["elbo"]), **each}

    return of


def best_member(
    config: RVAEConfig,
    params: PyTree,
    evaluate: Evaluate,
    held_out: Shaped[np.ndarray, "n h w c"],
    scaling: tuple[float, float],
    seed: int,
    seeds: int,
    labels: Integer[np.ndarray, " n"] | None = None,
) -> tuple[PyTree, tuple[SeedScore, ...]]:
    """The parameters with the highest held-out ELBO, and how the others' latents compare with theirs."""
    from rvaejax.rvae.agreement import angle_agreement, content_agreement  # SciPy: not for a training of one

    found = evaluate(params)
    bounds = [found[f"elbo_seed_{seed + i}"] for i in range(seeds)]
    best = int(np.argmax(bounds))
    latents = [encode_raw(config, member(params, i), held_out, scaling, 256, labels) for i in range(seeds)]
    content, angle = latents[best]["content"], latents[best]["angle"]
    scores = (
        SeedScore(
            seed + i,
            bounds[i],
            angle_agreement(content, angle, latents[i]["angle"]),
            content_agreement(content, latents[i]["content"]),
        )
        for i in range(seeds)
    )
    return member(params, best), tuple(scores)
