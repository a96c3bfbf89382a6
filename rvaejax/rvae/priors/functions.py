"""What the rest of the package sees of a prior: pure functions of values and of the prior's learned parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array, Float, PyTree

RATE = 4.0
"""Factor of what a prior learns to its parameters: Adam's steps are of one size, made for weights of networks, with
which a concentration of a hundred, or the narrow cloud of one kind, would not be reached within a training."""


def no_params(*, key: Any) -> PyTree:
    """Parameters of a prior that learns nothing."""
    del key
    return {}


def as_they_are(params: PyTree, encode: Callable[..., Any]) -> PyTree:
    """Parameters that need no preparation."""
    del encode
    return params


class PriorFns(NamedTuple):
    """A prior as functions, for one example.

    Attributes:
        log_prob: `(value, params) -> log-density` [nat].
        sample: `(params, shape, *, key) -> values` of that shape, the latent's own axis last; None for an angle that is
            drawn from its density.
        init: `(*, key) -> params`; an empty tree where nothing is learned.
        prepare: `(params, encode) -> params` as the other functions take them, once a batch; `encode(images)` gives
            the posteriors that the prior is about.
        kl: `(posterior, params) -> divergence` [nat] in closed form, or None.
        mean_log_prob: of an angle: `(mean, sd, params) -> E[log_prob]` under a wrapped normal, in closed form, or None.
        transport: `(latent, params) -> value`, of a standard normal latent to this prior, or None.
        on_line: of an angle: the density and a Gaussian posterior are taken on the line, not on the circle.
    """

    log_prob: Callable[..., Float[Array, "..."]]
    sample: Callable[..., Float[Array, "..."]] | None
    init: Callable[..., PyTree] = no_params
    prepare: Callable[..., PyTree] = as_they_are
    kl: Callable[..., Float[Array, ""]] | None = None
    mean_log_prob: Callable[..., Float[Array, "..."]] | None = None
    transport: Callable[..., Float[Array, "..."]] | None = None
    on_line: bool = False
