"""GMM, autoencoder, VAE and rVAE on one size of windows: what they draw, and how alike their components are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from rvaejax.analysis.grains import SITE_FOLD
from rvaejax.analysis.leakage import probe_folded
from rvaejax.analysis.manifold import latent_manifold
from rvaejax.analysis.selection import rows_of
from rvaejax.analysis.similarity import Similarity, component_similarity
from rvaejax.analysis.sites import movie_sites
from rvaejax.baselines.config import GMM, ConvAutoencoder, PlainVAE
from rvaejax.baselines.fit import STARTS, fit, latent_gmm, of_rvae
from rvaejax.baselines.networks import latent_grid
from rvaejax.baselines.record import Fitted, some_rows
from rvaejax.io.files import atomic_path, write_text
from rvaejax.io.tables import read_atoms
from rvaejax.pipeline.check import run_subimages
from rvaejax.pipeline.paper.config import PaperOptions
from rvaejax.rvae.inference import encode
from rvaejax.rvae.storage import load_model
from rvaejax.types import SubImages

ARRAYS, NUMBERS = "components.npz", "components.json"
SCATTERED = ("turned", "copies")  # what is told of each draw
DRAWN = 2000  # sub-images of a draw, at most
PROBED = 4000  # sites from which it is told whether latents hold the orientation


def compare_methods(run: Path, options: PaperOptions, *, large: bool) -> None:
    """Fits the baselines to the windows of a run; writes components.npz, and components.json as the sign of its end.

    Args:
        run: folder of a finished run.
        options: of the reproduction.
        large: whether these are the large windows, on which the networks are trained for fewer steps.
    """
    whole = run_subimages(run)
    subimages = rows_of(whole, some_rows(len(whole), options.rows, options.seed))
    del whole
    short = options.large_baseline_steps if large else options.baseline_steps
    ae = fit(_steps(ConvAutoencoder(), short), subimages, seed=options.seed)
    vae = fit(_steps(PlainVAE(), short), subimages, seed=options.seed)
    gmm = fit(GMM(classes=options.classes, starts=STARTS), subimages, seed=options.seed)
    model = load_model(run)
    latents = encode(model, subimages)
    rvae = of_rvae(model, subimages)
    mixed = {one.name: latent_gmm(one, subimages, classes=options.classes, seed=options.seed) for one in (vae, rvae)}
    drawn = {"GMM": gmm.components(), **{name: one.components() for name, one in mixed.items()}}
    manifold = latent_manifold(model, latents, points=options.manifold)
    ae_latents = ae.encode(subimages).latents
    grid, extent = decoded_grid(ae, ae_latents, options.manifold)
    arrays = {f"components {name}": images for name, images in drawn.items()}
    arrays |= {"grid AE": grid, "grid rVAE": manifold.images}
    similar = {name: component_similarity(np.asarray(images, np.float32)) for name, images in drawn.items()}
    for name, found in similar.items():
        arrays[f"plain {name}"], arrays[f"turned {name}"] = found.plain, found.turned
    told = orientation_told(run, subimages, {"autoencoder": ae_latents, "rVAE": latents.content}, options.seed)
    numbers = {
        "sub-images": len(subimages),
        "of GMM": gmm.note,
        "steps of autoencoder and VAE": short,
        "extent of the grids": {"AE": extent, "rVAE": list(manifold.extent)},
        "similarity": {name: similarity_numbers(one) for name, one in similar.items()},
        "each draw": similarity_of_draws(subimages, {"VAE": vae, "rVAE": rvae}, options),
        "orientation told by the latents, R2": told,
        "KL of the content latents [nat]": list(model.content_kl),
    }
    with atomic_path(run / ARRAYS) as path:
        np.savez_compressed(path, **{k: np.asarray(v, np.float32) for k, v in arrays.items()})  # type: ignore[arg-type]
    write_text(run / NUMBERS, json.dumps(numbers, indent=2))


def similarity_numbers(one: Similarity) -> dict[str, float]:
    """Means over pairs of components, as they are and up to rotation, and the share of pairs that are copies."""
    plain, turned = one.mean
    return {"plain": plain, "turned": turned, "copies": one.copies}


def similarity_of_draws(
    subimages: SubImages, networks: Mapping[str, Fitted], options: PaperOptions
) -> dict[str, dict[str, list[float]]]:
    """How alike each method's components are (`similarity_numbers`), for each of several disjoint draws of sub-images.

    To each draw, of at most `DRAWN`, which bounds the time, a GMM of its pixels and a mixture in the latents of each
    network are fitted anew, so that draws are independent but for the networks, and what the methods find in the same
    draw can be compared in pairs.
    """
    parts = np.array_split(np.random.default_rng(options.seed).permutation(len(subimages)), options.draws)
    found: dict[str, dict[str, list[float]]] = {}
    for seed, part in enumerate(parts, options.seed):
        some = rows_of(subimages, np.sort(part[:DRAWN]))
        fitted = {"GMM": fit(GMM(classes=options.classes, starts=STARTS), some, seed=seed)}
        fitted |= {name: latent_gmm(one, some, classes=options.classes, seed=seed) for name, one in networks.items()}
        for name, one in fitted.items():
            alike = similarity_numbers(component_similarity(np.asarray(one.components(), np.float32)))
            for what in SCATTERED:
                found.setdefault(name, {}).setdefault(what, []).append(alike[what])
    return found


def decoded_grid(
    fitted: Fitted, latents: Float[np.ndarray, "n d"], points: int
) -> tuple[Float[np.ndarray, "ky kx h w c"], list[float]]:
    """Images over a grid of a method's first two latents, and the grid's extent (x first, x last, y first, y last)."""
    grid = latent_grid(latents, points)
    images = fitted.decode(grid).reshape(points, -1, *fitted.shape)
    return images, [float(v) for i in range(2) for v in (grid[0, i], grid[-1, i])]


def orientation_told(
    run: Path, subimages: SubImages, latents: Mapping[str, np.ndarray], seed: int
) -> dict[str, float | None]:
    """R^2 of the direction of a site's three bonds, modulo 120 degrees, from each method's latents, cross-validated."""
    atoms = read_atoms(run / "atoms.csv")
    direction = movie_sites(atoms).sites.orientation[subimages.atom]
    rows = np.flatnonzero(np.isfinite(direction) & (subimages.atom >= 0))
    rows = rows[some_rows(len(rows), PROBED, seed)]
    fold, out = np.full(len(rows), SITE_FOLD), {}
    for name, values in latents.items():
        told = probe_folded(np.asarray(values[rows], float), direction[rows], fold)
        out[name] = round(told, 4) if np.isfinite(told) else None
    return out


def read_numbers(run: Path) -> dict[str, Any]:
    """What `compare_methods` found."""
    return json.loads((run / NUMBERS).read_text())


def _steps(config: Any, steps: int) -> Any:
    return replace(config, training=replace(config.training, steps=steps))
