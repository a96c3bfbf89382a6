"""Options of what the latents are: which make up the pose, whether there are classes, what is drawn. Imports no JAX.

They combine freely: rotations, shifts and scales are on or off one by one (none: a plain VAE), classes are joined to
the content, and the decoder draws the window itself or a spectrum that was taken at its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rvaejax.nets.config import check


@dataclass(frozen=True)
class Pose:
    """The movements that the content is free of; none of them is a plain variational autoencoder.

    Of signals (windows of one row) only the shift, along the row, makes sense. Where a spectrum is drawn, the encoder
    is made blind to rotation and shift of its window, by construction or by moved copies.

    Attributes:
        rotation: the content may be turned by any angle.
        shift: it may be moved; `shift_prior` and `shift_scale` say how far.
        scale: it may be enlarged or reduced.
        scale_sd: standard deviation of the scale's logarithm under its prior, a log-normal of median 1.
    """

    rotation: bool = True
    shift: bool = True
    scale: bool = False
    scale_sd: float = 0.15

    def __post_init__(self) -> None:
        check(0 < self.scale_sd <= 1, "scale_sd", self.scale_sd, "above 0 and at most 1")


@dataclass(frozen=True)
class Classes:
    """A discrete latent beside the content; the sum over its values is exact (no relaxation, no noise).

    Attributes:
        count: number of classes.
        labels: "none": found without labels. "all": every row has a label, and encoder and decoder are given it.
            "some": rows with a label count with their class alone and teach the encoder to tell it; of the others
            (label -1) the class is summed over (Kingma et al. 2014, arXiv:1406.5298).
        weight: of the class's Kullback-Leibler divergence; 1 is the ELBO.
        head_start: steps at the start in which the content is withheld from the decoder, and as many over which it
            comes in, so that what a class can tell is told by the class; not where every row has a label. It should
            last until the angle is found, beyond the end of the annealing.
        balance: weight, in the head start, of what keeps classes apart: the divergence of a batch's mean class from
            the prior, and a little of the entropy of a row's class; gone when the content is there.
        learn_prior: the classes' frequencies are learned; otherwise all are as likely.
        classification_weight: with some labels, weight of the cross-entropy of a labelled row's class [per row].
        labelled_share: with some labels, share of each batch that is drawn from the labelled rows alone.
    """

    count: int = 3
    labels: Literal["none", "some", "all"] = "none"
    weight: float = 1.0
    head_start: int = 500
    balance: float = 100.0
    learn_prior: bool = False
    classification_weight: float = 20.0
    labelled_share: float = 0.25

    def __post_init__(self) -> None:
        check(self.count >= 2, "count", self.count, "at least 2")
        check(self.labels in ("none", "some", "all"), "labels", self.labels, "none, some or all")
        check(self.weight >= 0, "weight", self.weight, "at least 0")
        check(self.head_start >= 0, "head_start", self.head_start, "at least 0")
        check(self.balance >= 0, "balance", self.balance, "at least 0")
        check(self.classification_weight >= 0, "classification_weight", self.classification_weight, "at least 0")
        check(0 <= self.labelled_share < 1, "labelled_share", self.labelled_share, "at least 0 and below 1")


@dataclass(frozen=True)
class Spectra:
    """What is drawn: the spectrum of each window (array `spectra` (n, length) beside `images`), not the window itself.

    Attributes:
        length: of a spectrum; None until the training has seen them.
    """

    length: int | None = None

    def __post_init__(self) -> None:
        check(self.length is None or self.length >= 8, "length", self.length, "at least 8, or null")
