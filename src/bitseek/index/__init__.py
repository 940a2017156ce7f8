"""Exact search in binary codes by Hamming distance.

HammingIndex                  the search: nearest, within, by logits, re-ranking; add, remove; save, open
Hits, RaggedHits, ScoredHits  what it finds
Explanation                   how it answers, and why
"""

from bitseek.index._hamming import HammingIndex
from bitseek.index._hits import Hits, RaggedHits, ScoredHits
from bitseek.index._planner import Explanation

__all__ = ["Explanation", "HammingIndex", "Hits", "RaggedHits", "ScoredHits"]
