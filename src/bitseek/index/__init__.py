"""Exact search in binary codes by Hamming distance.

HammingIndex                  the search: nearest, within, by logits, re-ranking; add, remove; save, open
NestedIndex                   the same answers for nested codes, by their first bits
IndexWriter                   an index of any size, written to a folder as its codes come
Hits, RaggedHits, ScoredHits  what it finds
Explanation                   how it answers, and why
"""

from bitseek.index._arrays import ArrayFolder as ArrayFolder
from bitseek.index._hamming import HammingIndex
from bitseek.index._hits import Hits, RaggedHits, ScoredHits
from bitseek.index._nested import NestedIndex
from bitseek.index._planner import Explanation
from bitseek.index._planner import Plan as Plan
from bitseek.index._writer import IndexWriter

__all__ = ["Explanation", "HammingIndex", "Hits", "IndexWriter", "NestedIndex", "RaggedHits", "ScoredHits"]
