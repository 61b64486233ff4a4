"""Exact Match and F1, exactly as the official SQuAD scripts compute them.

In: a prediction and its references, or a predictions file's content and the examples. Out: floats in 0..1 for one
answer, percentages for a dataset. Sources: `evaluate-v1.1.py` (Rajpurkar et al., 2016, arXiv:1606.05250) and
`evaluate-v2.0.py` (Rajpurkar et al., 2018, arXiv:1806.03822) from the SQuAD site.

Both scripts normalise a text in this order: lower case, delete the 32 characters of `string.punctuation`, replace
the words `a`, `an` and `the` by a space, split on whitespace. They differ where nothing is left:

    both texts normalise to nothing        v1.1: exact match 1 and F1 0     v2.0: 1 and 1
    a reference normalises to nothing      v1.1: kept                       v2.0: dropped
    no references (left)                   v1.1: an error                   v2.0: the question has no answer
    an id that comes twice                 v1.1: counted twice              v2.0: the last one counts
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from qa_eval.errors import DatasetError, InputError

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
# References repeat within an example and from one model's answer to the next; longer texts hardly ever do, and
# would make the size of the cache depend on the length of answers.
_CACHED_TEXTS = 8_192
_CACHED_LENGTH = 200

_Tokens = tuple[str, ...]


class ScoredExample(Protocol):
    """What scoring needs to know of an example."""

    @property
    def id(self) -> str:
        """The key of its prediction."""

    @property
    def references(self) -> tuple[str, ...]:
        """Accepted answers; none where the question has no answer (v2.0)."""


@dataclass(frozen=True, slots=True)
class GroupScores:
    """The official totals of a part of the dataset, in percent."""

    exact_match: float
    f1: float
    total: int
    """Questions in it."""


@dataclass(frozen=True, slots=True)
class SquadScores:
    """The official totals of a predictions file, in percent (0..100)."""

    version: str
    exact_match: float
    f1: float
    total: int
    """Questions scored: those without a prediction too, as 0."""
    missing: tuple[str, ...]
    """Ids without a prediction, in the dataset's order."""
    has_answer: GroupScores | None = None
    """v2.0: the questions with an answer (`HasAns_*`); None where there are none, as in the script."""
    no_answer: GroupScores | None = None
    """v2.0: the questions without one (`NoAns_*`); None where there are none."""

    def to_dict(self) -> dict[str, float | int]:
        """The numbers under the script's names; v2.0's `exact` of all questions is called `exact_match` too."""
        numbers: dict[str, float | int] = {"exact_match": self.exact_match, "f1": self.f1, "total": self.total}
        for prefix, group in (("HasAns", self.has_answer), ("NoAns", self.no_answer)):
            if group is not None:
                numbers[f"{prefix}_exact"] = group.exact_match
                numbers[f"{prefix}_f1"] = group.f1
                numbers[f"{prefix}_total"] = group.total
        return numbers


def exact_match(prediction: str, references: Sequence[str], version: str = "1.1") -> float:
    """Whether the prediction equals a reference after normalisation: 1.0 or 0.0.

    `version` is the official script to follow, "1.1" or "2.0". Without references v2.0 compares with the empty
    answer; v1.1 has no such questions.

    Raises:
        InputError: for another version, and for v1.1 without references.

    Source: `exact_match_score` (evaluate-v1.1.py), `compute_exact` (evaluate-v2.0.py).
    """
    return float(normalised_tokens(prediction) in _targets(references, version))


def f1(prediction: str, references: Sequence[str], version: str = "1.1") -> float:
    """The best F1 (0..1) of the prediction's normalised tokens against those of a reference, as multisets.

    Arguments and errors are those of `exact_match`.

    Source: `f1_score` (evaluate-v1.1.py), `compute_f1` (evaluate-v2.0.py).
    """
    return _best_f1(normalised_tokens(prediction), _targets(references, version), version)


