"""How alike the components of GMM, VAE and rVAE are, as they are and up to rotation (the paper's Fig. S1).

Claim: components of a decomposition that knows no rotation show one thing at several angles, so that they look
different and are alike up to rotation; the rVAE's are less alike up to rotation, in small and in large windows.
For VAE and rVAE the components are, once, the images decoded on a 3 x 3 grid of their latents, from the 5th to the
95th percentile of each, and once the decoded centroids of a mixture in their latent spaces, as many as the GMM's.

Command:    python experiments/component_similarity.py RUN RUN ... --seeds 0 1 2 3 --out runs/component_similarity
            (folders of runs on one movie and one size of windows, of rVAEs from several seeds)
Wall time:  23 minutes beside other work, on half a core, of four trainings and four draws without VAE
Figure:     runs/component_similarity/components_SEED.png: the components of each method
Result:     on the paper's movie, 24 px, 20,000 sub-images, four trainings of the rVAE (seeds 0 to 3) with each of four
            draws of sub-images and mixtures (seeds 0 to 3), means over all; differences in pairs of the same draw, with
            the standard error that trainings and draws make together:
                              GMM                        rVAE: centroids          rVAE: grid
            mean similarity   0.741 (0.685 to 0.765)     0.697 (0.643 to 0.786)   0.712 (0.671 to 0.749)
              less the GMM's                             -0.044 +- 0.030          -0.029 +- 0.022
            share of copies   0.54 (0.42 to 0.58)        0.16 (0.11 to 0.25)      0.10 (0.08 to 0.11)
              less the GMM's                             -0.38 +- 0.04            -0.44 +- 0.04
            So the mean is lower by 1.5 of its errors, which may be chance: single trainings have 0.66 to 0.75 whatever
            the draw, and GMM's depends on how many blurs, like nothing, it has. What the claim is about, one thing at
            several angles, is a third as frequent among the rVAE's components, by nine errors.
            Earlier, mean similarity up to rotation of 9 components each, on the demo's movie (8 frames, trained for
            75 s and 143 s):
                            GMM    VAE: grid, centroids    rVAE: grid, centroids
            0.4 nm window   0.70   0.74, 0.74              0.68, 0.65
            1.0 nm window   0.85   0.59, 0.80              0.76, 0.81
            The claim holds in the small window. In the large one the rVAE's are less alike than the GMM's but not less
            than the VAE's, whose grid shows blurs that are like nothing.
            As they are, not turned, the rVAE's are the most alike in both (0.65 to 0.81 against 0.43 to 0.56): they
            are all drawn at one angle, and turning adds next to nothing (0.01), where it adds 0.17 to 0.30 to the
            others' (GMM 0.46 to 0.70 and 0.56 to 0.85).
            On the paper's movie (folders of `rvaejax reproduce paper --movie`, with `--no-vae --seeds 0 1 2`, 11.5
            minutes beside other work), up to rotation, seeds 0, 1, 2, and in brackets the share of pairs that are
            copies of one thing (more than 0.95 alike):
                     GMM                              rVAE: centroids                 rVAE: grid
            24 px    0.68, 0.76, 0.76 (42, 58, 58 %)  0.68, 0.72, 0.69 (17, 17, 19 %)  0.74, 0.74, 0.75 (11 %)
            62 px    0.79, 0.74, 0.73 (25, 22, 17 %)  0.78, 0.78, 0.78 (6 %)           0.70, 0.70, 0.70 (0)
            The mean depends on the start of the GMM more than on the method: with each ring-shaped blur, which is like
            nothing, it falls. By the mean of the centroids the claim holds for two seeds of three in the small window
            and for one in the large one; copies are fewer among the rVAE's for every seed and both windows.
            The GMM had one start there, the mixtures in the latents five, of which the likeliest is kept. With five for
            all, as this script has it now, large windows, another training of the rVAE, seeds 0, 1, 2 (VAE: seed 0):
                                both channels                       C alone             contrast above 0.1
                GMM             0.79, 0.79, 0.80 (25, 42, 36 %)     0.63, 0.62, 0.64    7, 7, 7 of 9
                GMM, one start  0.79, 0.74, 0.73 (25, 22, 17 %)     0.63, 0.54, 0.53    7, 6, 5 of 9
                rVAE, centroids 0.77, 0.77, 0.77 (3, 6, 6 %)        0.62, 0.62, 0.61    9, 9, 9 of 9
                rVAE, grid      0.70, 0.70, 0.70 (0)                0.48, 0.49, 0.48    9, 9, 9 of 9
                VAE, centroids  0.86 (36 %)                         0.81                3 of 9
                VAE, grid       0.86 (31 %)                         0.85                3 of 9
            A worse fit has more blurs, lattices of all angles on top of one another, which are like nothing and lower
            the mean: among the GMM's sharp components alone it is 0.91 to 0.93. So the claim holds in the large window
            for every seed, by 0.02 to 0.03 against the GMM (0.005 to 0.03 by C alone: the channel of Si is empty in
            nearly every component, more than 0.9 alike for all, and decides nothing). Without blurs, each component
            shown by the window that it finds the likeliest: GMM (one start) 0.70, 0.70, 0.66, rVAE 0.70, 0.68, 0.72,
            VAE 0.65: single windows tell no difference.
            Small windows with five starts for all, that training's rVAE (85 s of CPU a seed, 25 of them the VAE's):
                                both channels                       C alone             contrast above 0.1
                GMM             0.69, 0.76, 0.77 (42, 58, 58 %)     0.64, 0.73, 0.74    8, 8, 8 of 9
                rVAE, centroids 0.62, 0.71, 0.62 (14, 17, 14 %)     0.63, 0.70, 0.63    9, 9, 9 of 9
                rVAE, grid      0.74, 0.75, 0.75 (8, 11, 11 %)      0.72, 0.73, 0.73    9, 9, 9 of 9
                VAE, centroids  0.77, 0.82, 0.80 (3, 6, 11 %)       0.81, 0.86, 0.84    9, 9, 9 of 9
                VAE, grid       0.74, 0.76, 0.77 (0, 3, 3 %)        0.81, 0.80, 0.83    9, 9, 9 of 9
            So by the centroids the claim holds in both windows for every seed, in the small one by 0.05 to 0.15 (0.01
            to 0.11 by C alone); with the first training's rVAE (0.68, 0.72, 0.69) seed 0 would be a tie. The rVAE's
            grids, whose ends are rarer kinds, are less alike than the GMM's components for two seeds of three.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from matplotlib.figure import Figure

from rvaejax.analysis.selection import rows_of
from rvaejax.analysis.similarity import Similarity, component_similarity
from rvaejax.baselines.config import GMM, PlainVAE
from rvaejax.baselines.fit import STARTS, fit, latent_gmm, of_rvae
from rvaejax.baselines.record import Fitted, some_rows
from rvaejax.io.files import write_text
from rvaejax.pipeline.check import run_subimages
from rvaejax.pipeline.paper.components import similarity_numbers
from rvaejax.plotting.style import new_figure, save_figure
from rvaejax.rvae.storage import load_model
from rvaejax.types import SubImages


@dataclass(frozen=True)
class Options:
    """Fits GMM, VAE and the mixture in the latents of each rVAE to the same draws of one movie's sub-images."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of runs on one movie and one size of windows: trainings of the rVAE from several seeds."""
    out: Path
    """Folder for figures and numbers."""
    classes: int = 9
    """Components of each method."""
    rows: int = 20_000
    """Most sub-images that everything is fitted to, drawn at random."""
    vae: bool = True
    """Whether a VAE is trained for each draw, which takes the longest."""
    seeds: tuple[int, ...] = (0,)
    """Each draws other sub-images and starts all fits but the runs' rVAEs anew."""


