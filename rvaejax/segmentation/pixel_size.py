"""The pixel size from graphene's own lattice, for images whose file does not tell it.

The first-order spots of graphene's Fourier transform lie at d = 0.213 nm (a * sqrt(3) / 2 with a = 0.246 nm), six of
them, 60 degrees apart; several grains give several sets of six on the same ring.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from rvaejax.errors import PixelSizeError
from rvaejax.io.raw import check_frame
from rvaejax.types import Movie

D_SPACING_NM = 0.213
FRAMES = 8  # spectra averaged at most
SMALLEST_PX = 32  # of a frame's side
MIN_PERIODS = 6  # lattice periods that must fit into the field
SIGNIFICANCE = 10.5  # of the weakest of three spots, in units of its ring's median power
INNER_SIGNIFICANCE = 4.0  # the same where place and direction are known beforehand
SPOT = 0.08  # a spot is sought this far, relative to its frequency, from where its set of six has it
RADII, ANGLES = 240, 180
COARSEST_NM, FINEST_NM = 0.07, 0.0005  # coarser than half a C-C bond nothing is resolved


def power_spectrum(frame: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "s s"]:
    """Power of a frame's central square, clipped and windowed, the zero frequency in the middle; padded twofold."""
    side = min(frame.shape)
    top, left = (frame.shape[0] - side) // 2, (frame.shape[1] - side) // 2
    image = np.asarray(frame[top : top + side, left : left + side], np.float64)
    low, high = np.percentile(image, [5, 90])
    image = np.clip(image, low, high)
    image -= ndimage.gaussian_filter(image, side / (2 * MIN_PERIODS))  # keeps what repeats often enough
    window = np.hanning(side)
    image = (image - image.mean()) * window[:, None] * window[None, :]
    return np.abs(np.fft.fftshift(np.fft.fft2(image, (2 * side, 2 * side)))) ** 2


def polar_power(power: Float[np.ndarray, "s s"], frequency: Float[np.ndarray, " r"]) -> Float[np.ndarray, "r a"]:
    """Power at the given frequencies [1/px] and at `ANGLES` directions over half a turn, over each ring's median."""
    side = len(power)
    angle = np.arange(ANGLES) * np.pi / ANGLES
    y = side // 2 - frequency[:, None] * side * np.sin(angle)
    x = side // 2 + frequency[:, None] * side * np.cos(angle)
    ring = ndimage.map_coordinates(power, [y, x], order=1)
    # a low quantile, since few periods make wide spots that fill half of their ring; 0.32 turns it into the median
    return ring / np.maximum(np.quantile(ring, 0.2, axis=1, keepdims=True) / 0.32, 1e-30)


def sixfold(ring: Float[np.ndarray, "r a"]) -> Float[np.ndarray, "r a3"]:
    """The weakest of the three spots 60 degrees apart (half a turn holds three), where each may be slightly off."""
    near = ndimage.maximum_filter(ring, size=(9, 7), mode=("nearest", "wrap"))
    third = ANGLES // 3
    return np.minimum(np.minimum(near[:, :third], near[:, third : 2 * third]), near[:, 2 * third :])


