"""PCA, NMF and GMM of the pixels, by scikit-learn."""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Float
from sklearn import decomposition
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from rvaejax.baselines.config import GMM, NMF, PCA
from rvaejax.baselines.record import Codes, Fitted, flat, some_rows
from rvaejax.types import SubImages

MORE = 1e-3  # of the variance of a pixel: keeps pixels that never change from making Gaussians infinitely sharp


def fit_pca(config: PCA, subimages: SubImages, *, seed: int) -> Fitted:
    """Principal components; the label is the component with the largest standardised score."""
    x, shape = flat(subimages.images), subimages.images.shape[1:]
    model = decomposition.PCA(min(config.components, *x.shape), random_state=seed).fit(x)
    spread = np.sqrt(np.maximum(model.explained_variance_, 1e-12))

    def apply(images: np.ndarray) -> Codes:
        scores = model.transform(flat(images))
        return Codes(scores, np.abs(scores / spread).argmax(1))

    return Fitted(
        "PCA",
        shape,
        f"{model.explained_variance_ratio_.sum():.0%} of the variance",
        apply,
        lambda latents: model.inverse_transform(latents).reshape(-1, *shape),
        lambda: model.components_.reshape(-1, *shape),
    )


def fit_nmf(config: NMF, subimages: SubImages, *, seed: int) -> Fitted:
    """Non-negative factors; the label is the factor with the largest contribution."""
    shape = subimages.images.shape[1:]
    rows = some_rows(len(subimages), config.rows, seed)
    x = np.maximum(flat(subimages.images[rows]), 0)
    count = min(config.components, *x.shape)
    model = decomposition.NMF(count, init="nndsvda", max_iter=config.iterations, tol=1e-3, random_state=seed)
    note = "" if len(rows) == len(subimages) else f"learned from {len(rows)} sub-images"
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(x)
    if any(issubclass(w.category, ConvergenceWarning) for w in told):
        note = "; ".join(filter(None, [note, f"not converged in {config.iterations} iterations"]))
    size = np.linalg.norm(model.components_, axis=1)

    def apply(images: np.ndarray) -> Codes:
        weights = model.transform(np.maximum(flat(images), 0))
        return Codes(weights, (weights * size).argmax(1))

    return Fitted(
        "NMF",
        shape,
        note,
        apply,
        lambda latents: (latents @ model.components_).reshape(-1, *shape),
        lambda: model.components_.reshape(-1, *shape),
    )


def fit_gmm(config: GMM, subimages: SubImages, *, seed: int) -> Fitted:
    """A mixture of Gaussians; latents are the probabilities of the classes, components their means."""
    shape = subimages.images.shape[1:]
    rows = some_rows(len(subimages), config.rows, seed)
    x = flat(subimages.images[rows])
    note, reduce, restore = "", lambda v: v, lambda v: v
    if x.shape[1] > config.largest:
        pca = decomposition.PCA(min(config.reduced, *x.shape), random_state=seed).fit(x)
        share = pca.explained_variance_ratio_.sum()
        note = f"after PCA to {pca.n_components_} components, which hold {share:.0%} of the variance"
        reduce, restore, x = pca.transform, pca.inverse_transform, pca.transform(x)
    model = mixture(x, min(config.classes, len(x)), config.covariance, seed, config.starts)
    means = restore(model.means_).reshape(-1, *shape)

    def apply(images: np.ndarray) -> Codes:
        probability = model.predict_proba(reduce(flat(images)))
        return Codes(probability, probability.argmax(1))

    return Fitted("GMM", shape, note, apply, lambda p: np.tensordot(np.asarray(p, np.float32), means, 1), lambda: means)


def mixture(x: Float[np.ndarray, "n d"], classes: int, covariance: str, seed: int, starts: int = 1) -> GaussianMixture:
    """A fitted mixture, from k-means; its floor of the variance is a share of that of the data.

    Of several `starts` the likeliest is kept: each ends in a maximum of its own.

    Source: expectation-maximisation, A. P. Dempster, N. M. Laird, D. B. Rubin, J. R. Stat. Soc. B 39, 1 (1977).
    """
    floor = MORE * float(x.var(0).mean()) + 1e-9
    model = GaussianMixture(
        classes, covariance_type=covariance, reg_covar=floor, random_state=seed, max_iter=200, n_init=starts
    )
    with warnings.catch_warnings():
        # classes that go on exchanging a few sub-images are as good as converged
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(np.asarray(x, np.float64))
