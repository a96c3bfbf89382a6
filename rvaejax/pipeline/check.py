"""The check of a trained rVAE: invariance, leakage, calibration and symmetry, from its folder to its folder."""

from __future__ import annotations

import functools
import json
import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jaxtyping import Integer

from rvaejax.analysis.circular import fold_angle
from rvaejax.analysis.invariance import DRAWN, INTERPOLATED, MOVED, QUARTERS, check_invariance, flattered
from rvaejax.analysis.selection import rows_of
from rvaejax.analysis.symmetry import content_energies, site_symmetry
from rvaejax.atoms.config import WindowConfig
from rvaejax.atoms.subimages import cut_subimages
from rvaejax.errors import ConfigError, ImageError, MissingFileError
from rvaejax.io.files import atomic_path, write_text
from rvaejax.io.latents import read_latents_h5
from rvaejax.io.maps import read_maps
from rvaejax.io.subimages import read_subimages
from rvaejax.io.tables import read_atoms
from rvaejax.pipeline.config import CheckConfig
from rvaejax.pipeline.resume import fingerprint
from rvaejax.report import write_report
from rvaejax.report.contents import CHECK
from rvaejax.rvae.inference import encode
from rvaejax.rvae.inputs import check_fits
from rvaejax.rvae.model import split_rows
from rvaejax.rvae.record import TrainedRVAE
from rvaejax.rvae.storage import load_model
from rvaejax.types import Atoms, Movie, SubImages

log = logging.getLogger(__name__)

FEWEST = 20  # sub-images that a check is worth anything with
ANGLES = "angles.csv"
NOTES = (
    "Quarter turns move pixels and change none. Interpolated copies and their references have blank corners, as a turn "
    "brings in what was never seen; what they show and copies drawn by the decoder do not is the interpolation's.",
    "Raw angle errors hold jumps between orientations that the site's symmetry makes equal.",
    "Copies share the noise of what they are copies of: error / angle_sd may be far below 1 where angle_sd is right; "
    "above 1, it is too small. The residuals know the noise, and how pixels share it; 1 is right. Training sets "
    "angle_sd by some of the sub-images that it holds out, so that other sub-images are the better test.",
    "Symmetry is that of what the decoder draws. Sites that it draws with more than their image has are averaged over "
    "orientations: the content does not say what is missing there, nor the angle where. Longer training may find it.",
    "R2 of about 0 (noise: down to -0.07) and no more information than with shuffled angles: nothing leaks.",
)


def check(run: Path, source: Path | None, config: CheckConfig) -> dict[str, Any]:
    """Checks a run's model, writes `check.json` and `angles.csv` into its folder and its report anew.

    Args:
        run: folder of a training or a run.
        source: SUBIMAGES.npz; None for those of the run.
        config: options.

    Raises:
        InputError: no model, no sub-images, or such as do not fit.
    """
    model = load_model(run)
    if not model.config.pose.rotation or model.config.target is not None:
        raise ConfigError(f"{run}: its rVAE finds no angle (pose, target): there is no invariance to check")
    subimages, own = (run_subimages(run), True) if source is None else (read_subimages(source), False)
    check_fits(model, subimages)
    if len(subimages) < FEWEST:
        raise ImageError(f"{source or run}: {len(subimages)} sub-images are too few to check with: at least {FEWEST}")
    own = own or _is_training_set(run, subimages)
    rows, held = judged_rows(model, len(subimages), config, own, shared_rows(run) if own else None)
    about = {"sub-images judged": len(rows), "of": len(subimages), "held out of the training": held}
    found = check_invariance(model, rows_of(subimages, rows), turns=config.turns, seed=config.seed)
    sections = {"about": {**about, "turns of each": config.turns, "seed": config.seed}, **found}
    write_angles(run / ANGLES, model, subimages)
    write_text(run / CHECK, json.dumps({**_plain(sections), "notes": list(NOTES)}, indent=2, allow_nan=False))
    write_report(run)
    return sections


def run_subimages(run: Path) -> SubImages:
    """The sub-images that a run was trained on: cut again, or read from the file that the training was given.

    Raises:
        MissingFileError: they are not to be had; the message says to name a file.
        ConfigError: the file has changed.
    """
    sections = yaml.safe_load((run / "config.yaml").read_text()) or {}
    if "run" in sections and sections["run"].get("source") in ("maps", "frames"):
        return _cut_again(run, sections["run"])
    training = sections.get("train", {})
    path = Path(training.get("subimages", ""))
    if not training.get("subimages") or not path.is_file():
        raise MissingFileError(f"{run}: the sub-images of its training are not there; name a file: check RUN FILE.npz")
    subimages = read_subimages(path)
    if fingerprint([subimages.images]) != training.get("checksum"):
        raise ConfigError(f"{path}: has changed since the training; name the sub-images: check RUN FILE.npz")
    return subimages


