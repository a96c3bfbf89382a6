"""Geometry of a planar bond graph: bonds, rings, lattice orientation, order. NumPy and SciPy only."""
