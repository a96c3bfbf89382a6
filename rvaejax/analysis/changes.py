"""Points in time at which a curve changes: exact, by dynamic programming, their number by the Bayesian criterion."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

SHORTEST = 5  # points of a piece
MOST = 8  # changes


class Changes(NamedTuple):
    """A curve in pieces.

    Attributes:
        starts: (k,) index of the first point of each piece but the first.
        fitted: (n, q) what the pieces say.
        sd: (q,) standard deviation of the noise about them, or the one that was given.
    """

    starts: Int[np.ndarray, " k"]
    fitted: Float[np.ndarray, "n q"]
    sd: Float[np.ndarray, " q"]


def change_points(
    values: Float[np.ndarray, "n q"],
    *,
    piece: Literal["level", "line"] = "line",
    shortest: int = SHORTEST,
    most: int = MOST,
    sd: Float[np.ndarray, " q"] | None = None,
) -> Changes:
    r"""The best division of q curves into pieces, all at the same points.

    For each number k of changes the division with the least sum of squares is found exactly; k is then that of the
    least

    .. math:: \sum_q n \ln \frac{S_{qk}}{n - m_k} + k\,(p\,q + 1) \ln n
              \quad\text{or, with known noise,}\quad \sum_q \frac{S_{qk}}{\sigma_q^2} + k\,(p\,q + 1) \ln n.

    S is the sum of squares that is left, m the number of what was fitted to each curve. A piece is a constant
    ("level", p = 1) or a straight line ("line", p = 2): with lines a steady loss is one piece and only a change of its
    rate, or a jump, counts.

    Args:
        values: one column per curve, equally spaced in time; a curve that is constant or not finite is left aside.
        piece: what a piece is.
        shortest: points that a piece has at least.
        most: largest number of changes.
        sd: standard deviation of the noise of each column, where it is known.

    Source: exact divisions by I. E. Auger and C. E. Lawrence, Bull. Math. Biol. 51, 39 (1989); Schwarz's criterion for
    changes by Y.-C. Yao, Stat. Probab. Lett. 6, 181 (1988).
    """
    n, q = values.shape
    guess = noise_sd(values, piece) if sd is None else np.asarray(sd, float)
    used = np.isfinite(values).all(0) & (guess > 0) if n else np.zeros(q, bool)
    if n < 2 or not used.any():
        return Changes(np.zeros(0, int), np.array(values, float), guess)
    y = values[:, used] / guess[used]
    parameters = (1 if piece == "level" else 2) * int(used.sum()) + 1
    divisions = _best_divisions(_costs(y, piece), shortest, max(0, min(most, n // shortest - 1)))
    fits = [_fitted(y, starts, piece) for starts in divisions]
    left = np.array([((y - fit) ** 2).sum(0) for fit in fits])
    misfit = left.sum(1)
    if sd is None:
        # what is fitted to short curves takes noise with it: the variance is taken over what is left free
        fitted_to_each = np.arange(1, len(fits) + 1) * (parameters - 1) // int(used.sum()) + np.arange(len(fits))
        free = np.maximum(n - fitted_to_each, 1)[:, None]
        misfit = n * np.log(np.maximum(left / free, 1e-12)).sum(1)
    best = int(np.argmin(misfit + parameters * np.log(n) * np.arange(len(fits))))
    fitted, noise = np.array(values, float), guess.copy()
    fitted[:, used] = fits[best] * guess[used]
    if sd is None:
        noise[used] *= np.sqrt(left[best] / n)
    return Changes(divisions[best], fitted, noise)


def _best_divisions(cost: Float[np.ndarray, "m m"], shortest: int, most: int) -> list[Int[np.ndarray, " k"]]:
    """The cheapest division with 0, 1, ..., `most` changes: the first points of its pieces but the first."""
    n = len(cost) - 1
    best, origins = cost[0].copy(), []
    best[: min(shortest, n)] = np.inf  # a curve too short for a piece is one all the same
    divisions = [np.zeros(0, int)]
    for k in range(1, most + 1):
        longer, origin = np.full(n + 1, np.inf), np.zeros(n + 1, int)
        for end in range((k + 1) * shortest, n + 1):
            starts = np.arange(k * shortest, end - shortest + 1)
            total = best[starts] + cost[starts, end]
            origin[end], longer[end] = starts[np.argmin(total)], total.min()
        best = longer
        origins.append(origin)
        cuts, at = [], n
        for back in reversed(origins):
            at = int(back[at])
            cuts.append(at)
        divisions.append(np.array(cuts[::-1], int))
    return divisions


def noise_sd(values: Float[np.ndarray, "n q"], piece: Literal["level", "line"] = "line") -> Float[np.ndarray, " q"]:
    """Standard deviation of independent noise on curves that are smooth but for a few jumps; 0 for a constant one."""
    order, factor = (1, np.sqrt(2.0)) if piece == "level" else (2, np.sqrt(6.0))
    if len(values) < order + 2:
        return np.zeros(values.shape[1])
    d = np.diff(values, n=order, axis=0)
    robust = 1.4826 * np.median(np.abs(d), axis=0) / factor
    # counts that mostly stay have a median of 0; then the mean over the differences has to serve
    return np.where(robust > 0, robust, np.sqrt((d**2).mean(0)) / factor)


def _costs(y: np.ndarray, piece: str) -> Float[np.ndarray, "m m"]:
    """Sum of squares that the best constant or line leaves of points a to b - 1, for all a < b."""
    n, t = len(y), np.arange(len(y), dtype=float)

    def sums(v: np.ndarray) -> np.ndarray:
        c = np.concatenate([np.zeros((1, *v.shape[1:])), np.cumsum(v, axis=0)])
        return c[None, :] - c[:, None]  # [a, b]

    y = y - y.mean(0)
    count = np.maximum(sums(np.ones(n)), 1)
    s, left = sums(y), sums((y**2).sum(1))
    left = left - (s**2).sum(2) / count
    if piece == "line":
        st, stt, sty = sums(t), sums(t**2), sums(t[:, None] * y)
        stt = stt - st**2 / count
        slope = sty - st[..., None] * s / count[..., None]
        left = left - (slope**2).sum(2) / np.maximum(stt, 1e-12)
    return np.maximum(left, 0.0)


def _fitted(y: np.ndarray, starts: np.ndarray, piece: str) -> np.ndarray:
    """The constants or lines of a division."""
    return np.concatenate([_fit(part, piece) for part in np.split(y, starts)])


def _fit(y: np.ndarray, piece: str) -> np.ndarray:
    if piece == "level":
        return np.broadcast_to(y.mean(0), y.shape)
    t = np.arange(len(y)) - (len(y) - 1) / 2
    return y.mean(0) + t[:, None] * (t @ y) / max(float(t @ t), 1e-12)
