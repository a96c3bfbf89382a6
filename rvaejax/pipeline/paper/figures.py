"""The paper's figures, drawn from the folders of a reproduction, and the numbers beside each."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from rvaejax.analysis.similarity import Similarity, mean_and_interval
from rvaejax.atoms.localise import find_atoms
from rvaejax.io.latents import read_latents_h5
from rvaejax.io.movies import read_movie
from rvaejax.pipeline.paper import components, numbers, quarter
from rvaejax.pipeline.paper.config import PaperOptions
from rvaejax.plotting import plates
from rvaejax.plotting.maps import real_space_maps
from rvaejax.segmentation.predict import segment
from rvaejax.types import Movie

S1_METHODS = ("GMM", "VAE", "rVAE")


class Drawn(NamedTuple):
    """A figure, and the numbers beside it."""

    figure: Figure
    numbers: Mapping[str, Any]


def segmentation(movie: Movie, run: numbers.Run, options: PaperOptions, scores: Mapping[str, float]) -> Drawn:
    """Figure 2, on the recorded image of a frame where there is one, else on the movie's own frame."""
    found = numbers.segmentation(run)
    if "detection F1" in scores:
        found["detection F1"] = scores["detection F1"]
    t = run.shown[0]
    if options.image is not None:
        image = read_movie(options.image)
        maps = segment(image)
        atoms = find_atoms(maps)
        found["image"] = {species: int((atoms.species == species).sum()) for species in ("C", "Si")}
        pixels, drawn, map_ = np.asarray(image.frames[0], np.float32), "recorded image", maps.probabilities[0]
        maps_nm = maps.pixel_size_nm
    else:
        atoms = run.atoms.select(run.atoms.frame == t)
        known = options.movie is not None or options.authors_array is not None
        how = "drawn from coordinates" if movie.atoms is not None else "recorded" if known else "simulated"
        pixels, drawn, map_ = np.asarray(movie.frames[t], np.float32), f"frame {t}, {how}", run.maps.probabilities[t]
        maps_nm = run.maps.pixel_size_nm
    titles = (drawn, "probability of C and Si", f"{len(atoms)} atoms")
    return Drawn(plates.segmentation(pixels, map_, atoms, titles, maps_nm), found)


def evolution(run: numbers.Run) -> Drawn:
    """Figure 3."""
    shown = run.shown[1]
    maps = [run.maps.probabilities[t] for t in shown]
    titles = [f"frame {t}" for t in shown]
    return Drawn(plates.evolution(maps, titles, run.maps.pixel_size_nm), numbers.evolution(run))


def descriptors(folders: Mapping[str, Path]) -> Drawn:
    """Figure 5, a row for each size of windows."""
    lines, found = [], {}
    latents = ("latent 1", "latent 2")
    for name, folder in folders.items():
        found[name] = components.read_numbers(folder)
        with np.load(folder / components.ARRAYS) as arrays:
            panels = [
                plates.Panel(plates.as_grid(arrays["components GMM"]), f"GMM, {name} windows"),
                plates.Panel(arrays["grid AE"], f"autoencoder, {name} windows", latents),
                plates.Panel(arrays["grid rVAE"], f"rVAE, {name} windows", tuple(f"content {n}" for n in latents)),
            ]
        lines.append(panels)
    return Drawn(plates.descriptors(lines), found)


def similarities(folders: Mapping[str, Path]) -> Drawn:
    """Figure S1, a row for each size of windows."""
    matrices: dict[str, Any] = {}
    found: dict[str, dict[str, Any]] = {}
    for name, folder in folders.items():
        with np.load(folder / components.ARRAYS) as arrays:
            matrices[f"{name} windows"] = {m: (arrays[f"plain {m}"], arrays[f"turned {m}"]) for m in S1_METHODS}
        pairs = matrices[f"{name} windows"].items()
        found[name] = {method: {**components.similarity_numbers(Similarity(*two))} for method, two in pairs}
        each = components.read_numbers(folder)["each draw"]
        for (method, of), what in itertools.product(found[name].items(), components.SCATTERED):
            own, rvae = np.array(each[method][what]), np.array(each["rVAE"][what])
            of["draws"] = len(own)
            of[f"{what}, draws"] = mean_and_interval(own)
            of[f"{what}, rVAE less this"] = mean_and_interval(rvae - own)
    return Drawn(plates.similarities(matrices), found)


def real_space(run: numbers.Run) -> Drawn:
    """Figure 6."""
    figure = real_space_maps(
        run.atoms,
        run.rows.latents,
        run.shown[2],
        rows=run.rows.atom,
        size=run.maps.input_size,
        most_content=1,
        more={"crystallinity": run.order.crystallinity},
    )
    return Drawn(figure, numbers.real_space(run))


def dynamics(run: numbers.Run) -> Drawn:
    """Figure 7."""
    return Drawn(plates.time_dynamics(run.rows.latents, run.rows.frame), numbers.dynamics(run))


def share(run: Path, folder: Path) -> Drawn:
    """The latents of the rVAE that was trained on a share of each frame, against those of the one trained on all."""
    first, second = (read_latents_h5(path / "latents.h5").latents for path in (run, folder))
    found, told = quarter.alignment(first, second)
    facts = quarter.read_numbers(folder)
    names = "trained on all", f"trained on {facts['trained on'] / facts['of']:.0%} of each frame"
    return Drawn(plates.agreement(first, second, found, names), {**facts, **told})
