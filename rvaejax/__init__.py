"""rvaejax: from a movie of atoms to what each neighbourhood is, how it is turned, and how both change with time.

    import rvaejax as rx
    movie = rx.read_movie("movie.tif", pixel_size_nm=0.016)
    maps = rx.segment(movie)
    atoms = rx.find_atoms(maps)
    subimages = rx.cut_subimages(maps, atoms, window_nm=0.4)
    model = rx.train(subimages, preset="amortised", seed=0)  # "default": of images
    latents = rx.encode(model, subimages)

Names are loaded when first used, so that importing the package is instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Atoms": "rvaejax.types",
    "InputError": "rvaejax.errors",
    "Latents": "rvaejax.types",
    "Maps": "rvaejax.types",
    "Movie": "rvaejax.types",
    "MovieConfig": "rvaejax.simulate.config",
    "SubImages": "rvaejax.types",
    "cut_subimages": "rvaejax.atoms.subimages",
    "decode": "rvaejax.rvae.inference",
    "encode": "rvaejax.rvae.inference",
    "find_atoms": "rvaejax.atoms.localise",
    "load_model": "rvaejax.rvae.storage",
    "load_segmenter": "rvaejax.segmentation.weights",
    "posterior": "rvaejax.rvae.posterior.sampling",
    "preset": "rvaejax.rvae.config",
    "read_movie": "rvaejax.io.movies",
    "read_subimages": "rvaejax.io.subimages",
    "save_model": "rvaejax.rvae.storage",
    "segment": "rvaejax.segmentation.predict",
    "simulate_movie": "rvaejax.simulate.movie",
    "Tracks": "rvaejax.types",
    "track_atoms": "rvaejax.atoms.tracking",
    "use_every_core": "rvaejax.training.cores",
    "train": "rvaejax.rvae.model",
    "write_atoms": "rvaejax.io.tables",
    "write_latents": "rvaejax.io.latents",
    "write_subimages": "rvaejax.io.subimages",
}
__all__ = ["__version__", *_HOME]  # noqa: PLE0604

if TYPE_CHECKING:
    from rvaejax.atoms.localise import find_atoms as find_atoms
    from rvaejax.atoms.subimages import cut_subimages as cut_subimages
    from rvaejax.atoms.tracking import track_atoms as track_atoms
    from rvaejax.errors import InputError as InputError
    from rvaejax.io.latents import write_latents as write_latents
    from rvaejax.io.movies import read_movie as read_movie
    from rvaejax.io.subimages import read_subimages as read_subimages
    from rvaejax.io.subimages import write_subimages as write_subimages
    from rvaejax.io.tables import write_atoms as write_atoms
    from rvaejax.rvae.config import preset as preset
    from rvaejax.rvae.inference import decode as decode
    from rvaejax.rvae.inference import encode as encode
    from rvaejax.rvae.model import train as train
    from rvaejax.rvae.posterior.sampling import posterior as posterior
    from rvaejax.rvae.storage import load_model as load_model
    from rvaejax.rvae.storage import save_model as save_model
    from rvaejax.segmentation.predict import segment as segment
    from rvaejax.segmentation.weights import load_segmenter as load_segmenter
    from rvaejax.simulate.config import MovieConfig as MovieConfig
    from rvaejax.simulate.movie import simulate_movie as simulate_movie
    from rvaejax.training.cores import use_every_core as use_every_core
    from rvaejax.types import (
        Atoms as Atoms,
    )
    from rvaejax.types import (
        Latents as Latents,
    )
    from rvaejax.types import (
        Maps as Maps,
    )
    from rvaejax.types import (
        Movie as Movie,
    )
    from rvaejax.types import (
        SubImages as SubImages,
    )
    from rvaejax.types import (
        Tracks as Tracks,
    )


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rvaejax' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
