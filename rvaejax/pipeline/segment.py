"""Segmentation from file to file, as the command line offers it."""

from __future__ import annotations

from pathlib import Path

from rvaejax.atoms.config import LocalisationConfig
from rvaejax.atoms.localise import find_atoms
from rvaejax.io.files import check_output, check_source_survives, prepare_output
from rvaejax.io.maps import write_maps
from rvaejax.io.movies import read_movie
from rvaejax.io.tables import write_atoms
from rvaejax.plotting import frame_overview, probability_maps, save_figure
from rvaejax.plotting.maps import three_frames
from rvaejax.plotting.segmenter import disagreement_map
from rvaejax.segmentation.predict import segment
from rvaejax.segmentation.weights import load_segmenter
from rvaejax.types import Atoms


def segment_file(
    source: Path, out: Path, *, px_nm: float | None, threshold: float, segmenter: Path | None, overwrite: bool
) -> Atoms:
    """Probability maps, atoms and a picture of both into a folder; by the shipped segmenter unless given another."""
    check_output(out, overwrite)
    check_source_survives(source, out)
    config = LocalisationConfig(threshold=threshold)
    chosen = load_segmenter(segmenter)
    if segmenter is not None:
        check_source_survives(segmenter, out)
    movie = read_movie(source, pixel_size_nm=px_nm)
    maps = segment(movie, segmenter=chosen)
    atoms = find_atoms(maps, config=config)
    folder = prepare_output(out, overwrite)
    write_maps(folder / "maps.h5", maps)
    write_atoms(folder / "atoms.csv", atoms)
    for t in three_frames(atoms.frame):
        save_figure(frame_overview(movie.frames[t], atoms, t), folder / "figures" / f"frame_overview_frame{t}.png")
        drawn = probability_maps(maps.probabilities[t], maps.species, maps.pixel_size_nm)
        save_figure(drawn, folder / "figures" / f"probability_maps_frame{t}.png")
        if maps.uncertainty is not None:
            drawn = disagreement_map(maps.uncertainty[t], maps.pixel_size_nm)
            save_figure(drawn, folder / "figures" / f"disagreement_frame{t}.png")
    return atoms
