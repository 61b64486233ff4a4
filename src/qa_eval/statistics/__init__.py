"""What scores allow to say: intervals, paired tests, and how many questions a claim needs.

In: scores (any real numbers: exact match, F1, seconds) and the group of each. Out: frozen dataclasses. Pure and
seeded: the same input gives the same output, in whatever order the groups come.

Questions of one group (an article, a customer, a product) share its vocabulary, its difficulty and its author, so
scores within a group are alike, and an interval that takes them for independent is too narrow. Here the group is what
is resampled, what is flipped, and what is counted (Miller, 2024, "Adding Error Bars to Evals", arXiv:2411.00640,
section 2.2).

Where the data cannot carry a statement, there is none: the interval's ends are None and `limit` says why.
"""

from qa_eval.statistics.agreement import Agreement, agreement
from qa_eval.statistics.corrections import holm
from qa_eval.statistics.estimates import MIN_GROUPS, Estimate, Limit
from qa_eval.statistics.intervals import RESAMPLES, mean_interval, share_interval
from qa_eval.statistics.misclassification import JudgeAccuracy, corrected_mean, exact_interval
from qa_eval.statistics.paired import PairedDifference, offset_p_value, paired_difference
from qa_eval.statistics.planning import SampleSize, examples_needed, minimum_detectable_difference
from qa_eval.statistics.prediction_powered import MIN_LABELS, prediction_powered_mean
from qa_eval.statistics.quantiles import Sample, quantile, quantile_difference, quantile_interval
from qa_eval.statistics.sequential import Decision, Look, SequentialDesign, planned_looks

ALPHA = 0.05
"""Error rate of every test and interval here, unless another is given."""

__all__ = [
    "ALPHA",
    "MIN_GROUPS",
    "MIN_LABELS",
    "RESAMPLES",
    "Agreement",
    "Decision",
    "Estimate",
    "JudgeAccuracy",
    "Limit",
    "Look",
    "PairedDifference",
    "Sample",
    "SampleSize",
    "SequentialDesign",
    "agreement",
    "corrected_mean",
    "exact_interval",
    "examples_needed",
    "holm",
    "mean_interval",
    "minimum_detectable_difference",
    "offset_p_value",
    "paired_difference",
    "planned_looks",
    "prediction_powered_mean",
    "quantile",
    "quantile_difference",
    "quantile_interval",
    "share_interval",
]
