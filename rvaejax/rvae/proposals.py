"""What one image is told by others: contents that it may take over, and how far contents may spread.

Twins: of two contents that draw one kind, one of them turned by 180 degrees, each image ascends to the nearer, and
neither learns of the other; and from a content that looks the same after half a turn, no way up is seen at all. So each
image is also explained by the contents of others, at every orientation, and takes over the one that does it best. In
training the others are its batch, and the more of them draw what a content draws, the likelier it is: the contents
found so far are the prior (as in empirical Bayes; Tomczak and Welling 2018, arXiv:1705.07120), so that of twins the
greater wins images and grows (as merges do in split and merge EM, Ueda et al. 2000, Neural Computation 12, 2109).
Afterwards they are contents that the training remembers, and must be better: an image is encoded by itself.

Spread: how large contents are is settled by the prior alone, slowly where the likelihood is sharp; small contents stay
where a decoder of tanh is nearly linear, so that all kinds lie in a plane of images, on top of each other. Expectation
maximisation is fast along such a direction where the parameters are expanded by it (Liu, Rubin and Wu 1998, Biometrika
85, 755): here by the linear map that takes the contents' covariance to the prior's, where that is a standard normal.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rvaejax.nets.rings import Rings
from rvaejax.rvae.lighting import RingLight

_BETTER = 3.0  # by which another content must explain an image better than its own, which differs by chance [nat]
_ALIKE = 6.0  # of pictures, half their squared distance in units of the noise: of one kind it is a few [nat]
_CROWD = 2.0  # power to which the number of contents that draw alike is a prior
LogPrior = Callable[[Float[Array, " d"]], Float[Array, ""]]
Draw = Callable[[Float[Array, "b d"], Float[Array, "b k"]], tuple[Float[Array, "b c q"], Float[Array, "b c q"]]]


def build(grid: Rings, light: RingLight, candidates: int, linear: bool = True) -> Callable[..., Float[Array, "b d"]]:
    """Which content each image had better take.

    Args:
        grid: the rings on which images are compared.
        light: what light does to them there.
        candidates: of a batch, how many propose themselves.
        linear: whether natural parameters are a multiple of means, as a Gaussian's are; images are compared as if they
            were anyway.

    Returns:
        `(draw, x (b, c, q), z (b, d), y (b, k), others (m, d), log_prior, temperature) -> (b, d)`: for each image x, in
        coefficients on the rings, its own content z, or that of another if the log-density of image and content, at
        the best orientation, is higher by 3 nat. In training, where others are None, these are the batch's first
        candidates, the density counts twice the logarithm of how many of them draw alike, and any that is higher is
        enough. `draw` gives natural parameters and means of contents and classes; of another class (y, one-hot) no
        content is tried.
    """

    def propose(
        draw: Draw, x, z, y, others: Float[Array, "m d"] | None, log_prior: LogPrior, temperature
    ) -> Float[Array, "b d"]:
        training = others is None
        natural, mean = draw(z, y)
        theirs = (natural, mean) if others is None else draw(others, jnp.zeros((len(others), y.shape[-1])))
        # of the others: what is remembered is the same for every image, whatever is encoded beside it
        precision = _precision(*(theirs if linear else (_less_level(v, light.functions[0]) for v in theirs)))
        level, fit = light.fits(precision)

        def prepared(mean, z):
            drawn = level(mean)
            return drawn, (drawn**2).sum((1, 2)), temperature * jax.vmap(log_prior)(z)

        own, own_size, own_prior = prepared(mean, z)
        if others is None:
            own_prior += _CROWD * _log_crowd(precision, own, own_size, candidates)
            others, other, size, prior = (v[:candidates] for v in (z, own, own_size, own_prior))
        else:
            other, size, prior = prepared(theirs[1], others)
        seen = level(x)
        tried = fit(grid.all_peaks(seen, other), size[None]) + prior[None]
        if training and y.shape[-1]:
            tried = jnp.where(y @ y[: len(others)].T > 0.5, tried, -jnp.inf)
        best = jnp.argmax(tried, axis=-1)
        better = tried.max(-1) - fit(grid.peak(seen, own), own_size) - own_prior
        moves = better > (0.0 if training else _BETTER)
        return jnp.where(moves[:, None], others[best], z)

    return propose


def _precision(natural: Float[Array, "m c q"], mean: Float[Array, "m c q"]) -> Float[Array, ""]:
    """Of a pixel: what natural parameters are of means, by least squares."""
    return (natural * mean).sum() / jnp.maximum((mean**2).sum(), 1e-20)


def _less_level(v: Float[Array, "m c q"], one: Float[np.ndarray, " q"]) -> Float[Array, "m c q"]:
    """Less their mean over the window, where `one` is 1.

    Log-odds of dark pictures are negative, and so would be what they are of the means; but where a mean is higher, so
    are its log-odds.
    """
    return v - (v @ one)[..., None] * (one / (one @ one))[None, None]


def _log_crowd(
    precision: Float[Array, ""], drawn: Float[Array, "b c q"], size: Float[Array, " b"], candidates: int
) -> Float[Array, " b"]:
    """Logarithm of how many candidates, and each itself, draw the same picture: not one that is turned."""
    other = drawn[:candidates]
    apart = size[:, None] + size[None, :candidates] - 2 * jnp.einsum("bcq,mcq->bm", drawn, other)
    alike = jnp.exp(-0.5 * precision * jnp.maximum(apart, 0.0) / _ALIKE)
    return jnp.log(alike.sum(1) + (jnp.arange(len(drawn)) >= candidates))


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
