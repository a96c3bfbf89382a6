"""What a prior of one's own must have. Imports no JAX.

    @dataclass(frozen=True)
    class Trimodal:
        concentration: float = 4.0

        def log_prob(self, angle, params):
            return self.concentration * jnp.cos(3 * angle) - jnp.log(2 * jnp.pi * i0(self.concentration))

    rx.train(subimages, config=replace(preset("default"), angle_prior=Trimodal()))

A prior is a frozen dataclass: its fields are its options. `config.yaml` stores it under `kind` by its import path
(`my_module:Trimodal`) with its fields, and it is loaded again wherever that module can be imported.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from rvaejax.errors import ConfigError

OPTIONAL = ("sample", "kl", "init", "prepare", "transport")


@runtime_checkable
class OwnPrior(Protocol):
    """A prior that does not come with the package: a frozen dataclass with these methods.

    Required is `log_prob`, and `sample` for shift and content; of an angle, which is one number on a circle, samples
    are drawn from the density itself where there is no `sample`. Optional methods:

        sample(params, shape, *, key): draws; `shape` is the result's, with the latent's own axis last.
        init(dim, *, key) -> params: a pytree that is learned with the networks (empirical Bayes).
        kl(posterior, params): the divergence of one example's posterior in closed form [nat]. A posterior is
            `Normal(mean, log_sd)` of shape (d,), of the angle also `Circular`; see `rvaejax/nets/encoders.py`. Without
            it, an angle's divergence is taken by quadrature, that of shift and content from draws of the posterior.
        prepare(params, encode) -> params: what `log_prob` and `sample` are given as params, made once a batch;
            `encode(images)` gives the encoder's posteriors of images (no ascent), on which a prior may rest.
        transport(latent, params) -> value: a map that turns a standard normal into this prior, for supports that are
            not the whole space. The posterior is then normal in the latent, its divergence in closed form.
    """

    def log_prob(self, value: Any, params: Any) -> Any:
        """Logarithm of the density at one value: angle () [rad, in (-pi, pi]], shift (2,) [half windows], content (d,).

        It must be normalised: over the circle, the plane, or R^d.
        """
        ...


def check_own(prior: object, name: str, built_in: tuple[type, ...], *, needs_sample: bool) -> None:
    """Refuses what cannot be a prior; those that come with the package pass.

    Raises:
        ConfigError: it is neither one of `built_in` nor a frozen dataclass with the methods of `OwnPrior`.
    """
    if isinstance(prior, built_in):
        return
    kind = prior.__name__ if isinstance(prior, type) else type(prior).__name__
    known = ", ".join(cls.__name__ for cls in built_in)
    if isinstance(prior, type):
        raise ConfigError(f"{name}={kind} is a class: give one of it, {kind}(...)")
    if type(prior).__module__.startswith("rvaejax."):
        raise ConfigError(f"{name}={kind}(...) is a prior of something else: it must be one of {known}, or your own")
    needed = ("log_prob", "sample") if needs_sample else ("log_prob",)
    for method in needed:
        if not callable(getattr(prior, method, None)):
            raise ConfigError(f"{name}={kind}(...) has no method {method}: a prior needs {' and '.join(needed)}")
    options: Any = getattr(type(prior), "__dataclass_params__", None)
    if options is None or not options.frozen:
        raise ConfigError(f"{name}={kind}(...): a prior must be a frozen dataclass; its fields are its options")
