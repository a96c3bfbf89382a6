"""How far the encoder is from the posterior that decoder and priors imply (Cremer et al. 2018, arXiv:1801.03558).

What the encoder says of a sub-image is one guess by a network that serves all of them. Beside draws of the posterior
itself, its error bar can be believed where the two have the same mean and the same spread.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float, Integer

from rvaejax.analysis.circular import circular_difference, circular_mean, circular_sd
from rvaejax.analysis.symmetry import content_energies, site_symmetry
from rvaejax.rvae.posterior.record import Posterior
from rvaejax.rvae.record import TrainedRVAE

SPLIT, EFFECTIVE, DIVERGING = 0.5, 20.0, 0.05


@dataclass(frozen=True, eq=False)
class AmortisationGap:
    """The encoder's posterior of each sub-image beside the sampled one.

    Attributes:
        row: (n,) of the stack of sub-images.
        fold: (n,) symmetry of the site: angles are compared modulo 2 pi / fold; 0 where it has no angle.
        modes: (n,) modes that hold more than 5 % of the posterior: of orientation, or of content.
        elbo_gap: (n,) log-evidence less the encoder's ELBO [nat]: KL of the encoder's posterior to the true one.
        weighted_gap: (n,) log-evidence less the importance-weighted bound [nat].
        angle_off: (n,) difference of the two means of the angle [posterior's standard deviations].
        angle_sd: (n,) the posterior's standard deviation of the angle [rad].
        angle_sd_ratio: (n,) the encoder's, as it is reported, over it.
        content_off: (n,) root mean square over latents of the means' difference [posterior's standard deviations].
        content_sd_ratio: (n,) geometric mean over latents of the encoder's standard deviation over the posterior's.
        sampled: (n,) whether the chains have converged, so that the row says something.
    """

    row: Integer[np.ndarray, " n"]
    fold: Integer[np.ndarray, " n"]
    modes: Integer[np.ndarray, " n"]
    elbo_gap: Float[np.ndarray, " n"]
    weighted_gap: Float[np.ndarray, " n"]
    angle_off: Float[np.ndarray, " n"]
    angle_sd: Float[np.ndarray, " n"]
    angle_sd_ratio: Float[np.ndarray, " n"]
    content_off: Float[np.ndarray, " n"]
    content_sd_ratio: Float[np.ndarray, " n"]
    sampled: Bool[np.ndarray, " n"]

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """By name, in order."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


def amortisation_gap(model: TrainedRVAE, found: Posterior) -> AmortisationGap:
    """The comparison, angle by angle modulo the symmetry of what the decoder draws of the site."""
    content = found.content.mean(1)
    fold = site_symmetry(content_energies(model, content.astype(np.float32))).fold
    angle_off, angle_sd, ratio = (np.full(len(found), np.nan) for _ in range(3))
    for i, n in enumerate(fold):
        if n == 0:
            continue
        here, there = found.angle[i].astype(float), found.encoder_angle[i].astype(float)
        angle_sd[i] = circular_sd(here, int(n))
        off = circular_difference(circular_mean(there, int(n)), circular_mean(here, int(n)), int(n))
        angle_off[i] = off / max(angle_sd[i], 1e-9)
        ratio[i] = model.angle_sd_factor * circular_sd(there, int(n)) / max(angle_sd[i], 1e-9)
    sd = np.maximum(found.content.std(1), 1e-9)
    content_off = (found.encoder_content.mean(1) - content) / sd
    content_ratio = np.maximum(found.encoder_content.std(1), 1e-9) / sd
    return AmortisationGap(
        row=found.row,
        fold=fold,
        modes=(found.mode_weight > 0.05).sum(1),
        elbo_gap=(found.log_evidence - found.elbo).astype(float),
        weighted_gap=(found.log_evidence - found.weighted_bound).astype(float),
        angle_off=angle_off,
        angle_sd=angle_sd,
        angle_sd_ratio=ratio,
        content_off=np.sqrt((content_off**2).mean(1)).astype(float),
        content_sd_ratio=np.exp(np.log(content_ratio).mean(1)).astype(float),
        sampled=(found.split < SPLIT) & (found.effective > EFFECTIVE) & (found.diverging < DIVERGING),
    )
