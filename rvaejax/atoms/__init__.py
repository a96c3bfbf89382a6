"""Atoms read off probability maps, and the sub-images around them."""
