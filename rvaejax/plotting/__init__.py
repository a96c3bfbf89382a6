"""Figures, each a function from records to a matplotlib `Figure` (no global state, no window needed)."""

from rvaejax.plotting.dynamics import angle_histogram, angle_over_time, atom_counts, content_over_time
from rvaejax.plotting.images import frame_overview, latent_manifold, probability_maps
from rvaejax.plotting.maps import real_space_maps
from rvaejax.plotting.scan import scan_figure
from rvaejax.plotting.style import save_figure
from rvaejax.plotting.training import losses

__all__ = [
    "angle_histogram",
    "angle_over_time",
    "atom_counts",
    "content_over_time",
    "frame_overview",
    "latent_manifold",
    "losses",
    "probability_maps",
    "real_space_maps",
    "save_figure",
    "scan_figure",
]
