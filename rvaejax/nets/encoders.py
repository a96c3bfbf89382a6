"""Encoders: a window to the parameters of the posterior of its angle, shift and content.

`mlp` and `conv` give one Gaussian per latent. `polar` gives a categorical over orientations with a residual at each,
and is equivariant by construction: rolling the polar grid rolls the orientations' scores, turns the shift, and leaves
the content as it is.
"""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rvaejax.nets.config import ConvEncoder, Encoder, MLPEncoder, PolarEncoder
from rvaejax.nets.network import Network
from rvaejax.nets.polar import polar_features, polar_points, polar_taps


class Normal(NamedTuple):
    """Independent Gaussians."""

    mean: Float[Array, "... d"]
    log_sd: Float[Array, "... d"]


class Circular(NamedTuple):
    """A categorical over K equally spaced orientations 2 pi k / K, with a Gaussian residual at each.

    Attributes:
        logits: (..., K) log-probabilities, normalised.
        residual: (..., K) the residual angle's latent, in units of half a bin (pi / K).
    """

    logits: Float[Array, "... k"]
    residual: Normal


class Encoded(NamedTuple):
    """An encoder's output for a batch of windows.

    Attributes:
        angle: `Normal` of one dimension (of none, where the content is never turned), unwrapped [rad], or `Circular`.
        shift: (b, 2) (x, y) in units of the shift's prior; (b, 1) of signals, (b, 0) where nothing moves.
        content: (b, d).
        scale: (b, 1) logarithm of the scale in units of its prior, or None.
        classes: (b, k) log-probabilities of the classes, normalised, or None.
        guess: (b, d) the mean of the content as the encoder gave it, where it has been replaced since, or None.
    """

    angle: Normal | Circular
    shift: Normal
    content: Normal
    scale: Normal | None = None
    classes: Float[Array, "... k"] | None = None
    guess: Float[Array, "... d"] | None = None


class Dims(NamedTuple):
    """Dimensions of the latents; `classes` is the number of classes, 0 for none."""

    content: int
    angle: int = 1
    shift: int = 2
    scale: int = 0
    classes: int = 0

    @property
    def continuous(self) -> int:
        """Of the Gaussian latents together."""
        return self.content + self.angle + self.shift + self.scale


def _split(out: Float[Array, "b latents"], dims: Dims, classes: Float[Array, "b k"] | None) -> Encoded:
    mean, log_sd = jnp.split(out, 2, axis=-1)
    ends = np.cumsum([0, dims.angle, dims.shift, dims.content, dims.scale])
    angle, shift, content, scale = (Normal(mean[:, a:b], log_sd[:, a:b]) for a, b in zip(ends, ends[1:], strict=False))
    return Encoded(angle, shift, content, scale if dims.scale else None, classes)


def _class_head(x: Float[Array, "b f"], hidden: int, classes: int) -> Float[Array, "b k"] | None:
    """Log-probabilities of the classes, from features that know nothing of a class yet."""
    if not classes:
        return None
    x = nn.relu(nn.Dense(hidden, name="classes_hidden")(x))
    init = nn.initializers.normal(2 * hidden**-0.5)  # far from undecided, where nothing would tell the classes apart
    return nn.log_softmax(nn.Dense(classes, kernel_init=init, name="classes")(x))


def _of_class(y: Float[Array, "b k"] | None, features: int) -> Float[Array, "b f"] | float:
    """What a class adds to the features from which the other latents' posteriors are read."""
    return 0.0 if y is None else nn.Dense(features, use_bias=False, name="of_class")(y)


