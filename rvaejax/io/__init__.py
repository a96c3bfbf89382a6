"""Files in (movies, coordinates, sub-images) and files out (atoms, latents, maps); loaded when asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_LAZY = {
    "LatentRows": "latents",
    "atomic_path": "files",
    "check_frame": "raw",
    "check_output": "files",
    "check_output_file": "files",
    "check_source_survives": "files",
    "prepare_output": "files",
    "read_atoms": "tables",
    "read_latents": "latents",
    "read_latents_h5": "latents",
    "read_maps": "maps",
    "read_movie": "movies",
    "read_subimages": "subimages",
    "write_atoms": "tables",
    "write_latents": "latents",
    "write_latents_h5": "latents",
    "write_maps": "maps",
    "write_subimages": "subimages",
    "write_text": "files",
}
__all__ = [*_LAZY]  # noqa: PLE0604

if TYPE_CHECKING:
    from rvaejax.io.files import atomic_path as atomic_path
    from rvaejax.io.files import check_output as check_output
    from rvaejax.io.files import check_output_file as check_output_file
    from rvaejax.io.files import check_source_survives as check_source_survives
    from rvaejax.io.files import prepare_output as prepare_output
    from rvaejax.io.files import write_text as write_text
    from rvaejax.io.latents import LatentRows as LatentRows
    from rvaejax.io.latents import read_latents as read_latents
    from rvaejax.io.latents import read_latents_h5 as read_latents_h5
    from rvaejax.io.latents import write_latents as write_latents
    from rvaejax.io.latents import write_latents_h5 as write_latents_h5
    from rvaejax.io.maps import read_maps as read_maps
    from rvaejax.io.maps import write_maps as write_maps
    from rvaejax.io.movies import read_movie as read_movie
    from rvaejax.io.raw import check_frame as check_frame
    from rvaejax.io.subimages import read_subimages as read_subimages
    from rvaejax.io.subimages import write_subimages as write_subimages
    from rvaejax.io.tables import read_atoms as read_atoms
    from rvaejax.io.tables import write_atoms as write_atoms


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
