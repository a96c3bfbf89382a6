"""Graphene under the electron beam: a kinetic Monte Carlo on the sheet's bond graph, positions from its springs."""
