"""Losses of the segmenter, per example: logits and per-pixel class probabilities in, one number out.

Labels are probabilities (a Gaussian on each atom), not classes, so each loss is written for those; where the labels are
0 or 1 it is the loss as published.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rvaejax.segmentation.config import LossName

Loss = Callable[[Float[Array, "h w classes"], Float[Array, "h w classes"]], Float[Array, ""]]


def cross_entropy(
    logits: Float[Array, "h w classes"], labels: Float[Array, "h w classes"], weights: Float[Array, " classes"]
) -> Float[Array, ""]:
    """Mean over pixels of -sum_c w_c p_c log q_c."""
    return -(weights[None, None] * labels * jax.nn.log_softmax(logits)).sum(-1).mean()


def focal(
    logits: Float[Array, "h w classes"],
    labels: Float[Array, "h w classes"],
    weights: Float[Array, " classes"],
    gamma: float,
) -> Float[Array, ""]:
    """Mean over pixels of -sum_c w_c |p_c - q_c|^gamma p_c log q_c; with gamma = 0 the cross-entropy.

    For labels of 0 and 1 it is the focal loss, (1 - q)^gamma, of Lin, Goyal, Girshick, He, Dollár, ICCV 2017; for
    probabilities the factor is that of the quality focal loss (Li et al., NeurIPS 2020), which vanishes at q = p
    instead of pushing q beyond it.
    """
    factor = jnp.abs(labels - jax.nn.softmax(logits)) ** gamma if gamma else 1.0
    return -(weights[None, None] * factor * labels * jax.nn.log_softmax(logits)).sum(-1).mean()


def dice(
    logits: Float[Array, "h w classes"], labels: Float[Array, "h w classes"], weights: Float[Array, " classes"]
) -> Float[Array, ""]:
    """1 - the weighted mean over classes of (2 sum pq + 1) / (sum p² + sum q² + 1), sums over pixels.

    Soft Dice with squares in the denominator (Milletari, Navab, Ahmadi, 3DV 2016), so that equal maps give 0, be they
    probabilities or masks; the pixel that is added makes a class that is neither there nor predicted count as right.
    """
    q = jax.nn.softmax(logits)
    both, total = (labels * q).sum((0, 1)), (labels**2 + q**2).sum((0, 1))
    return 1 - (weights * (2 * both + 1) / (total + 1)).sum() / weights.sum()


def build(name: LossName, class_weights: tuple[float, ...], focal_gamma: float) -> Loss:
    """The loss of that name as a function of logits and labels alone."""
    weights = jnp.asarray(class_weights, jnp.float32)
    if name == "focal":
        return lambda logits, labels: focal(logits, labels, weights, focal_gamma)
    chosen = {"cross-entropy": cross_entropy, "dice": dice}[name]
    return lambda logits, labels: chosen(logits, labels, weights)