def lattice_frequency(power: Float[np.ndarray, "s s"]) -> float | None:
    """Frequency [1/px] of the first-order spots of a hexagonal lattice, or None where there are none."""
    frequency = np.geomspace(2 * MIN_PERIODS / len(power), 0.48, RADII)  # the spectrum is padded twofold
    ring = polar_power(power, frequency)
    score = sixfold(ring).max(axis=1)
    if score.max() < SIGNIFICANCE:
        return None
    # the second order (sqrt 3) and the harmonics are hexagons too: the first is the innermost strong one
    strong = np.flatnonzero(score >= max(SIGNIFICANCE, 0.25 * score.max()))
    run = strong[: 1 + int(np.argmax(np.append(np.diff(strong) > 1, True)))]
    best = run[np.argmax(score[run])]
    phi = int(np.argmax(sixfold(ring)[best]))
    found, strength = spots(power, float(frequency[best]), phi)
    # in a blurred background the second order can stand out more than the first: look where the first would be,
    # which no probe leaves weaker than the second
    inner = frequency[best] / np.sqrt(3)
    if inner > frequency[0]:
        turned = sixfold(polar_power(power, inner * np.linspace(0.96, 1.04, 9)))[4]
        third = ANGLES // 3
        around = [(phi + third // 2 + k) % third for k in range(-4, 5)]
        first, first_strength = spots(power, float(inner), (phi + third // 2) % third)
        if turned[around].max() > INNER_SIGNIFICANCE and np.median(first_strength) > np.median(strength):
            return float(first.mean())
    return float(found.mean())


def spots(
    power: Float[np.ndarray, "s s"], frequency: float, direction: int
) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
    """Frequency [1/px] and power of the three spots near `frequency` and `direction` (of `ANGLES` over half a turn).

    A spot's place is the top of the parabolas through the logarithm of its highest pixel and that pixel's neighbours:
    the window makes it a Gaussian to good approximation.
    """
    middle = len(power) // 2
    radius = frequency * len(power)
    reach = max(3, round(SPOT * radius))
    places, strengths = [], []
    for angle in direction * np.pi / ANGLES + np.arange(3) * np.pi / 3:
        y, x = round(middle - radius * np.sin(angle)), round(middle + radius * np.cos(angle))
        y, x = (int(np.clip(v, reach + 1, len(power) - reach - 2)) for v in (y, x))
        near = power[y - reach : y + reach + 1, x - reach : x + reach + 1]
        dy, dx = np.unravel_index(np.argmax(near), near.shape)
        y, x = y + int(dy) - reach, x + int(dx) - reach
        cross = np.log(np.maximum(np.stack([power[y - 1 : y + 2, x], power[y, x - 1 : x + 2]]), 1e-30))
        bend = np.minimum(cross[:, 0] - 2 * cross[:, 1] + cross[:, 2], -1e-9)
        off = np.clip(0.5 * (cross[:, 0] - cross[:, 2]) / bend, -0.5, 0.5)
        places.append(np.hypot(y + off[0] - middle, x + off[1] - middle) / len(power))
        strengths.append(near.max())
    return np.array(places), np.array(strengths)


def pixel_size_from_lattice(movie: Movie) -> float | None:
    """Pixel size [nm] that puts the frames' hexagonal lattice at graphene's, or None where no lattice shows.

    Args:
        movie: its frames are read, at most `FRAMES` of them, evenly spaced; its own pixel size is not looked at.

    Raises:
        ImageError: a frame is constant or not finite.
    """
    chosen = np.unique(np.linspace(0, len(movie) - 1, min(FRAMES, len(movie))).astype(int))
    if min(movie.size) < SMALLEST_PX:
        return None
    frames = ((int(i), np.asarray(movie.frames[int(i)])) for i in chosen)
    if movie.atoms is None:  # drawn from a table of coordinates, a frame without atoms is black and no fault
        frames = ((i, check_frame(frame, movie.name, i)) for i, frame in frames)
    power = np.mean([power_spectrum(frame) for _, frame in frames], axis=0)
    frequency = lattice_frequency(power)
    return None if frequency is None else D_SPACING_NM * frequency


def known_pixel_size(movie: Movie) -> tuple[float, str]:
    """The movie's pixel size [nm] and who says so: "file", "option" or, where neither does, "lattice".

    Raises:
        PixelSizeError: nobody says, or what is said cannot resolve atoms.
    """
    px, source = movie.pixel_size_nm, movie.pixel_size_source or "option"
    if px is None:
        px, source = pixel_size_from_lattice(movie), "lattice"
        if px is None:
            raise PixelSizeError(
                f"{movie.name}: the pixel size is not in the file and no graphene lattice shows in the Fourier "
                "transform; give it with --px-nm (pixel_size_nm=)"
            )
    if not FINEST_NM <= px <= COARSEST_NM:
        raise PixelSizeError(
            f"{movie.name}: a pixel size of {px:g} nm ({source}) makes no sense for atoms; "
            f"it must lie between {FINEST_NM} and {COARSEST_NM} nm"
        )
    return float(px), source
