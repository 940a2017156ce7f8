"""Exact search in binary codes by Hamming distance.

HammingIndex  the search: nearest, within, by logits, re-ranking; add, remove; save, open
Hits, RaggedHits, ScoredHits  what it answers
"""

from bitseek.index.hamming import HammingIndex
from bitseek.index.hits import Hits, RaggedHits, ScoredHits
from bitseek.index.planner import Choice, Explanation

__all__ = ["Choice", "Explanation", "HammingIndex", "Hits", "RaggedHits", "ScoredHits"]
