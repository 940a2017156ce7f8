"""Exact search and counting on a GPU, or on any device that torch has: the answers of the kernels, bit by bit.

DeviceScan           the scan behind `HammingIndex(codes, device="cuda")`
distance_histograms  the counts behind `histograms(…, device="cuda")`

    _chunks     the codes of a database on the device: they stay there if there is room, else they pass by
    _distances  Hamming distances through torch: products of ±1, or bit tricks on words
    _triton     distances and choice in one kernel, where Triton is installed
    _find       what is near enough in a piece of the codes, by either
    _scan       the k nearest, and all within a radius
    _memory     how much of a device there is to take
    _histogram  how many items lie at each distance

The packages below find this one by its name when a device is asked for (`bitseek.kernels.device`), as it needs torch.
"""

from bitseek.device._histogram import distance_histograms as distance_histograms
from bitseek.device._scan import DeviceScan

__all__ = ["DeviceScan"]
