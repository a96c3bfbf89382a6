"""The reproduction: a movie to the paper's figures, with what the paper shows and what was found beside each.

    OUT/movie.npz, movie_truth.csv   the simulated movie, where no other was given
    OUT/small, OUT/large             runs (as `rvaejax run` leaves them) on small and large windows, and the baselines
    OUT/quarter                      an rVAE trained on a share of each frame's small windows
    OUT/figures, numbers.json, paper.md, paper.html

A stage that has left its last file is not done again by a resumed reproduction.
"""

from __future__ import annotations

import ctypes
import gc
import json
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import yaml

from rvaejax.analysis.truth import against_truth
from rvaejax.config import to_dict
from rvaejax.errors import FormatError, MissingFileError
from rvaejax.io.files import check_output, check_source_survives, prepare_output, write_text
from rvaejax.io.maps import read_maps
from rvaejax.io.tables import read_atoms
from rvaejax.pipeline.demo import SECTION
from rvaejax.pipeline.paper import components, figures, lines, numbers, quarter, source
from rvaejax.pipeline.paper.config import PaperOptions
from rvaejax.pipeline.paper.figures import Drawn
from rvaejax.pipeline.results import Results
from rvaejax.pipeline.resume import was_begun
from rvaejax.pipeline.run import analyse
from rvaejax.plotting.style import save_figure
from rvaejax.report.plates import Plate, write_plates

log = logging.getLogger(__name__)

SMALL, LARGE, QUARTER, FIGURES, NUMBERS = "small", "large", "quarter", "figures", "numbers.json"
RUN_ENDS = "report.html"
TITLE = "Order parameters and dynamics in disordered systems via variational autoencoders: the paper's figures"
CITED = "The paper: S. V. Kalinin, O. Dyck, S. Jesse, M. Ziatdinov, Science Advances 7, eabd5084 (2021)."


def reproduce(
    out: Path, options: PaperOptions, *, overwrite: bool = False, resume: bool = False
) -> dict[str, dict[str, Any]]:
    """Everything that the paper shows, into a folder; the numbers of each figure.

    Args:
        out: folder for the results.
        options: of the reproduction.
        overwrite: replace an earlier reproduction.
        resume: go on with one that was interrupted, with the same options.

    Raises:
        InputError: the movie cannot be analysed, or the output exists; nothing was written.
    """
    began = time.monotonic()
    check_output(out, overwrite, resume)
    for path in (options.movie, options.authors_array, options.image):
        if path is not None:
            check_source_survives(path, out)
            if not path.exists():
                raise MissingFileError(f"{path}: no such file; check the path")
    options = options.in_full
    begun = {"paper": {k: str(v) if isinstance(v, Path) else v for k, v in to_dict(options).items()}}
    resume = resume and was_begun(out, begun)
    given = source.given(options)
    prepare_output(out, overwrite, resume)
    write_text(out / "config.yaml", yaml.safe_dump(begun, sort_keys=False))
    used = given or source.simulated(out, options)
    stages(out, used, options)
    found = _numbers_and_page(out, used, options)
    log.info("the paper's figures: %.0f s", time.monotonic() - began)
    return found


def stages(out: Path, used: source.Source, options: PaperOptions) -> None:
    """All that takes long; what is done already is left as it is."""
    windows = {name: out / name for name in (SMALL, LARGE)}
    for name, folder in windows.items():
        if not _ended(folder):
            _release_memory()
            _analyse(folder, used, options, large=name == LARGE, small=out / SMALL)
        _release_memory()
        if not (folder / components.NUMBERS).is_file():
            log.info("%s windows: GMM, autoencoder, VAE", name)
            components.compare_methods(folder, options, large=name == LARGE)
    _release_memory()
    if not (out / QUARTER / quarter.NUMBERS).is_file():
        log.info("training on %.0f %% of each frame", 100 * options.share)
        quarter.train_on_a_share(out / SMALL, out / QUARTER, options)