class _MLP(nn.Module):
    config: MLPEncoder
    dims: Dims

    @nn.compact
    def __call__(self, images: Float[Array, "b h w c"], y: Float[Array, "b k"] | None = None) -> Encoded:
        c, x = self.config, images.reshape(len(images), -1)
        for _ in range(c.layers - 1):
            x = jnp.tanh(nn.Dense(c.hidden, dtype=c.precision)(x)).astype(jnp.float32)
        classes = _class_head(x, c.hidden, self.dims.classes)
        x = jnp.tanh(nn.Dense(c.hidden, dtype=c.precision)(x).astype(jnp.float32) + _of_class(y, c.hidden))
        return _split(nn.Dense(2 * self.dims.continuous)(x), self.dims, classes)


class _Conv(nn.Module):
    config: ConvEncoder
    dims: Dims

    @nn.compact
    def __call__(self, images: Float[Array, "b h w c"], y: Float[Array, "b k"] | None = None) -> Encoded:
        c, x = self.config, images
        for filters in c.filters:
            x = nn.relu(nn.Conv(filters, (3, 3), strides=2)(x))
        x = x.reshape(len(x), -1)
        classes = _class_head(x, c.hidden, self.dims.classes)
        x = nn.relu(nn.Dense(c.hidden)(x) + _of_class(y, c.hidden))
        return _split(nn.Dense(2 * self.dims.continuous)(x), self.dims, classes)


class _CircularDense(nn.Module):
    """A circular convolution along the orientations with full-width, band-limited kernels, in the Fourier domain."""

    features: int
    harmonics: int

    @nn.compact
    def __call__(self, x: Float[Array, "b k i"]) -> Float[Array, "b k o"]:
        k, inputs, m = x.shape[1], x.shape[2], self.harmonics
        phase = 2 * np.pi * np.outer(np.arange(k), np.arange(m + 1)) / k
        cos, sin = jnp.asarray(np.cos(phase), x.dtype), jnp.asarray(np.sin(phase), x.dtype)
        scale = inputs**-0.5
        real = self.param("real", nn.initializers.normal(scale), (m + 1, inputs, self.features))
        imag = self.param("imag", nn.initializers.normal(scale), (m + 1, inputs, self.features))
        basis = jnp.concatenate([cos, -sin], axis=1) * (2 / k) ** 0.5
        spectrum = jnp.einsum("bki,kn->nbi", x, basis)
        spectrum = jnp.concatenate([spectrum[: m + 1], spectrum[m + 1 :]], axis=-1)
        # (s0 + i s1) (w0 + i w1), one real matrix product per harmonic
        weights = jnp.concatenate([jnp.concatenate([real, imag], -1), jnp.concatenate([-imag, real], -1)], axis=1)
        product = jnp.concatenate(jnp.split(spectrum @ weights, 2, axis=-1))
        out = jnp.einsum("nbo,kn->bko", product, basis)
        return out + self.param("bias", nn.initializers.zeros, (1, 1, self.features))


def _standardised(module: nn.Module, x: Float[Array, "b f"]) -> Float[Array, "b f"]:
    """Features less their mean over their standard deviation, both over the images that `init` is given.

    From then on they are constants (Salimans and Kingma 2016, arXiv:1602.07868). What all sub-images have in common is
    most of a pooled feature: without this, the content's first differences drown in its posterior's width.
    """
    deviation = x.std(0)
    centre = module.param("centre", lambda _: x.mean(0))
    floored = jnp.maximum(deviation, 0.2 * deviation.mean())
    spread = module.param("spread", lambda _: jnp.where(deviation.mean() > 1e-6, floored, 1.0))
    # Features move on while the encoder learns. Bounded, they would lose their differences; unbounded, they run off.
    return jnp.arcsinh((x - jax.lax.stop_gradient(centre)[None]) / jax.lax.stop_gradient(spread)[None])


