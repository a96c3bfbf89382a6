"""Communities of the bond graph: patches of atoms with many bonds inside and few between them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int


def communities(
    n: int, pairs: Int[np.ndarray, "b 2"], *, resolution: float = 1.0, seed: int = 0
) -> Int[np.ndarray, " n"]:
    r"""The patches that a bond graph falls into, by modularity, numbered from the largest.

    .. math:: Q = \frac{1}{2m} \sum_{ij} \Big(A_{ij} - \gamma \frac{k_i k_j}{2m}\Big) \delta(c_i, c_j)

    In a perfect sheet all cuts are alike, so where its patches end is arbitrary; borders that matter run along holes,
    necks and boundaries, where bonds are missing.

    Args:
        n: number of atoms.
        pairs: bonds.
        resolution: gamma; larger values give smaller patches.
        seed: of the order in which atoms are visited.

    Source: V. D. Blondel et al., J. Stat. Mech. P10008 (2008), as networkx has it.
    """
    import networkx as nx  # half a second to import

    graph = nx.Graph()
    graph.add_nodes_from(range(n))
    graph.add_edges_from(pairs.tolist())
    label = np.zeros(n, int)
    found = nx.community.louvain_communities(graph, resolution=resolution, seed=seed) if n else []
    for number, members in enumerate(sorted(found, key=lambda atoms: (-len(atoms), min(atoms)))):
        label[list(members)] = number
    return label
