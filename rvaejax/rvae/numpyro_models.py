"""The rVAE as a NumPyro model and guide, over the same pure networks and priors.

Sites, all in one plate `images`: `shift` and `content` (latents as the encoder has them); of a Gaussian posterior of
the angle, `angle` [rad]; of a circular one, `orientation` (the bin) and `residual` [half bins], with the angle's prior
as the factor `angle_prior`. The networks' parameters are one `numpyro.param`, `rvae`.

    parts = build(config, shape)
    svi = numpyro.infer.SVI(parts.model, parts.guide, numpyro.optim.Adam(1e-3), parts.elbo)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float, Integer, Key, PyTree
from numpyro.distributions import constraints
from numpyro.handlers import scale
from numpyro.infer import ELBO

from rvaejax.errors import ConfigError
from rvaejax.nets.encoders import Circular, Normal
from rvaejax.rvae import ascent, elbo, schedules
from rvaejax.rvae.config import Capacity, GaussianAngle, PolarEncoder, RVAEConfig, check_plain
from rvaejax.rvae.coordinates import grid
from rvaejax.rvae.divergences import LOG_2PI
from rvaejax.rvae.enumerated import EnumeratedELBO
from rvaejax.rvae.priors import circle

LEAST = 1e-12  # NumPyro's factors of log-densities must be positive


class Density(dist.Distribution):
    """A density that is given by its functions, for one value of `event_shape`."""

    def __init__(self, log_density: Callable[..., Array], draw: Callable[..., Array], event_shape: tuple[int, ...]):
        self.log_density, self.draw = log_density, draw
        super().__init__((), event_shape)

    @property
    def support(self) -> Any:
        """Real numbers, or vectors of them."""
        return constraints.real_vector if self.event_shape else constraints.real

    def sample(self, key: Key[Array, ""], sample_shape: tuple[int, ...] = ()) -> Array:
        """Draws."""
        return self.draw((*sample_shape, *self.event_shape), key=key)

    def log_prob(self, value: Array) -> Array:
        """The log-density of values along any leading axes."""
        return jnp.vectorize(self.log_density, signature="(d)->()" if self.event_shape else "()->()")(value)


class WrappedNormal(dist.Distribution):
    """A normal on the circle; its draws are left unwrapped, so that they can be differentiated."""

    support = constraints.real
    reparametrized_params = ["centre", "log_width"]

    def __init__(self, mean: Float[Array, " b"], log_sd: Float[Array, " b"]):
        self.centre, self.log_width = mean, log_sd
        super().__init__(mean.shape)

    def sample(self, key: Key[Array, ""], sample_shape: tuple[int, ...] = ()) -> Array:
        """Draws on the line [rad]."""
        noise = jax.random.normal(key, (*sample_shape, *self.batch_shape))
        return self.centre + jnp.exp(self.log_width) * noise

    def log_prob(self, value: Array) -> Array:
        """The log-density on the circle."""
        return circle.log_wrapped_normal(value, self.centre, self.log_width)


class Probabilistic(NamedTuple):
    """An rVAE in NumPyro's terms.

    Attributes:
        model, guide: `(images (b, h, w, c), pixels=None, step=None)`: scaled images, the pixels (all if None) that the
            likelihood is estimated from, and the step of the schedules (None: no annealing, all weights as configured).
        elbo: the bound for `numpyro.infer.SVI`; orientations are summed over exactly.
    """

    model: Callable[..., None]
    guide: Callable[..., None]
    elbo: ELBO


def check_expressible(config: RVAEConfig) -> None:
    """Refuses objectives that are no bound of a NumPyro model.

    Raises:
        ConfigError: a capacity, a divergence without its mean term, or latents other than angle, shift and content.
    """
    check_plain(config, "inference='svi'")
    if isinstance(config.divergences, Capacity):
        raise ConfigError("inference='svi' with divergences=Capacity(...): no model has that objective; use 'elbo'")
    if isinstance(config.angle_prior, GaussianAngle) and not config.angle_prior.mean_term:
        raise ConfigError("inference='svi' with mean_term=False: that divergence belongs to no density; use 'elbo'")


def build(config: RVAEConfig, shape: tuple[int, int, int]) -> Probabilistic:
    """Model and guide of windows of shape (h, w, c).

    Raises:
        ConfigError: the configuration's objective is no bound of a model.
    """
    check_expressible(config)
    rvae, size, channels = elbo.build(config, shape), shape[0], shape[2]
    families, circular = rvae.families, isinstance(config.encoder, PolarEncoder)
    bins = config.encoder.orientations if isinstance(config.encoder, PolarEncoder) else 0

    def networks() -> PyTree:
        return numpyro.param("rvae", lambda key: rvae.init(key=key))

    def weight(name: str, step: Integer[Array, ""] | int | None) -> Any:
        """As `objective` has it: the annealing cools the likelihood alone."""
        factor = 1.0 if step is None else schedules.weight_factor(config.divergences, step)
        return jnp.maximum(getattr(config, f"{name}_weight") * factor, LEAST)

    def prior_of(name: str, dim: int, params: PyTree) -> Density:
        family = getattr(families, name)

        def draw(shape, *, key):  # in the encoder's latent
            if family.prior.transport is not None:
                return jax.random.normal(key, shape)
            return family.prior.sample(params, shape, key=key) / family.scale

        return Density(lambda latent: family.log_prior(latent, params), draw, (dim,))

    def angle_of(prior: PyTree, step: Integer[Array, ""] | int | None) -> Float[Array, " b"]:
        fns = families.angle.prior

        def log_prior(angle):
            return fns.log_prob(angle, prior)

        with scale(scale=weight("angle", step)):
            if circular:
                uniform = dist.Categorical(logits=jnp.zeros(bins))
                chosen = numpyro.sample("orientation", uniform, infer={"enumerate": "parallel"})
                angle = jnp.pi / bins * (2 * chosen + numpyro.sample("residual", dist.Normal(0.0, 1.0)))
                numpyro.factor("angle_prior", log_prior(angle) + LOG_2PI)
                return angle
            if isinstance(config.angle_prior, GaussianAngle):
                return numpyro.sample("angle", dist.Normal(0.0, config.angle_prior.sd))
            density = Density(log_prior, functools.partial(fns.sample, prior), ())  # type: ignore[arg-type,misc]
            return numpyro.sample("angle", density)

    def model(images, pixels=None, step=None) -> None:
        params = networks()
        prior = rvae.prior_params(params)
        points, x = grid(size), images.reshape(len(images), size * size, channels)
        if pixels is not None:
            points, x = points[pixels], x[:, pixels]
        with numpyro.plate("images", len(images)):
            angle = angle_of(prior["angle"], step)
            with scale(scale=weight("shift", step)):
                shift = numpyro.sample("shift", prior_of("shift", 2, prior["shift"]))
            with scale(scale=weight("content", step)):
                content = numpyro.sample("content", prior_of("content", config.content_dim, prior["content"]))
            values = jax.vmap(lambda u: families.shift.value(u, prior["shift"]))(shift)
            log_likelihood = jax.vmap(rvae.log_likelihood, in_axes=(None, 0, None, 0, 0, 0))
            found = log_likelihood(params, x, points, angle, values, content)
            with scale(scale=1.0 if step is None else 1 / schedules.temperature(config, step)):
                numpyro.factor("image", found)

    def guide(images, pixels=None, step=None) -> None:
        heat = 1.0 if step is None else schedules.temperature(config, step)
        q = rvae.encode(networks(), images, None, heat, together=step is not None)
        with numpyro.plate("images", len(images)):
            with scale(scale=weight("angle", step)):
                _guide_angle(q.angle, isinstance(config.angle_prior, GaussianAngle))
            for name, posterior in (("shift", q.shift), ("content", q.content)):
                with scale(scale=weight(name, step)):
                    numpyro.sample(name, dist.Normal(posterior.mean, jnp.exp(posterior.log_sd)).to_event(1))

    return Probabilistic(model, guide, EnumeratedELBO())


def _guide_angle(q: Normal | Circular, on_line: bool) -> None:
    if isinstance(q, Circular):
        chosen = numpyro.sample("orientation", dist.Categorical(logits=q.logits), infer={"enumerate": "parallel"})
        mean, log_sd = (jnp.take_along_axis(v, chosen[:, None], axis=1)[:, 0] for v in q.residual)
        numpyro.sample("residual", dist.Normal(mean, jnp.exp(log_sd)))
    elif on_line:
        numpyro.sample("angle", dist.Normal(q.mean[:, 0], jnp.exp(q.log_sd[:, 0])))
    else:
        numpyro.sample("angle", WrappedNormal(q.mean[:, 0], q.log_sd[:, 0]))


def build_loss(config: RVAEConfig, shape: tuple[int, int, int]) -> Callable[..., Any]:
    """The training loss by stochastic variational inference, in the place of `RVAE.loss` of `elbo.py`.

    Returns:
        `(params, images, step, *, key) -> (loss, metrics)`, means over the batch.
    """
    parts, rvae = build(config, shape), elbo.build(config, shape)

    def loss(params: PyTree, images: Float[Array, "b h w c"], step: Integer[Array, ""] | int, *, key: Key[Array, ""]):
        for_pixels, for_terms = jax.random.split(key)
        pixels = elbo.draw_pixels(config, shape[0] * shape[1], key=for_pixels)
        bound = EnumeratedELBO.bounds(for_terms, {"rvae": params}, parts.model, parts.guide, images, pixels, step)
        heat = schedules.temperature(config, step)
        q = rvae.encode(params, images, None, heat, together=True)
        beside = ascent.lag(q).mean() + config.centring / heat * elbo.off_centre(q.content.mean)  # no part of the bound
        return beside - bound.scaled.mean(), {"elbo": bound.plain.mean()}

    return loss
