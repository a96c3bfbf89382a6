"""Posteriors as a record, and how far the encoder is from them. Imports no JAX."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer


@dataclass(frozen=True, eq=False)
class Posterior:
    """Draws of the posterior of each sub-image, beside the encoder's.

    Attributes:
        row: (n,) of the stack of sub-images.
        angle: (n, l) [rad, in (-pi, pi]].
        shift: (n, l, 2) [px of the window].
        content: (n, l, d), in the reported order and sign.
        mode_angle: (n, m) angles of the modes in which chains were started [rad].
        mode_weight: (n, m) the posterior's share in each; 0 where there is no such mode.
        log_evidence: (n,) log p(image) [nat], by importance sampling around the chains.
        elbo: (n,) the encoder's bound of it [nat].
        weighted_bound: (n,) its importance-weighted bound [nat].
        encoder_angle: (n, k) draws of the encoder's posterior [rad].
        encoder_content: (n, k, d) the same of the content.
        diverging: (n,) share of the chains' steps that diverged.
        split: (n,) largest difference between the halves of a chain in the angle's mean [its standard deviations].
        effective: (n,) least effective number of the draws behind a mode's evidence.
    """

    row: Integer[np.ndarray, " n"]
    angle: Float[np.ndarray, "n l"]
    shift: Float[np.ndarray, "n l 2"]
    content: Float[np.ndarray, "n l d"]
    mode_angle: Float[np.ndarray, "n m"]
    mode_weight: Float[np.ndarray, "n m"]
    log_evidence: Float[np.ndarray, " n"]
    elbo: Float[np.ndarray, " n"]
    weighted_bound: Float[np.ndarray, " n"]
    encoder_angle: Float[np.ndarray, "n k"]
    encoder_content: Float[np.ndarray, "n k d"]
    diverging: Float[np.ndarray, " n"]
    split: Float[np.ndarray, " n"]
    effective: Float[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.row)
