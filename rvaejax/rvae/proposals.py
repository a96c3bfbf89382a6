"""What one image is told by others: contents to start the ascent from, and how far contents may spread.

Twins: of two contents that draw one kind, one of them turned by 180 degrees, each image ascends to the nearer, and
neither learns of the other; and from a content that looks the same after half a turn, no way up is seen at all. So each
image is also explained by the contents of others, at every orientation, and starts from the one that does it best. In
training the others are its batch. Of contents that explain it as well the densest is taken: of twins the greater wins
images and grows (as merges do in split and merge EM, Ueda et al. 2000, Neural Computation 12, 2109). Afterwards they
are contents that the training remembers, and must be better: an image is encoded by itself.

Spread: how large contents are is settled by the prior alone, slowly where the likelihood is sharp; small contents stay
where a decoder of tanh is nearly linear, so that all kinds lie in a plane of images, on top of each other. Expectation
maximisation is fast along such a direction where the parameters are expanded by it (Liu, Rubin and Wu 1998, Biometrika
85, 755): here by the linear map that takes the contents' covariance to the prior's.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rvaejax.nets.rings import Rings
from rvaejax.rvae.lighting import InnerProduct

_EQUAL = 10.0  # log-densities that differ by less, or are better by less, tell nothing [nat]
_NEAR = 0.3  # standard deviation of the kernel by which contents are dense, whose own is about 1
LogPrior = Callable[[Float[Array, " d"]], Float[Array, ""]]
Draw = Callable[[Float[Array, "b d"], Float[Array, "b k"]], tuple[Float[Array, "b c q"], Float[Array, "b c q"]]]


def build(grid: Rings, light: InnerProduct, candidates: int) -> Callable[..., Float[Array, "b d"]]:
    """Where each image had better start from.

    Args:
        grid: the rings on which images are compared.
        light: in which they were taken.
        candidates: of a batch, how many propose themselves.

    Returns:
        `(draw, x (b, c, q), z (b, d), y (b, k), others (m, d), log_prior, temperature) -> (b, d)`: for each image x, in
        coefficients on the rings, its own content z, or that of another if the log-density of image and content, at
        the best orientation, is higher by 10 nat. In training, where others are None, these are the batch's first
        candidates, and one is taken if it is not lower by 10 nat. `draw` gives natural parameters and means of contents
        and classes; of another class (y, one-hot) no content is tried. All pairs are compared at the orientations'
        bins, the chosen and the own content at all finer angles.
    """

    def propose(
        draw: Draw, x, z, y, others: Float[Array, "m d"] | None, log_prior: LogPrior, temperature
    ) -> Float[Array, "b d"]:
        training = others is None
        natural, mean = draw(z, y)
        precision = (natural * mean).sum() / jnp.maximum((mean**2).sum(), 1e-20)
        level, fit = light.fits(precision)

        def prepared(mean, z):
            drawn = level(mean)
            return drawn, (drawn**2).sum((1, 2)), temperature * jax.vmap(log_prior)(z)

        own, own_size, own_prior = prepared(mean, z)
        if others is None:
            others, other, size, prior = (v[:candidates] for v in (z, own, own_size, own_prior))
        else:
            other, size, prior = prepared(draw(others, jnp.zeros((len(others), y.shape[-1])))[1], others)
        seen = level(x)
        tried = fit(grid.all_peaks(seen, other), size[None]) + prior[None]
        if training and y.shape[-1]:
            tried = jnp.where(y @ y[: len(others)].T > 0.5, tried, -jnp.inf)
        apart = ((others[:, None] - others[None]) ** 2).sum(-1)
        equal = tried >= tried.max(-1, keepdims=True) - _EQUAL
        dense = equal.astype(z.dtype) @ jnp.exp(-0.5 * apart / _NEAR**2)  # of those that explain this image as well
        best = jnp.argmax(jnp.where(equal, dense, -1.0), axis=-1)
        better = fit(grid.peak(seen, other[best]), size[best]) + prior[best]
        better -= fit(grid.peak(seen, own), own_size) + own_prior
        moves = (better > (-_EQUAL if training else _EQUAL)) & (tried.max(-1) > -jnp.inf)
        return jnp.where(moves[:, None], others[best], z)

    return propose


def spread(z: Float[Array, "b d"], log_sd: Float[Array, "b d"], rate: float) -> Float[Array, "b d"]:
    """A batch's contents a step nearer to mean 0 and, with their posteriors' width, covariance 1.

    Args:
        z: means.
        log_sd: of the posteriors.
        rate: share of the way, for small contents: a variance v grows by 2 rate (1 - v) / (1 + v) of itself.
    """
    mean = z.mean(0)
    off = z - mean[None]
    one = jnp.eye(z.shape[-1])
    covariance = off.T @ off / len(z) + one * jnp.exp(2 * log_sd).mean(0)[None]
    return z + rate * (off @ jnp.linalg.solve(one + covariance, one - covariance).T - mean[None])