def shared_rows(run: Path) -> tuple[int, int] | None:
    """Where the sub-images of one of several movies stand in the training that all had in common, and its length."""
    shared = (yaml.safe_load((run / "config.yaml").read_text()) or {}).get("shared")
    return None if shared is None else (int(shared["first"]), int(shared["of"]))


def _cut_again(run: Path, options: Mapping[str, Any]) -> SubImages:
    """From the stored maps, or, where frames were cut, from the few frames that the run has kept."""
    atoms, window_nm, centres = read_atoms(run / "atoms.csv"), float(options["window_nm"]), WindowConfig().centres
    if options.get("centres", "atoms") != "atoms":  # the points are stored with their latents
        rows = read_latents_h5(run / "latents.h5")
        ones, centres = np.ones(len(rows.frame)), ()
        atoms = Atoms(rows.frame, rows.x, rows.y, rows.species, ones, 0 * ones, atoms.pixel_size_nm)
    px = options.get("window_px_nm")
    cut = functools.partial(cut_subimages, window_nm=window_nm, window_px_nm=px, centres=centres)
    if options["source"] == "maps":
        return cut(read_maps(run / "maps.h5"), atoms)
    with np.load(run / "frames.npz", allow_pickle=False) as kept:
        frames, index = kept["frames"], kept["index"]
    atoms = atoms.select(np.isin(atoms.frame, index))
    atoms = replace(atoms, frame=np.searchsorted(index, atoms.frame))
    return cut(Movie(frames, atoms.pixel_size_nm, name=str(run)), atoms)


def judged_rows(
    model: TrainedRVAE, n: int, config: CheckConfig, own: bool, shared: tuple[int, int] | None = None
) -> tuple[Integer[np.ndarray, " m"], bool]:
    """Rows that are judged, drawn from those held out of the training where these are known; and whether they are.

    `shared` is the first of the n rows in a training on several movies, and the number of all rows of that training.
    """
    first, total = (0, n) if shared is None else shared
    held = split_rows(total, model.config.training.holdout, model.seed)[1] if own else np.zeros(0, int)
    held = held[(held >= first) & (held < first + n)] - first
    known = len(held) >= FEWEST
    rows = held if known else np.arange(n)
    chosen = np.random.default_rng(config.seed).permutation(rows)[: config.rows]
    return np.sort(chosen), known


def write_angles(path: Path, model: TrainedRVAE, subimages: SubImages) -> None:
    """A row for each sub-image: angle raw and modulo the symmetry N that is drawn, and whether the image has it too."""
    latents = encode(model, subimages)
    symmetry = site_symmetry(content_energies(model, latents.content, latents.class_probability))
    folded = fold_angle(latents.angle.astype(np.float64), symmetry.fold)
    lacking = flattered(subimages.images, latents, symmetry).astype(int)
    columns = (latents.angle, latents.angle_sd, symmetry.fold, folded, symmetry.similarity, lacking)
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as handle:
        handle.write("row,angle_rad,angle_sd_rad,symmetry,angle_modulo_rad,similarity,image_lacks_it\n")
        for i, (angle, sd, n, modulo, share, lack) in enumerate(zip(*columns, strict=True)):
            handle.write(f"{i},{angle:.6f},{sd:.6f},{n},{modulo:.6f},{share:.4f},{lack}\n")


def table(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """The check as text: the copies side by side, the rest below one another."""
    kinds = [name for name in (QUARTERS, INTERPOLATED, DRAWN, MOVED) if name in sections]
    width = max(len(name) for part in sections.values() for name in part)
    lines = [" " * width + "".join(f"  {_short(kind):>12}" for kind in kinds)]
    for name in sections[kinds[0]]:
        lines.append(f"{name:<{width}}" + "".join(f"  {_number(sections[kind][name]):>12}" for kind in kinds))
    for part, values in sections.items():
        if part not in kinds:
            lines += ["", part, *(f"  {name:<{width}}  {_number(value)}" for name, value in values.items())]
    return "\n".join([*lines, "", *NOTES])


def _short(kind: str) -> str:
    return {INTERPOLATED: "interpolated", DRAWN: "drawn"}.get(kind, kind.replace("quarter turns", "quarters"))


def _number(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.2g}" if abs(value) < 0.1 else f"{value:.3g}"


def _plain(value: Any) -> Any:
    """Values that JSON has: five figures, null for what is not known."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value


def _is_training_set(run: Path, subimages: SubImages) -> bool:
    sections = yaml.safe_load((run / "config.yaml").read_text()) or {}
    checksum = sections.get("train", {}).get("checksum")
    return checksum is not None and checksum == fingerprint([subimages.images])
