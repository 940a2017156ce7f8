"""Honest retrieval metrics: rankings to numbers that do not depend on the order of the database.

    histograms          codes and labels → how many items, and relevant ones, lie at each distance
    average_precision   those counts → average precision: expected over ties, best, worst; three denominators
    stable              average precision as a stable sort would give it, for comparison with others
    retrieval           all of it in one call, as a report
    curves              precision and recall at N, within a radius, and by radius
    instance            GLDv2 and revisited Oxford and Paris
    scores              the same for rankings by real numbers: asymmetric search, re-ranking
    intervals           confidence over queries and over seeds
    diagnostics         balance and correlation of bits, quantisation error, class distances, codeword accuracy

The formulas are in `docs/metrics.md`.
"""

from bitseek.metrics.average_precision import average_precision as average_precision
from bitseek.metrics.curves import Ball as Ball
from bitseek.metrics.curves import Curve as Curve
from bitseek.metrics.curves import hits_at as hits_at
from bitseek.metrics.curves import precision_at as precision_at
from bitseek.metrics.curves import precision_recall as precision_recall
from bitseek.metrics.curves import recall_at as recall_at
from bitseek.metrics.curves import within_radius as within_radius
from bitseek.metrics.diagnostics import ClassDistances as ClassDistances
from bitseek.metrics.diagnostics import bit_balance as bit_balance
from bitseek.metrics.diagnostics import bit_correlation as bit_correlation
from bitseek.metrics.diagnostics import class_distances as class_distances
from bitseek.metrics.diagnostics import codeword_accuracy as codeword_accuracy
from bitseek.metrics.diagnostics import pair_distances as pair_distances
from bitseek.metrics.diagnostics import quantisation_error as quantisation_error
from bitseek.metrics.histograms import Histograms as Histograms
from bitseek.metrics.histograms import histograms as histograms
from bitseek.metrics.histograms import histograms_of_lists as histograms_of_lists
from bitseek.metrics.instance import RevisitedReport as RevisitedReport
from bitseek.metrics.instance import landmarks as landmarks
from bitseek.metrics.instance import precision_to_last as precision_to_last
from bitseek.metrics.instance import revisited as revisited
from bitseek.metrics.instance import trapezoid as trapezoid
from bitseek.metrics.intervals import Interval as Interval
from bitseek.metrics.intervals import bootstrap as bootstrap
from bitseek.metrics.intervals import over_seeds as over_seeds
from bitseek.metrics.retrieval import RetrievalReport as RetrievalReport
from bitseek.metrics.retrieval import report_of as report_of
from bitseek.metrics.retrieval import retrieval as retrieval
from bitseek.metrics.scores import groups_by_score as groups_by_score
from bitseek.metrics.scores import reranked as reranked
from bitseek.metrics.scores import retrieval_by_score as retrieval_by_score
from bitseek.metrics.stable import stable_average_precision as stable_average_precision
