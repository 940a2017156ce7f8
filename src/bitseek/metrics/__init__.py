"""Honest retrieval metrics: rankings to numbers that do not depend on the order of the database.

    Relevance             what is relevant to which query, by labels or by lists; what is left out of its ranking
    retrieval             codes → mean average precision with its bounds, precision and recall: `Retrieval`
    retrieval_by_scores   the same for rankings by real numbers; `reranked` makes such a ranking
    histograms, measure   the two halves of `retrieval`: codes → counts by distance → `Retrieval`
    average_precision, precision_at, recall_at, within_radius, precision_recall, trapezoid, precision_to_last
                          single metrics of those counts
    bootstrap, over_seeds confidence over queries and over runs
    bit_balance, bit_correlation, quantisation_error, class_distances, pair_distances, codeword_accuracy
                          what codes look like from inside

The formulas are in `docs/metrics.md`.
"""

from bitseek.metrics._average_precision import Denominator as Denominator
from bitseek.metrics._average_precision import average_precision
from bitseek.metrics._confidence import Interval as Interval
from bitseek.metrics._confidence import bootstrap, over_seeds
from bitseek.metrics._diagnostics import ClassDistances as ClassDistances
from bitseek.metrics._diagnostics import bit_balance, bit_correlation, class_distances, quantisation_error
from bitseek.metrics._diagnostics import codeword_accuracy as codeword_accuracy
from bitseek.metrics._diagnostics import pair_distances as pair_distances
from bitseek.metrics._groups import Ties as Ties
from bitseek.metrics._histograms import Histograms as Histograms
from bitseek.metrics._histograms import histograms
from bitseek.metrics._histograms import stable_average_precision as stable_average_precision
from bitseek.metrics._precision import precision_at, precision_recall, recall_at, within_radius
from bitseek.metrics._relevance import Relevance
from bitseek.metrics._retrieval import NoHit as NoHit
from bitseek.metrics._retrieval import Retrieval, measure, retrieval
from bitseek.metrics._retrieval import plain as plain
from bitseek.metrics._revisited import precision_to_last as precision_to_last
from bitseek.metrics._revisited import trapezoid as trapezoid
from bitseek.metrics._scores import reranked as reranked
from bitseek.metrics._scores import retrieval_by_scores

__all__ = [
    "Relevance",
    "Retrieval",
    "average_precision",
    "bit_balance",
    "bit_correlation",
    "bootstrap",
    "class_distances",
    "histograms",
    "measure",
    "over_seeds",
    "precision_at",
    "precision_recall",
    "quantisation_error",
    "recall_at",
    "retrieval",
    "retrieval_by_scores",
    "within_radius",
]
