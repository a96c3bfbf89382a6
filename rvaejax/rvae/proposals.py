"""What training knows beyond one image: the contents of a batch propose each other, and fill their prior.

Twins: of two contents that draw one kind, one of them turned by 180 degrees, each image ascends to the nearer, and
neither learns of the other. So each image is explained by the contents of others, too, at every orientation, and starts
from the one that does it best. The better drawn twin wins images and is drawn still better (as merges do in split and
merge EM, Ueda et al. 2000, Neural Computation 12, 2109).

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
from rvaejax.rvae.families import Lighting
from rvaejax.rvae.lighting import fits_of

LogPrior = Callable[[Float[Array, " d"]], Float[Array, ""]]
Draw = Callable[[Float[Array, "b d"]], tuple[Float[Array, "b c p"], Float[Array, "b c p"]]]


def build(grid: Rings, light: Lighting | None, most: int) -> Callable[..., Float[Array, "b d"]]:
    """Where each image of a batch had better start from.

    Args:
        grid: the rings on which images are compared.
        light: in which they were taken; None for one light.
        most: contents that are tried, the first of the batch.

    Returns:
        `(draw, x (b, c, p), z (b, d), y (b, k), log_prior, temperature) -> (b, d)`: for each image x, sampled on the
        rings, of its own content z and those of others the one with the highest log-density of image and content, the
        orientation being the best. `draw` gives natural parameters and means on the rings; of another class (y,
        one-hot) no content is tried. All pairs are compared at the orientations' bins, the winner and the own content
        at all finer angles.
    """
    weight = grid.weight[None, None]

    def propose(draw: Draw, x, z, y, log_prior: LogPrior, temperature) -> Float[Array, "b d"]:
        natural, mean = draw(z)
        precision = (natural * mean).sum() / jnp.maximum((mean**2).sum(), 1e-20)
        level, fit = fits_of(light, grid.points, grid.weight, precision)
        drawn = level(mean)
        sizes, prior = (drawn**2 * weight).sum((1, 2)), temperature * jax.vmap(log_prior)(z)
        seen, shown = grid.spectrum(level(x)), grid.spectrum(drawn * weight)

        def first(v):
            return v[:most]

        tried = fit(grid.all_peaks(seen, jax.tree.map(first, shown)), first(sizes)[None]) + first(prior)[None]
        if y.shape[-1]:
            tried = jnp.where(y @ first(y).T > 0.5, tried, -jnp.inf)
        best = jnp.argmax(tried, axis=-1)
        chosen = jax.tree.map(lambda v: v[best], shown)
        better = fit(grid.peak(seen, chosen), sizes[best]) + prior[best]
        return jnp.where((better > fit(grid.peak(seen, shown), sizes) + prior)[:, None], z[best], z)

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
