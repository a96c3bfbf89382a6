"""Any baseline by its options, mixtures in a latent space, and the rVAE behind the same interface."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from rvaejax.baselines.config import GMM, NMF, PCA, Baseline
from rvaejax.baselines.networks import fit_network, latent_grid
from rvaejax.baselines.pixels import fit_gmm, fit_nmf, fit_pca, mixture
from rvaejax.baselines.record import Codes, Fitted, some_rows
from rvaejax.rvae.inference import decode, encode
from rvaejax.rvae.inputs import check_images
from rvaejax.rvae.record import TrainedRVAE
from rvaejax.types import SubImages

STARTS = 5  # of a mixture in a latent space, and of those of pixels that are compared with it


def fit(config: Baseline, subimages: SubImages, *, seed: int = 0) -> Fitted:
    """A baseline fitted to sub-images; labels, frames and positions are never looked at.

    Args:
        config: which one, and its options.
        subimages: windows of one size.
        seed: the one source of randomness.

    Raises:
        ImageError: the sub-images cannot be used.
    """
    check_images(subimages)
    if isinstance(config, PCA):
        return fit_pca(config, subimages, seed=seed)
    if isinstance(config, NMF):
        return fit_nmf(config, subimages, seed=seed)
    if isinstance(config, GMM):
        return fit_gmm(config, subimages, seed=seed)
    return fit_network(config, subimages, seed=seed)


def latent_gmm(inner: Fitted, subimages: SubImages, *, classes: int = 9, seed: int = 0, rows: int = 20_000) -> Fitted:
    """A mixture of Gaussians in the latent space of another method, its centroids decoded.

    Args:
        inner: a fitted autoencoder, VAE or rVAE (`of_rvae`).
        subimages: what the mixture is fitted to.
        classes: how many Gaussians.
        seed: the one source of randomness.
        rows: sub-images that the mixture is learned from, drawn at random.
    """
    latents = inner.encode(subimages).latents[some_rows(len(subimages), rows, seed)]
    # few numbers a sub-image: several starts take seconds, and one may leave a rare kind without a Gaussian
    model = mixture(latents, min(classes, len(latents)), "full", seed, starts=STARTS)

    def apply(images: np.ndarray) -> Codes:
        found = inner.apply(images).latents
        return Codes(found, model.predict(np.asarray(found, np.float64)))

    centroids = model.means_.astype(np.float32)
    return replace(
        inner, name=f"GMM in the {inner.name}'s latents", apply=apply, components=lambda: inner.decode(centroids)
    )


def of_rvae(model: TrainedRVAE, subimages: SubImages) -> Fitted:
    """A trained rVAE behind the same interface: its latents are the content, drawn at angle 0 and without shift.

    Args:
        model: a trained rVAE.
        subimages: over whose content the grid of the components is laid.
    """

    def apply(images: np.ndarray) -> Codes:
        n = len(images)
        none, zero = np.full(n, ""), np.zeros(n)
        content = encode(model, SubImages(images, zero.astype(int), zero, zero, none, zero.astype(int))).content
        return Codes(content, np.abs(content / np.maximum(content.std(0), 1e-9)).argmax(1))

    def draw(content: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "m h w c"]:
        zero = np.zeros(len(content), np.float32)
        return decode(model, zero, np.zeros((len(content), 2), np.float32), content)

    grid = latent_grid(apply(subimages.images).latents)
    return Fitted("rVAE", model.image_shape, f"{model.steps} steps", apply, draw, lambda: draw(grid))
