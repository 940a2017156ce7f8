"""Groups from pairs: which nodes belong together, when pairs that are near each other are linked.

Connected linkage: what is linked through any chain of pairs. Complete linkage: groups in which every two are a pair.
For the latter, clusters of a component are merged, the two nearest first by the distance of their farthest members,
while these are a pair (hierarchical clustering, by scipy). That takes m² memory for m nodes, so a component of more
than `MOST_CLUSTERED` nodes is grouped greedily: the first node that is left opens a group, and the others, nearest
first and then by number, join it if they are a pair with all in it. Either way no two groups could be made one.
"""

from typing import Literal

import numpy as np
from jaxtyping import Int32, Int64

Linkage = Literal["connected", "complete"]

Nodes = Int32[np.ndarray, " pairs"]
Labels = Int64[np.ndarray, " nodes"]

MOST_CLUSTERED = 4096
"""Nodes of a component up to which groups of complete linkage come from hierarchical clustering (67 MB)."""


def connected(nodes: int, a: Nodes, b: Nodes) -> Labels:
    """A number for each node, equal where nodes are linked through any chain of pairs (a[i], b[i])."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    _, labels = connected_components(coo_array((np.ones(len(a), np.int8), (a, b)), (nodes, nodes)), directed=False)
    found: np.ndarray = labels.astype(np.int64)
    return found


def complete(nodes: int, a: Nodes, b: Nodes, distances: Nodes) -> Labels:
    """A number for each node, equal only where every two are a pair (a[i], b[i]), which lies at distances[i]."""
    labels = connected(nodes, a, b)
    sizes, links = np.bincount(labels), np.bincount(labels[a], minlength=int(labels.max(initial=-1)) + 1)
    apart = np.flatnonzero(links < sizes * (sizes - 1) // 2)  # components that are not one group as they are
    by_node, by_pair = np.argsort(labels, kind="stable"), np.argsort(labels[a], kind="stable")
    first_node, first_pair = np.cumsum(sizes) - sizes, np.cumsum(links) - links
    number, place = len(sizes), np.empty(nodes, np.int64)
    for component in apart:
        members = by_node[first_node[component] :][: sizes[component]]
        pairs = by_pair[first_pair[component] :][: links[component]]
        place[members] = np.arange(len(members))
        inside = (len(members), place[a[pairs]], place[b[pairs]], distances[pairs])
        parts = _clustered(*inside) if len(members) <= MOST_CLUSTERED else _greedy(*inside)
        labels[members] = number + parts
        number += len(members)
    return np.unique(labels, return_inverse=True)[1]


def _clustered(nodes: int, a: np.ndarray, b: np.ndarray, distances: np.ndarray) -> Labels:
    """Hierarchical clustering; all that are no pair are equally far, since no cluster with two of them is asked for."""
    from scipy.cluster.hierarchy import fcluster, linkage

    farthest = float(distances.max())
    low, high = np.minimum(a, b), np.maximum(a, b)
    condensed = np.full(nodes * (nodes - 1) // 2, farthest + 1)
    condensed[nodes * low - low * (low + 1) // 2 + high - low - 1] = distances
    found: np.ndarray = fcluster(linkage(condensed, "complete"), farthest, "distance")
    return found.astype(np.int64)


def _greedy(nodes: int, a: np.ndarray, b: np.ndarray, distances: np.ndarray) -> Labels:
    """Groups one after the other; the time is that of looking at every pair twice."""
    rows, columns = np.concatenate([a, b]), np.concatenate([b, a])
    order = np.lexsort((columns, np.concatenate([distances, distances]), rows))
    neighbours = np.split(columns[order], np.cumsum(np.bincount(rows, minlength=nodes))[:-1])
    labels = np.full(nodes, -1, np.int64)
    near = np.zeros(nodes, np.bool_)
    for first in range(nodes):
        if labels[first] >= 0:
            continue
        labels[first] = first
        candidates = neighbours[first][labels[neighbours[first]] < 0]
        while len(candidates):
            joining, candidates = candidates[0], candidates[1:]
            labels[joining] = first
            near[neighbours[joining]] = True
            candidates = candidates[near[candidates]]
            near[neighbours[joining]] = False
    return labels
