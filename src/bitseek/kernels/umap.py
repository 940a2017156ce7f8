"""UMAP of umap-learn, whose compiled loops are kept on disk as ours are.

It compiles them anew in every process, which takes several seconds: longer than to place ten thousand codes. Every map
of a collection is made in a process of its own.
"""

from typing import Any


def load_umap() -> Any:
    """The class `umap.UMAP`.

    Raises:
        ImportError: umap-learn is not installed.
    """
    from umap import UMAP, layouts, umap_

    from bitseek.kernels import jit

    loops = (
        (umap_, "smooth_knn_dist"),
        (umap_, "compute_membership_strengths"),
        (layouts, "_nb_optimize_layout_euclidean_single_epoch"),  # the one that is taken where a seed is given
    )
    jit.keep(*(vars(module)[name] for module, name in loops if name in vars(module)))
    return UMAP
