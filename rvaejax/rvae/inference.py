"""A trained rVAE at work: latents of sub-images, and images of latents."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, Shaped

from rvaejax.errors import ImageError
from rvaejax.nets.encoders import Encoded
from rvaejax.progress import progress
from rvaejax.rvae import classes, elbo
from rvaejax.rvae.config import RVAEConfig, StandardNormal
from rvaejax.rvae.coordinates import window_grid
from rvaejax.rvae.divergences import kl_normal
from rvaejax.rvae.given import check_labels
from rvaejax.rvae.inputs import check_fits, compact, scaled, unscaled
from rvaejax.rvae.posteriors import drawn_shape
from rvaejax.rvae.record import TrainedRVAE
from rvaejax.training import devices
from rvaejax.types import Latents, SubImages

WIDEST_SD = np.float32(np.pi / np.sqrt(3))  # of the uniform density on the circle


@functools.lru_cache(maxsize=16)
def encoder(config: RVAEConfig, shape: tuple[int, int, int]) -> Callable[..., dict[str, Array]]:
    """`(params, images, scaling, labels=None) -> latents as the network has them`, compiled once per batch shape.

    Where there are classes, `class` (b, k) is the one that the other latents are given, one-hot.
    """
    model = elbo.build(config, shape)

    def apply(params, images, scaling, labels=None):
        lo, hi = scaling
        q = model.encode(params, (images.astype(jnp.float32) - lo) / (hi - lo), labels)
        angle = jax.vmap(model.families.angle.summary)(q.angle)
        prior = model.prior_params(params)
        shift = jax.vmap(lambda m: model.families.shift.value(m, prior["shift"]))(q.shift.mean) * (shape[1] / 2)
        content_kl = kl_normal(*q.content)
        return {
            "angle": angle.angle,
            "angle_sd": angle.sd,
            "shift": shift,
            "content": q.content.mean,
            "content_sd": jnp.exp(q.content.log_sd),
            "content_kl": content_kl,
            **_further(config, model, q, labels),
        }

    return jax.jit(apply)


def _further(config: RVAEConfig, model: elbo.RVAE, q: Encoded, labels: Array | None) -> dict[str, Array]:
    """Scale and classes, where there are such."""
    found: dict[str, Array] = {}
    if q.scale is not None and model.families.scale is not None:
        found["scale"] = jax.vmap(model.families.scale.value)(q.scale.mean)
    if config.classes is not None and q.classes is not None:
        told = config.classes.labels == "all" and labels is not None
        found["class"] = classes.one_hot(labels if told else jnp.argmax(q.classes, -1), config.classes.count)  # type: ignore[arg-type]
        found["class_probability"] = found["class"] if told else jnp.exp(q.classes)
    return found


def drawn_from(raw: Mapping[str, np.ndarray]) -> Float[np.ndarray, "n d"]:
    """What the decoder is given as content: the content latents, followed by the class where there is one."""
    return np.concatenate([raw["content"], raw["class"]], axis=1) if "class" in raw else raw["content"]


@functools.lru_cache(maxsize=16)
def decoder(config: RVAEConfig, shape: tuple[int, int, int], size: int) -> Callable[..., Array]:
    """`(params, angle (b,), shift (b, 2) [half windows], content (b, d), scale (b,)) -> scaled images`, compiled once.

    Content is followed by the class, one-hot, where there are classes; `size` is the number of pixels along each axis.
    """
    model, (height, _, channels) = elbo.build(config, shape), drawn_shape(config, shape)
    rows = 1 if height == 1 else size

    def one(params, angle, shift, content, scale):
        drawn = model.decode(params, window_grid(rows, size), angle, shift, content, scale)
        return drawn.reshape(rows, size, channels)

    return jax.jit(jax.vmap(one, in_axes=(None, 0, 0, 0, 0)))


def _batches(n: int, batch_size: int, desc: str) -> Iterator[slice]:
    with progress(total=n, desc=desc, unit="images") as bar:
        for start in range(0, n, batch_size):
            yield slice(start, min(start + batch_size, n))
            bar.update(min(batch_size, n - start))


def padded(rows: Shaped[np.ndarray, "m ..."], count: int) -> Shaped[np.ndarray, "count ..."]:
    """Rows repeated up to `count`, so that the last batch has the compiled shape."""
    return rows if len(rows) == count else np.resize(rows, (count, *rows.shape[1:]))


def encode_raw(
    config: RVAEConfig,
    params: object,
    images: Shaped[np.ndarray, "n h w c"],
    scaling: tuple[float, float],
    batch_size: int,
    labels: Integer[np.ndarray, " n"] | None = None,
) -> dict[str, np.ndarray]:
    """Latents of every image, content in the network's own order and sign, with its divergence.

    `labels` are needed where every row has one (`Classes(labels="all")`), and are not looked at otherwise.
    """
    given = labels if config.classes is not None and config.classes.labels == "all" else None
    apply = encoder(config, tuple(images.shape[1:]))  # type: ignore[arg-type]
    mesh, parts = devices.mesh(batch_size), []
    params, bounds = devices.everywhere((params, tuple(np.float32(v) for v in scaling)), mesh)
    for rows in _batches(len(images), batch_size, "encoding"):
        known = () if given is None else (padded(given[rows], batch_size),)
        batch, known = devices.divided((padded(compact(images[rows]), batch_size), known), mesh)
        out = apply(params, batch, bounds, *known)
        parts.append({name: np.asarray(value)[: rows.stop - rows.start] for name, value in out.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def encode(model: TrainedRVAE, subimages: SubImages, batch_size: int = 256) -> Latents:
    """Latents of all sub-images, in their order.

    Args:
        model: a trained rVAE.
        subimages: windows of the size and channels of its training.
        batch_size: windows at a time; the last batch is padded, so that one compilation serves all.

    Returns:
        `Latents`: angle and its standard deviation [rad], shift [px of the window], content and its standard deviation.
        The angle's is the posterior's times the factor that the residuals asked for (`rvae/calibration.py`). Scale and
        class probabilities where these are latents; a class that is given with each row has probability 1.

    Raises:
        ImageError: another window size or number of channels, pixels that are not finite, no sub-images, or no labels
            where the rVAE was trained with one in each row.
    """
    check_fits(model, subimages)
    if not len(subimages):
        raise ImageError("no sub-images to encode")
    asked = model.config.classes
    labels = check_labels(model.config, subimages) if asked is not None and asked.labels == "all" else None
    raw = encode_raw(model.config, model.params, subimages.images, model.scaling, batch_size, labels)
    order, sign = list(model.order), np.asarray(model.sign, np.float32)
    return Latents(
        angle=raw["angle"],
        angle_sd=np.minimum(raw["angle_sd"] * np.float32(model.angle_sd_factor), WIDEST_SD),
        shift=raw["shift"],
        content=raw["content"][:, order] * sign,
        content_sd=raw["content_sd"][:, order],
        scale=raw.get("scale"),
        class_probability=raw.get("class_probability"),
    )


def decode(
    model: TrainedRVAE,
    angle: Float[np.ndarray, " n"],
    shift: Float[np.ndarray, "n 2"],
    content: Float[np.ndarray, "n d"],
    size: int | None = None,
    batch_size: int = 64,
    *,
    scale: Float[np.ndarray, " n"] | None = None,
    classes: Float[np.ndarray, "n k"] | Integer[np.ndarray, " n"] | None = None,
) -> Float[np.ndarray, "n h size c"]:
    """Images of any latents, at any resolution.

    Args:
        model: a trained rVAE.
        angle: rotation of the content [rad].
        shift: shift of the content after its rotation [px of the training windows].
        content: content latents, in the reported order and sign.
        size: pixels along each side of the same field of view; default: that of the training windows.
        batch_size: images at a time.
        scale: factor by which the content is enlarged; 1 where it is not given.
        classes: class of each, as a number or as probabilities of which the largest counts; only where there are
            classes, and needed there.

    Returns:
        Images in the units of the training images; signals, or the spectra that are drawn, are images of one row.

    Raises:
        ImageError: the arguments differ in length, content has another number of latents, or classes are missing.
    """
    angle, shift, content = (np.asarray(v, np.float32) for v in (angle, shift, content))
    n, d = len(angle), model.config.content_dim
    if angle.shape != (n,) or shift.shape != (n, 2) or content.shape != (n, d) or not n:
        raise ImageError(
            f"to decode, give angle (n,), shift (n, 2), content (n, {d}); not {angle.shape}, "
            f"{shift.shape}, {content.shape}"
        )
    own = decoder_content(model, content, classes)
    factor = np.ones(n, np.float32) if scale is None else np.asarray(scale, np.float32)
    apply = decoder(model.config, model.image_shape, size or drawn_shape(model.config, model.image_shape)[1])
    half, parts = model.image_shape[1] / 2, []
    for rows in _batches(n, batch_size, "decoding"):
        arguments = (padded(v[rows], batch_size) for v in (angle, shift / np.float32(half), own, factor))
        parts.append(np.asarray(apply(model.params, *arguments))[: rows.stop - rows.start])
    return unscaled(np.concatenate(parts), model.target_scaling or model.scaling)


def decoder_content(
    model: TrainedRVAE, content: Float[np.ndarray, "n d"], classes: np.ndarray | None = None
) -> Float[np.ndarray, "n d_k"]:
    """What the decoder is given for content in the reported order and sign, and classes as `decode` takes them.

    Raises:
        ImageError: classes are missing, or there are none.
    """
    own = np.empty(content.shape, np.float32)
    own[:, list(model.order)] = content * np.asarray(model.sign, np.float32)
    return np.concatenate([own, _classes_given(model.config, classes, len(own))], axis=1)


def _classes_given(config: RVAEConfig, given: np.ndarray | None, n: int) -> Float[np.ndarray, "n k"]:
    """One-hot classes; of width 0 where there are none."""
    count = 0 if config.classes is None else config.classes.count
    if given is None and not count:
        return np.zeros((n, 0), np.float32)
    numbers = np.zeros(0) if given is None else np.asarray(given)
    numbers = numbers.argmax(1) if numbers.ndim == 2 else numbers
    if numbers.shape != (n,) or not count or numbers.min() < 0 or numbers.max() >= count:
        raise ImageError(f"to decode, give a class 0..{count - 1} for each of {n} rows" if count else "no classes here")
    return np.eye(count, dtype=np.float32)[numbers.astype(int)]


def content_facts(
    config: RVAEConfig,
    params: object,
    images: Shaped[np.ndarray, "n h w c"],
    scaling: tuple[float, float],
    labels: Integer[np.ndarray, " n"] | None = None,
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[float, ...]]:
    """Order, sign and mean divergence of the content latents.

    Content has no natural order or sign: the largest mean divergence comes first, and each latent is turned so that
    its correlation with the windows' mean intensity is positive. Priors other than the standard normal have no
    divergence of a single latent: there it is that to the normal with the latent's own mean and variance.
    """
    raw = encode_raw(config, params, images, scaling, 256, labels)
    kl = raw["content_kl"].mean(0)
    if not isinstance(config.content_prior, StandardNormal):
        variance = raw["content"].var(0) + (raw["content_sd"] ** 2).mean(0)
        kl = (0.5 * np.log(variance)[None] - np.log(raw["content_sd"])).mean(0)
    order = np.argsort(-kl, kind="stable")
    intensity = scaled(images, scaling).mean(axis=(1, 2, 3))
    covariance = ((intensity - intensity.mean())[:, None] * (raw["content"] - raw["content"].mean(0))).mean(0)
    sign = np.where(covariance < 0, -1, 1)
    return (
        tuple(int(i) for i in order),
        tuple(int(s) for s in sign[order]),
        tuple(float(v) for v in kl[order]),
    )
