"""Figures, each a function from records to a matplotlib `Figure` (no global state, no window needed)."""

from rvaejax.plotting.dynamics import angle_histogram, angle_over_time, atom_counts, content_over_time
from rvaejax.plotting.images import frame_overview, latent_manifold, probability_maps
from rvaejax.plotting.maps import real_space_maps
from rvaejax.plotting.order import order_over_time, traversal
from rvaejax.plotting.scan import scan_figure
from rvaejax.plotting.structure import grain_map, heat_map, ring_map
from rvaejax.plotting.style import save_figure
from rvaejax.plotting.tracks import trajectories, transition_matrix
from rvaejax.plotting.training import losses

__all__ = [
    "angle_histogram",
    "angle_over_time",
    "atom_counts",
    "content_over_time",
    "frame_overview",
    "grain_map",
    "heat_map",
    "latent_manifold",
    "losses",
    "order_over_time",
    "probability_maps",
    "real_space_maps",
    "ring_map",
    "save_figure",
    "scan_figure",
    "trajectories",
    "transition_matrix",
    "traversal",
]
