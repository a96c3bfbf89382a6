"""The ELBO on held-out images, as a training looks at it."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree, Shaped

from rvaejax.rvae import elbo
from rvaejax.rvae.config import RVAEConfig
from rvaejax.rvae.inputs import scaled
from rvaejax.training import devices

_BATCH = 32


def held_out_terms(
    config: RVAEConfig,
    model: elbo.RVAE,
    held_out: dict[str, Shaped[np.ndarray, "n ..."]],
    scaling: tuple[float, float],
    key: jax.Array,
) -> Callable[[PyTree], dict[str, float]]:
    """The terms of the ELBO on held-out images, on all pixels, with the same randomness every time.

    Where only some rows have labels, no labels are looked at: the bound is that of an image alone.
    """
    hidden = config.classes is not None and config.classes.labels == "some"
    mesh = devices.mesh(_BATCH)
    on_device = {name: jnp.asarray(v) for name, v in held_out.items() if not (hidden and name == "labels")}

    def _one(params, row, number):
        # Folded, not split: the same key serves every evaluation, so that they can be compared.
        own = jax.random.fold_in(key, number)
        further = {name: value[None] for name, value in row.items() if name != "images"}
        images = scaled(row["images"][None], scaling)
        return jax.tree.map(lambda v: v[0], model.terms(params, images, key=own, pixels=None, **further))

    def terms_of(params, batch):
        # In small batches: with all pixels, the activations of all images at once would take gigabytes. All of one
        # size, some rows twice: a last, smaller batch would be a second program to compile.
        n = len(batch["images"])
        pieces, parts = -(-n // _BATCH), devices.parts(mesh)
        share = -(-n // (pieces * parts))
        rows = jnp.arange(pieces * parts * share) % n
        numbered = (jax.tree.map(lambda v: v[rows], batch), rows)
        t = devices.mapped(lambda b: _one(params, *b), numbered, mesh, share)
        t = jax.tree.map(lambda v: v[:n], t)
        return {"elbo": elbo.elbo(t).mean(), **{name: value.mean() for name, value in t.present().items()}}

    terms = devices.compiled(terms_of, mesh)

    def evaluate(params: PyTree) -> dict[str, float]:
        return {name: float(value) for name, value in terms(devices.everywhere(params, mesh), on_device).items()}

    return evaluate