def fits(subimages: SubImages, options: Options, seed: int) -> list[tuple[str, Fitted]]:
    """GMM, VAE and each run's rVAE on one draw: grids of the latents, and mixtures of as many classes."""
    networks = [("VAE", fit(PlainVAE(), subimages, seed=seed))] if options.vae else []
    networks += [(f"rVAE {run}", of_rvae(load_model(run), subimages)) for run in options.runs]
    found = [("GMM", fit(GMM(classes=options.classes, starts=STARTS), subimages, seed=seed))]
    for name, one in networks:
        mixed = latent_gmm(one, subimages, classes=options.classes, seed=seed)
        found += [(f"{name}, grid", one), (f"{name}, centroids", mixed)]
    return found


def draw(found: list[tuple[str, Fitted, Similarity]]) -> Figure:
    """The first channel of the components, a row for each method."""
    count = max(len(s.plain) for _, _, s in found)
    figure = new_figure(1.0 * count, 1.35 * len(found))
    for part, (name, one, similarity) in zip(figure.subfigures(len(found), 1, squeeze=False)[:, 0], found, strict=True):
        line = part.subplots(1, count, squeeze=False)[0]
        for axes in line:
            axes.set_axis_off()
        for axes, image in zip(line, one.components(), strict=False):
            axes.imshow(image[..., 0], cmap="gray", vmin=0, vmax=1)
        plain, turned = similarity.mean
        part.suptitle(f"{name}: {plain:.2f}; up to rotation {turned:.2f}", fontsize=8)
    return figure


def difference(rvae: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Mean of an rVAE's (trainings, draws) less another's (draws), paired by draws, and its standard error.

    The error is that of the means over trainings and over draws, added in squares: what one draw has in common for all
    trainings, and one training for all draws, is in it. A single training, or draw, has no spread to add.
    """
    less = rvae - other
    spread = [less.mean(axis).var(ddof=1) / n if (n := less.shape[1 - axis]) > 1 else 0.0 for axis in (0, 1)]
    return float(less.mean()), float(np.sqrt(sum(spread)))


def main(options: Options) -> None:
    """Fits, compares, draws, prints."""
    whole, results = run_subimages(options.runs[0]), {}
    for seed in options.seeds:
        subimages = rows_of(whole, some_rows(len(whole), options.rows, seed))
        found = [(name, one, component_similarity(one.components())) for name, one in fits(subimages, options, seed)]
        save_figure(draw(found), options.out / f"components_{seed}.png")
        results[f"draw {seed}"] = {name: {**similarity_numbers(s), "note": one.note} for name, one, s in found}
        print(seed, json.dumps(results[f"draw {seed}"]), flush=True)
    differences: dict[str, list[float]] = {}
    for kind in ("centroids", "grid"):
        for what in ("turned", "copies"):
            each = {
                name: np.array([one[name][what] for one in results.values()]) for name in results[next(iter(results))]
            }
            rvae = np.array([each[f"rVAE {run}, {kind}"] for run in options.runs])
            for name in ("GMM", *(["VAE, centroids"] if options.vae else [])):
                mean, error = difference(rvae, each[name])
                differences[f"{what}, rVAE, {kind}, less {name}"] = [round(mean, 4), round(error, 4)]
                means = f"rVAE, {kind} {rvae.mean():.3f}, {name} {each[name].mean():.3f}"
                print(f"{what}: {means}, difference {mean:.3f} ± {error:.3f}")
    write_text(options.out / "similarity.json", json.dumps({"draws": results, "differences": differences}, indent=2))


if __name__ == "__main__":
    main(tyro.cli(Options))
