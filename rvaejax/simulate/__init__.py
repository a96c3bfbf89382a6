"""Simulated specimens and images with known truth: graphene sheets, image formation, degradation, movies."""
