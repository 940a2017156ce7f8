"""Evaluation: a hasher, a protocol, one report."""

from bitseek.evaluation._evaluate import evaluate
from bitseek.evaluation._report import Ranking as Ranking
from bitseek.evaluation._report import Report
from bitseek.evaluation._report import figure_name as figure_name

__all__ = ["Report", "evaluate"]
