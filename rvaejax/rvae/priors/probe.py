"""A prior of one's own, tried once before a training: shapes, support, and that its density is one."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rvaejax.errors import ConfigError
from rvaejax.nets.encoders import Normal
from rvaejax.rvae.config import ANGLE_PRIORS, CONTENT_PRIORS, SHIFT_PRIORS, RVAEConfig
from rvaejax.rvae.priors import circle
from rvaejax.rvae.priors.build import build_angle, build_content, build_shift
from rvaejax.rvae.priors.functions import PriorFns

_TRIED = 64  # values at which a density is looked at
_REACH = 3.0  # of these values: standard deviations of a wide posterior
_GRID = 512  # points along each side of the quadrature over the plane
_OFF = 0.02  # how far an integral may be from one


@functools.lru_cache(maxsize=64)
def check_priors(config: RVAEConfig, shape: tuple[int, int, int]) -> None:
    """Refuses priors that a training could not use; those that come with the package pass unseen.

    Raises:
        ConfigError: a method fails, or gives another shape than it must; a density that is not finite where the
            latent may be, or whose integral over the circle or the plane is not 1.
    """
    if not isinstance(config.angle_prior, ANGLE_PRIORS):
        with _naming("angle_prior", config.angle_prior) as at:
            _angle(build_angle(config.angle_prior), at)
    if not isinstance(config.shift_prior, SHIFT_PRIORS):
        with _naming("shift_prior", config.shift_prior) as at:
            prior = build_shift(config.shift_prior, config.shift_scale)
            _vector(prior, 2, config.shift_scale, at)
            if prior.transport is None:
                _plane(prior, config.shift_scale, at)
    if not isinstance(config.content_prior, CONTENT_PRIORS):
        with _naming("content_prior", config.content_prior) as at:
            _vector(build_content(config.content_prior, config.content_dim, shape), config.content_dim, 1.0, at)


class _naming:  # noqa: N801  used as a statement
    """Turns whatever a prior's own code raises into one error that names the prior."""

    def __init__(self, name: str, prior: object):
        self.at = f"{name}={type(prior).__name__}(...)"

    def __enter__(self) -> str:
        return self.at

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception) and not isinstance(error, ConfigError):
            first = str(error).strip().splitlines() or [type(error).__name__]
            raise ConfigError(f"{self.at} fails when it is tried: {type(error).__name__}: {first[0]}") from error


def _params(prior: PriorFns, dim: int) -> Any:
    def encode(images: Any) -> Normal:
        return Normal(jnp.zeros((len(images), dim)), jnp.zeros((len(images), dim)))

    return prior.prepare(prior.init(key=jax.random.key(0)), encode)


def _angle(prior: PriorFns, at: str) -> None:
    params = _params(prior, 1)
    values = np.asarray(_one_number(prior.log_prob(circle.circle(_TRIED), params), (_TRIED,), at, "()"))
    _finite(values, np.asarray(circle.circle(_TRIED)), at, "every angle of the circle")
    _integral(float(circle.log_integral(lambda a: prior.log_prob(a, params), 4096)), at, "over the circle")
    if prior.sample is not None:
        _sampled(prior, params, (_TRIED,), at)


def _vector(prior: PriorFns, dim: int, scale: float, at: str) -> None:
    params = _params(prior, dim)
    z = np.random.default_rng(0).standard_normal((_TRIED, dim)).astype(np.float32) * _REACH
    if prior.transport is None:
        z *= np.float32(scale)
        where = "every shift" if dim == 2 and scale != 1.0 else "all of its space"
        values = jax.vmap(lambda v: _one_number(prior.log_prob(v, params), (), at, f"({dim},)"))(jnp.asarray(z))
        _finite(np.asarray(values), z, at, f"{where}; for a smaller support give it a method transport")
    else:
        out = jnp.asarray(prior.transport(jnp.asarray(z[0]), params))
        if out.shape != (dim,) or not bool(jnp.isfinite(out).all()):
            raise ConfigError(f"{at}: transport gives shape {out.shape} of a latent ({dim},): it must give ({dim},)")
    _sampled(prior, params, (_TRIED, dim), at)


def _sampled(prior: PriorFns, params: Any, shape: tuple[int, ...], at: str) -> None:
    draws = jnp.asarray(prior.sample(params, shape, key=jax.random.key(1)))  # type: ignore[misc]
    if draws.shape != shape:
        raise ConfigError(f"{at}: sample gives shape {draws.shape}, where {shape} was asked for")
    if not bool(jnp.isfinite(draws).all()):
        raise ConfigError(f"{at}: sample gives values that are not finite")


def _plane(prior: PriorFns, scale: float, at: str) -> None:
    """The integral over the plane, with points that lie dense where the encoder's latents are, and far out too."""
    params, u = _params(prior, 2), (np.arange(_GRID) + 0.5) / _GRID * 2 - 1
    line = 2 * scale * np.tan(np.pi / 2 * u)
    steps = np.pi * scale / np.cos(np.pi / 2 * u) ** 2 * (2 / _GRID)
    points = np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2).astype(np.float32)
    values = jax.lax.map(lambda v: prior.log_prob(v, params), jnp.asarray(points), batch_size=4096)
    log_cells = np.log(np.outer(steps, steps).ravel())
    _integral(float(jax.nn.logsumexp(values + jnp.asarray(log_cells, jnp.float32))), at, "over the plane")


def _one_number(value: Any, shape: tuple[int, ...], at: str, of: str) -> Any:
    found = jnp.shape(value)
    if found != shape:
        raise ConfigError(f"{at}: log_prob gives shape {found} of one value {of}: it must give one number")
    return value


def _finite(values: np.ndarray, points: np.ndarray, at: str, where: str) -> None:
    if not np.isfinite(values).all():
        bad = int(np.argmin(np.isfinite(values)))
        point = np.round(points[bad], 2).tolist()
        raise ConfigError(f"{at}: log_prob is {values[bad]} at {point}: the support must be {where}")


def _integral(log_value: float, at: str, where: str) -> None:
    if not abs(np.expm1(log_value)) < _OFF:
        raise ConfigError(f"{at}: its density integrates to {np.exp(log_value):.4g} {where}: it must be 1")
