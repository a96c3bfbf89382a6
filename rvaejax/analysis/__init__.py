"""Latents back to real space: manifold, orientations, scores against a known truth."""