def _release_memory() -> None:
    """Lets go of what the stage before no longer needs and still holds.

    Its compiled programs, some 2 MB each, 1.7 GB for 50 frames and two sizes of windows: what is needed again is read
    from the cache on disk. And the memory that was freed but not given back to the system, 0.6 GB after the analysis of
    small windows: the C library keeps it for later, and the arrays of the next stage, larger than any hole in it, come
    on top. Only glibc can be asked to.
    """
    jax.clear_caches()
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _analyse(folder: Path, used: source.Source, options: PaperOptions, *, large: bool, small: Path) -> None:
    """The run on one size of windows; large ones are cut from the maps that the small ones were cut from."""
    known = None
    if large:
        known = read_maps(small / "maps.h5"), read_atoms(small / "atoms.csv")
    elif used.known is not None and not (folder / "config.yaml").is_file():
        known = used.known()

    def summarise(results: Results) -> dict[str, Any]:
        if used.truth is None:
            return {}
        size = results.movie.size
        return {SECTION: against_truth(used.truth, results.atoms, results.subimages, results.latents, size=size)}

    log.info("%s windows: atoms, sub-images, rVAE", folder.name)
    analyse(used.movie, folder, options.window(large), resume=folder.is_dir(), known=known, summarise=summarise)


def _ended(folder: Path) -> bool:
    return (folder / RUN_ENDS).is_file()


def _drawn(out: Path, used: source.Source, options: PaperOptions) -> Iterator[tuple[str, Drawn]]:
    windows = {name: out / name for name in (SMALL, LARGE)}
    runs = {name: numbers.read_run(folder) for name, folder in windows.items()}
    summary = json.loads((out / SMALL / "summary.json").read_text())
    yield "figure_2", figures.segmentation(used.movie, runs[SMALL], options, summary.get(SECTION, {}))
    yield "figure_3", figures.evolution(runs[SMALL])
    yield "figure_5", figures.descriptors(windows)
    for name, run in runs.items():
        suffix = "" if name == SMALL else f"_{name}"
        yield f"figure_6{suffix}", figures.real_space(run)
    for name, run in runs.items():
        suffix = "" if name == SMALL else f"_{name}"
        yield f"figure_7{suffix}", figures.dynamics(run)
    yield "figure_S1", figures.similarities(windows)
    yield "quarter", figures.share(out / SMALL, out / QUARTER)


def _numbers_and_page(out: Path, used: source.Source, options: PaperOptions) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    plates = []
    for name, (figure, told) in _drawn(out, used, options):
        picture = out / FIGURES / f"{name}.png"
        save_figure(figure, picture)
        found[name] = dict(told)
        said = (("The paper", lines.paper_says(name)), ("This run", lines.run_says(name, told)))
        plates.append(Plate(lines.TITLES[name], picture, said))
        log.info("%s", said[1][1])
    for name in (SMALL, LARGE):
        try:
            found[f"run, {name} windows"] = json.loads((out / name / "summary.json").read_text())
        except ValueError as error:
            raise FormatError(f"{out / name}: summary.json is damaged; run again with --overwrite") from error
    write_text(out / NUMBERS, json.dumps({"movie": used.about, **found}, indent=2))
    notes = [CITED, f"This run: {used.about}; every number is in {NUMBERS}.", *_remarks(options)]
    write_plates(out / "paper", TITLE, notes, plates)
    return found


def _remarks(options: PaperOptions) -> Iterator[str]:
    nm = f"{options.small_window_nm:g} and {options.large_window_nm:g} nm"
    yield (
        f"Windows of {nm}; preset {options.preset}. Angles are shown modulo 120°, the symmetry of a site with three "
        "bonds."
    )
    yield (
        "The second and third column of figure 5 are decoded over a grid of two latents, from the 5th to the 95th "
        "(rVAE: 2nd to 98th) percentile of each; the components in figure S1 are the GMM's means, and the decoded "
        "centroids of a mixture in the latents of VAE and rVAE (each mixture the likeliest of five starts). "
        f"Autoencoder and VAE were trained for {options.baseline_steps} steps on small windows, "
        f"{options.large_baseline_steps} on large ones."
    )
    if options.small:
        yield "A small trial: few frames and short trainings; the figures are not what a whole run gives."
