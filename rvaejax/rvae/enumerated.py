"""NumPyro's evidence lower bound with the guide's discrete sites summed over exactly.

For a guide q(k) q(z | k) and a model p(x, z, k), for each example of the plate,

    ELBO = sum over k of  q(k) E_{q(z | k)}[log p(x, z, k) - log q(z | k) - log q(k)],

each expectation by one reparametrised draw with the same noise for all k. The sum carries the gradient of q(k): neither
a score function nor a relaxation is needed. (`numpyro.infer.TraceEnum_ELBO` does as much, but needs another package.)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree
from numpyro.distributions.util import scale_and_mask
from numpyro.handlers import replay, seed, substitute, trace
from numpyro.infer import ELBO


class Bounds(NamedTuple):
    """The bound of each example [nat], with the factors that `numpyro.handlers.scale` gave its terms, and without."""

    scaled: Float[Array, " b"]
    plain: Float[Array, " b"]


class EnumeratedELBO(ELBO):
    """For models and guides whose sample sites all lie in one plate."""

    can_infer_discrete = True

    def loss(
        self,
        rng_key: Key[Array, ""],
        param_map: dict[str, PyTree],
        model: Callable[..., Any],
        guide: Callable[..., Any],
        *args: Any,
    ) -> Float[Array, ""]:
        """Minus the bound, summed over the examples, averaged over the particles."""
        keys = jax.random.split(rng_key, self.num_particles)
        return jnp.mean(jnp.stack([-self.bounds(key, param_map, model, guide, *args).scaled.sum() for key in keys]))

    @staticmethod
    def bounds(
        key: Key[Array, ""],
        params: dict[str, PyTree],
        model: Callable[..., Any],
        guide: Callable[..., Any],
        *args: Any,
    ) -> Bounds:
        """The bound of each example."""
        for_sites, for_model, for_guide = jax.random.split(key, 3)
        found = trace(seed(substitute(guide, data=params), for_sites)).get_trace(*args)
        discrete = {name: site for name, site in found.items() if _is_discrete(site)}
        supports = [np.arange(len(s["fn"].enumerate_support(expand=False))) for s in discrete.values()]

        def given(choice: Any) -> Bounds:
            shapes = {name: jnp.shape(site["value"]) for name, site in discrete.items()}
            chosen = {name: jnp.broadcast_to(choice[i], shape) for i, (name, shape) in enumerate(shapes.items())}
            in_guide = substitute(substitute(guide, data=params), data=chosen)
            guided = trace(seed(in_guide, for_guide)).get_trace(*args)
            in_model = replay(seed(substitute(model, data=params), for_model), guided)
            modelled = trace(in_model).get_trace(*args)
            log_weights = [guided[name]["fn"].log_prob(guided[name]["value"]) for name in discrete]
            weight = jnp.exp(sum(log_weights, jnp.zeros(())))
            scaled, plain = (_log_density(modelled, s) - _log_density(guided, s) for s in (True, False))
            return Bounds(weight * scaled, weight * plain)

        if not discrete:
            return given(())
        choices = jnp.asarray(list(itertools.product(*supports)))
        return jax.tree.map(lambda v: v.sum(0), jax.vmap(given)(choices))


def _is_discrete(site: dict[str, Any]) -> bool:
    return site["type"] == "sample" and not site["is_observed"] and site["fn"].support.is_discrete


def _log_density(sites: dict[str, Any], with_scale: bool) -> Float[Array, " b"]:
    """The sum over sites of each example's log-density."""
    total: Any = 0.0
    for site in sites.values():
        if site["type"] == "sample":
            value = site["fn"].log_prob(site["value"])
            total = total + (scale_and_mask(value, site["scale"]) if with_scale else value)
    return total