class _Polar(nn.Module):
    """Scores every orientation with one shared network; content and shift are read from all of them together.

    The content is pooled over the orientations, so that it cannot say in which frame it was read: of three equivalent
    neighbours that may be missing, only the angle can tell which one it is. The same holds of scale and classes. The
    shift is the mean of vectors, one per orientation, each turned with its orientation.
    """

    config: PolarEncoder
    dims: Dims

    @nn.compact
    def __call__(self, x: Float[Array, "b k features"], y: Float[Array, "b classes"] | None = None) -> Encoded:
        c, k, d = self.config, self.config.orientations, self.dims.content
        for i in range(c.layers):
            skip = 0.0 if i == 0 else nn.Dense(c.hidden)(x)
            x = nn.relu(nn.LayerNorm()(_CircularDense(c.hidden, c.harmonics)(x) + skip))
        heads = nn.Dense(5, kernel_init=nn.initializers.normal(0.3 * c.hidden**-0.5))(x)
        pooled = nn.relu(nn.Dense(c.hidden)(x))
        pooled = jnp.concatenate([pooled.mean(1), jnp.sqrt((pooled**2).mean(1) + 1e-6)], axis=-1)
        # what all windows have in common is most of a pooled feature: classes are told from what is not
        level = _standardised(self, pooled) if c.standardise or self.dims.classes else pooled
        classes = _class_head(level, c.hidden, self.dims.classes)
        if c.standardise:
            # Normalised and without a bias, these units cannot all fall silent and leave one content for everything.
            own = nn.LayerNorm()(nn.Dense(c.hidden, use_bias=False)(level))
        else:
            own = nn.Dense(c.hidden)(pooled)
        pooled = nn.relu(own + _of_class(y, c.hidden))
        invariant = nn.Dense(2 * d + 1)(pooled)
        content = Normal(invariant[:, :d], invariant[:, d:-1] - 1)
        scale = None
        if self.dims.scale:
            size = nn.Dense(2, name="scale", kernel_init=nn.initializers.normal(0.3 * c.hidden**-0.5))(pooled)
            scale = Normal(size[:, :1], size[:, 1:] - 1)
        theta = 2 * np.pi * np.arange(k) / k
        cos, sin = jnp.asarray(np.cos(theta)[None], x.dtype), jnp.asarray(np.sin(theta)[None], x.dtype)
        vx, vy = heads[..., 3], heads[..., 4]
        turned = jnp.stack([vx * cos + vy * sin, -vx * sin + vy * cos], axis=-1)  # counter-clockwise with y down
        moves = self.dims.shift
        shift = Normal(turned.mean(1)[:, :moves], jnp.broadcast_to(invariant[:, -1:] - 1, (len(x), moves)))
        residual = Normal(heads[..., 1], heads[..., 2] - 1)
        return Encoded(Circular(nn.log_softmax(heads[..., 0]), residual), shift, content, scale, classes)


def build(config: Encoder, shape: tuple[int, int, int], dims: Dims) -> Network:
    """The encoder of windows of shape (h, w, c).

    Returns:
        `init(*, key, images) -> params`, where the images, if given, set the scale of features, and
        `apply(params, images (b, h, w, c), y=None) -> Encoded`; where there are classes, y (b, k) are the classes of
        which the other latents' posteriors are asked for, one-hot.
    """
    blank = jnp.zeros((1, *shape))

    def no_class(images: Float[Array, "b h w c"]) -> Float[Array, "b k"] | None:
        return jnp.zeros((len(images), dims.classes)) if dims.classes else None

    if isinstance(config, PolarEncoder):
        taps, weights = polar_taps(polar_points(shape[0], config.orientations, config.radii), shape[:2])
        polar = _Polar(config, dims)

        def features(images: Float[Array, "b h w c"]) -> Float[Array, "b k features"]:
            return polar_features(images, taps, weights, config.orientations)

        return Network(
            lambda *, key, images=blank: polar.init(key, features(images), no_class(images)),
            lambda params, images, y=None: polar.apply(params, features(images), y),
        )
    module = _MLP(config, dims) if isinstance(config, MLPEncoder) else _Conv(config, dims)
    return Network(lambda *, key, images=blank: module.init(key, images, no_class(images)), module.apply)
