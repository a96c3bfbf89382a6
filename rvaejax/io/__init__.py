"""Files in (movies, coordinates, sub-images) and files out (atoms, latents, maps)."""

from rvaejax.io.files import (
    atomic_path,
    check_output,
    check_output_file,
    check_source_survives,
    prepare_output,
    write_text,
)
from rvaejax.io.latents import (
    LatentRows,
    read_latents,
    read_latents_h5,
    write_latents,
    write_latents_h5,
)
from rvaejax.io.maps import read_maps, write_maps
from rvaejax.io.movies import read_movie
from rvaejax.io.raw import check_frame
from rvaejax.io.subimages import read_subimages, write_subimages
from rvaejax.io.tables import read_atoms, write_atoms

__all__ = [
    "LatentRows",
    "atomic_path",
    "check_frame",
    "check_output",
    "check_output_file",
    "check_source_survives",
    "prepare_output",
    "read_atoms",
    "read_latents",
    "read_latents_h5",
    "read_maps",
    "read_movie",
    "read_subimages",
    "write_atoms",
    "write_latents",
    "write_latents_h5",
    "write_maps",
    "write_subimages",
    "write_text",
]