def score_predictions(
    predictions: Mapping[str, str], examples: Iterable[ScoredExample], version: str = "1.1"
) -> SquadScores:
    """The official totals of a predictions file (`{id: text}`) over a dataset.

    A question without a prediction counts 0 and is named in `missing` (v1.1 does the same; the v2.0 script stops
    there). Predictions for other ids are ignored.

    Raises:
        DatasetError: there are no examples, or v1.1 meets a question without references.
        InputError: for another version, and for a prediction that is not a text.

    Source: `evaluate` (evaluate-v1.1.py), `get_raw_scores` and `make_eval_dict` (evaluate-v2.0.py).
    """
    scored: dict[tuple[str, int], _Score] = {}
    missing: dict[str, None] = {}
    for position, example in enumerate(examples):
        score = _score(predictions, example, version)
        # An id that comes twice has two places in v1.1's totals and one in v2.0's.
        scored[example.id, position if version == "1.1" else 0] = score
        if score.missing:
            missing[example.id] = None
    if not scored:
        raise DatasetError("There is nothing to score: the dataset has no examples.")
    everything = _total(list(scored.values()))
    of_version_2 = version == "2.0"
    return SquadScores(
        version,
        everything.exact_match,
        everything.f1,
        everything.total,
        tuple(missing),
        _group([score for score in scored.values() if score.has_answer]) if of_version_2 else None,
        _group([score for score in scored.values() if not score.has_answer]) if of_version_2 else None,
    )


@dataclass(frozen=True, slots=True)
class _Score:
    exact_match: int
    f1: float
    has_answer: bool
    missing: bool


def _score(predictions: Mapping[str, str], example: ScoredExample, version: str) -> _Score:
    prediction = predictions.get(example.id, "")
    if not isinstance(prediction, str):
        raise InputError(f"The prediction for {example.id} is {prediction!r}: give a text for each id.")
    has_answer = bool(example.references)
    if example.id not in predictions:
        return _Score(0, 0.0, has_answer, True)
    if not has_answer and version == "1.1":
        raise DatasetError(f"Example {example.id} has no references: score this dataset as SQuAD v2.0.")
    tokens, targets = normalised_tokens(prediction), _targets(example.references, version)
    return _Score(int(tokens in targets), _best_f1(tokens, targets, version), has_answer, False)


def _group(scores: Sequence[_Score]) -> GroupScores | None:
    return _total(scores) if scores else None


def _total(scores: Sequence[_Score]) -> GroupScores:
    """100 x sum / total, with the scripts' own arithmetic."""
    exact_matches, f1_sum = 0, 0.0
    for score in scores:
        exact_matches += score.exact_match
        # Not `sum`: since Python 3.12 it compensates rounding, and the published totals did not.
        f1_sum += score.f1
    return GroupScores(100.0 * exact_matches / len(scores), 100.0 * f1_sum / len(scores), len(scores))


def normalised_tokens(text: str) -> _Tokens:
    """The tokens that are left of a text after the official normalisation (see above)."""
    return _normalise_cached(text) if len(text) <= _CACHED_LENGTH else _normalise_now(text)


def _normalise_now(text: str) -> _Tokens:
    """The tokens of the normalised text. Two texts are equal after normalisation when their tokens are."""
    return tuple(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


_normalise_cached = lru_cache(maxsize=_CACHED_TEXTS)(_normalise_now)


def _targets(references: Sequence[str], version: str) -> set[_Tokens]:
    """The different normalised references that the version's script compares with."""
    if isinstance(references, str):
        raise InputError("References are a list of texts, and one text was given: put it in a list.")
    targets = {normalised_tokens(reference) for reference in references}
    if version == "2.0":
        targets.discard(())
        return targets or {()}
    if version != "1.1":
        raise InputError(f"There is no SQuAD version {version!r}: give '1.1' or '2.0'.")
    if not targets:
        raise InputError("SQuAD v1.1 needs at least one reference: score questions without an answer as '2.0'.")
    return targets


def _best_f1(tokens: _Tokens, targets: set[_Tokens], version: str) -> float:
    if not tokens:
        return float(version == "2.0" and tokens in targets)
    if tokens in targets:
        return 1.0
    return max(_f1(tokens, target) for target in targets)


def _f1(tokens: _Tokens, target: _Tokens) -> float:
    if set(tokens).isdisjoint(target):
        return 0.0
    overlap = (Counter(tokens) & Counter(target)).total()
    precision = overlap / len(tokens)
    recall = overlap / len(target)
    return (2 * precision * recall) / (precision + recall)
