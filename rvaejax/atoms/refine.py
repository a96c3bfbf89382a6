"""From positions good to a pixel to positions limited by the photons: known atoms fitted to their frame.

The profile of an atom, the noise and the positions are found in turns (`turns`) on the part of the frame that tells
most (`sample`); with profile and noise known, all other atoms follow.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from rvaejax.atoms.elastic import windows
from rvaejax.atoms.profile import Profile
from rvaejax.atoms.sample import ROOM, rims, sample_rows, telling_box, usable
from rvaejax.atoms.state import Telling
from rvaejax.atoms.turns import apply, begin, learn
from rvaejax.io.brightness import without_hot_pixels

BINNED_NM = 0.012  # finer frames are averaged over blocks of pixels up to about this


class Refined(NamedTuple):
    """Refined atoms of one frame.

    Attributes:
        xy: (n, 2) positions [px].
        sd: (n,) their standard deviation per axis [px].
        height: (n,) peak of each atom, in the frame's units.
        profile: image of an atom of each species.
        noise: variance of a pixel = noise[0] + noise[1] * (brightness - noise[2]).
        scale: of what neighbours tell, as estimated on the way [px].
    """

    xy: Float[np.ndarray, "n 2"]
    sd: Float[np.ndarray, " n"]
    height: Float[np.ndarray, " n"]
    profile: Profile
    noise: tuple[float, float, float]
    scale: float


def _binned(image: Float[np.ndarray, "h w"], block: int) -> Float[np.ndarray, "h2 w2"]:
    h, w = (side // block * block for side in image.shape)
    return image[:h, :w].reshape(h // block, block, w // block, block).mean((1, 3))


def refine_positions(
    image: Float[np.ndarray, "h w"],
    xy: Float[np.ndarray, "n 2"],
    species: Int[np.ndarray, " n"],
    sd: Float[np.ndarray, " n"],
    pixel_size_nm: float,
) -> Refined:
    """Positions of known atoms, refined on the frame by weighted least squares.

    Args:
        image: the frame, intensities in any unit.
        xy: positions (x, y) right to about a third of a bond [px].
        species: number of each atom's species; the first is the common one.
        sd: standard deviation of `xy` per axis [px]: the fit starts from it as from a normal prior.
        pixel_size_nm: the frame's pixel [nm].
    """
    block = max(1, int(BINNED_NM / pixel_size_nm)) if min(image.shape) >= 64 else 1
    if block > 1:
        shift = (block - 1) / 2  # pixel centres at whole numbers on both grids
        coarse = refine_positions(
            _binned(image, block), (xy - shift) / block, species, sd / block, pixel_size_nm * block
        )
        return coarse._replace(xy=coarse.xy * block + shift, sd=coarse.sd * block, scale=coarse.scale * block)
    image = np.asarray(without_hot_pixels(jnp.asarray(image, jnp.float32)))  # before anything is fitted to them
    told = usable(image, xy, species, pixel_size_nm)
    special = rims(xy, pixel_size_nm) | (species > 0)
    box = telling_box(image.shape, xy, special, told)
    corner = np.array([box[1].start, box[0].start])
    part = ((xy >= corner) & (xy < [box[1].stop, box[0].stop])).all(1) if len(xy) > ROOM else np.full(len(xy), True)
    frame, state = begin(image[box], xy[part] - corner, species[part], sd[part], pixel_size_nm)
    sheet = windows(frame.xy, frame.species, pixel_size_nm)
    # the part's own border, too, hides atoms that shine in
    seen = told[part] & (usable(frame.image, frame.xy, frame.species, pixel_size_nm) if not part.all() else True)
    sample = sample_rows(np.asarray(frame.near)[: len(frame.xy)], special[part], seen)
    state, learned = learn(frame, state, Telling(sample, sheet, int(species.max(initial=0)) + 1))
    if not part.all():
        state = apply(*begin(image, xy, species, sd, pixel_size_nm), learned)
    offset, slope, dark = (float(v) for v in learned.law[:3])
    n = len(xy)
    return Refined(
        np.asarray(state.fit.xy)[:n],
        state.sd,
        np.asarray(state.fit.height)[:n],
        learned.profile,
        (offset, slope, dark),
        learned.scale,
    )
