"""What one system made of each question: the form in which runs, exports and predictions files are compared.

In: a run's entries, a dataset and predictions, or rows of an export. Out: `Observations`, keyed by example id, with
the repetitions of a question gathered and its scores averaged, so that a question counts once however often it was
asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from qa_eval.data.examples import Dataset, Example
from qa_eval.data.questions import question_type
from qa_eval.metrics import exact_match, f1
from qa_eval.metrics.definition import MetricDefinition
from qa_eval.metrics.registry import definition_of
from qa_eval.spec.metrics import MetricSpec
from qa_eval.spec.write import write_spec
from qa_eval.targets.outcome import Outcome

if TYPE_CHECKING:
    from qa_eval.experiment.answers import Answer
    from qa_eval.experiment.looks import EndedComparison
    from qa_eval.experiment.results import RunResult
    from qa_eval.experiment.summary import ExperimentResult


INCOMPLETE = "incomplete"
"""The key in a system's configuration that says that its run ended early."""
SPECIFICATION = "specification"
"""The key in a system's configuration with the whole specification of its run."""


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked, as far as it is known; an export need not hold the context."""

    id: str
    group: str
    """What it shares with others (an article, a customer): questions of one group are not independent."""
    text: str = ""
    context: str = ""
    references: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def type(self) -> str:
        """What it asks for: `who`, `when`, ...; empty where its words are not known."""
        return question_type(self.text) if self.text else ""


@dataclass(frozen=True, slots=True)
class ObservedAnswer:
    """What became of one asking; one for each repetition."""

    text: str
    outcome: Outcome = Outcome.ANSWERED
    message: str = ""
    latency_s: float | None = None
    cost_usd: float | None = None
    queued: bool = False
    """Whether a queue of ours was part of its latency, which then is not the system's own."""
    first_token_s: float | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """One question with all its answers."""

    question: Question
    answers: tuple[ObservedAnswer, ...]
    scores: Mapping[str, float]
    """By name, the mean over the repetitions; one without an answer counts 0."""

    @property
    def answered(self) -> float:
        """The share of the askings that gave an answer."""
        return fmean(answer.outcome.is_answer for answer in self.answers)

    @property
    def failed(self) -> float:
        """The share of the askings that gave neither an answer nor a block."""
        return fmean(not (answer.outcome.is_answer or answer.outcome.is_blocked) for answer in self.answers)

    @property
    def latencies(self) -> tuple[float, ...]:
        """Seconds of each asking that gave an answer, where they are known and no queue was part of them."""
        return tuple(each.latency_s for each in self._timed if each.latency_s is not None)

    @property
    def first_tokens(self) -> tuple[float, ...]:
        """Seconds to the first token, of the same askings."""
        return tuple(each.first_token_s for each in self._timed if each.first_token_s is not None)

    @property
    def queued(self) -> bool:
        """Whether an answer queued."""
        return any(answer.queued for answer in self.answers)

    @property
    def _timed(self) -> list[ObservedAnswer]:
        return [answer for answer in self.answers if answer.outcome.is_answer and not answer.queued]

    @property
    def cost_usd(self) -> float | None:
        """The mean cost of one asking; a failure of unknown cost is free. None where an answer's cost is unknown."""
        costs = [a.cost_usd if a.outcome.is_answer else a.cost_usd or 0.0 for a in self.answers]
        known = [cost for cost in costs if cost is not None]
        return fmean(known) if len(known) == len(costs) else None


@dataclass(frozen=True)
class Observations:
    """One system on its questions."""

    name: str
    items: Mapping[str, Observation]
    """By example id, in the order of the source."""
    similarity: str = ""
    """Which embedder scored the semantic similarity: scores of different ones are not compared."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """What is known of how the answers were made."""
    definitions: Mapping[str, MetricDefinition] = field(default_factory=dict)
    """What is known of its metrics, by name, in their order."""
    primary: tuple[str, ...] = ()
    """The metrics whose differences are tested, where they were chosen before."""
    origin: tuple[str, str] | None = None
    """The id of the run that it is of, and its name there."""
    ended: EndedComparison | None = None
    """How its run decided on it by looks, where it did."""

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return f"Observations({self.name!r}, {len(self)} questions, {', '.join(self.metrics) or 'no scores'})"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The scores that every question has."""
        first = next(iter(self.items.values()), None)
        names = first.scores if first else ()
        return tuple(name for name in names if all(name in item.scores for item in self.items.values()))

    @property
    def outcomes(self) -> Counter[str]:
        """How many askings ended in which way."""
        return Counter(str(answer.outcome) for item in self.items.values() for answer in item.answers)

    def only(self, ids: Iterable[str]) -> Observations:
        """The same system on some of its questions, in the order of `ids`."""
        return replace(self, items={each: self.items[each] for each in ids})


@dataclass(frozen=True, slots=True)
class ScoredAnswer:
    """One asking with its scores: what the sources give, before repetitions are gathered."""

    question: Question
    answer: ObservedAnswer
    scores: Mapping[str, float]


def gather(
    name: str,
    answers: Iterable[ScoredAnswer],
    *,
    similarity: str = "",
    config: Mapping[str, Any],
    definitions: Mapping[str, MetricDefinition],
    primary: tuple[str, ...] = (),
) -> Observations:
    """Bring the repetitions of each question together and average their scores."""
    by_id: dict[str, list[ScoredAnswer]] = {}
    for scored in answers:
        by_id.setdefault(scored.question.id, []).append(scored)
    items = {
        identifier: Observation(
            question=several[0].question,
            answers=tuple(each.answer for each in several),
            scores=_means([each.scores for each in several]),
        )
        for identifier, several in by_id.items()
    }
    return Observations(name, items, similarity, config, definitions, primary)


def _means(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Each metric's mean over the repetitions that have it."""
    names = dict.fromkeys(name for each in scores for name in each)
    return {name: fmean(each[name] for each in scores if name in each) for name in names}


def from_run(result: RunResult) -> list[Observations]:
    """The systems of a run: one a model, named by it."""
    return [from_experiment(experiment, result) for experiment in result.experiments]


def from_experiment(experiment: ExperimentResult, run: RunResult | None = None) -> Observations:
    """One system's answers; those that are not scored yet are left out."""
    facts: dict[str, Any] = {}
    if run is not None:
        facts = {
            "run": run.run_id,
            "name": run.metadata.spec.name,
            "dataset": run.dataset,
            "squad_version": run.version,
        }
        facts |= _course(experiment, run)
        planned = run.planned_of(experiment)
        if len(experiment.answers) < planned:
            facts[INCOMPLETE] = f"{len(experiment.answers):,} of {planned:,} questions asked"
    gathered = gather(
        experiment.system,
        (
            _scored(answer, queued=experiment.is_queued(answer))
            for answer in experiment.answers
            if answer.scored or answer.scores
        ),
        similarity="" if run is None else run.metadata.embedder,
        config={**facts, "model": experiment.model, **_described(experiment, run)},
        definitions=experiment.definitions,
        primary=() if run is None else run.metadata.primary,
    )
    if run is None:
        return gathered
    ended = next((each for each in run.ended if each.look.candidate == experiment.system), None)
    return replace(gathered, origin=(run.run_id, experiment.system), ended=ended)


def _course(experiment: ExperimentResult, run: RunResult) -> dict[str, str]:
    """How the run went: its pace, and what was decided early."""
    course = {}
    if run.pace.words:
        course["pace"] = run.pace.words
    if experiment.queued:
        course["left out of the latency"] = f"{experiment.queued:,} answers that queued"
    settled = next((look for look in run.settled if look.candidate == experiment.system), None)
    if settled is not None:
        course["decided early"] = f"{settled.decision_words}, look {settled.number}"
    return course


def _described(experiment: ExperimentResult, run: RunResult | None) -> dict[str, Any]:
    """The system's specification, and what holds for the whole run."""
    if run is None:
        return {}
    spec = run.metadata.spec
    system = next(system for system in spec.systems if system.name == experiment.system)
    described = {
        **system.model_dump(mode="json", exclude_defaults=True),
        "repeat": spec.repeat,
        "concurrency": spec.concurrency,
        "embedder": run.metadata.embedder,
        SPECIFICATION: write_spec(spec),
    }
    return {name: value for name, value in described.items() if name not in ("name", "model")}


def _scored(answer: Answer, *, queued: bool) -> ScoredAnswer:
    reply = answer.reply
    return ScoredAnswer(
        question_of(answer.example),
        ObservedAnswer(
            reply.text, reply.outcome, reply.message, reply.latency_s, reply.cost_usd, queued, reply.first_token_s
        ),
        {score.name: score.value for score in answer.scores if score.value is not None},
    )


def question_of(example: Example) -> Question:
    """A dataset's example, as comparisons know it."""
    return Question(example.id, example.group, example.question, example.context, example.references, example.metadata)


def known_definitions(names: Iterable[str]) -> dict[str, MetricDefinition]:
    """What is known of metrics of which only the names are; one that is not built in has no known range."""
    return {name: definition_of(MetricSpec(name=name)) for name in names}


def from_predictions(name: str, predictions: Mapping[str, str], dataset: Dataset) -> Observations:
    """A predictions file's answers with their official scores; a question without a prediction scores 0."""
    missing = ObservedAnswer("", Outcome.EMPTY, "there is no prediction")

    def asked(example: Example) -> ScoredAnswer:
        text = predictions.get(example.id)
        if text is None:
            return ScoredAnswer(question_of(example), missing, {"exact_match": 0.0, "f1": 0.0})
        scores = {
            "exact_match": exact_match(text, example.references, dataset.version),
            "f1": f1(text, example.references, dataset.version),
        }
        return ScoredAnswer(question_of(example), ObservedAnswer(text), scores)

    return gather(
        name,
        map(asked, dataset),
        config={"predictions": name, "dataset": dataset.name, "squad_version": dataset.version},
        definitions=known_definitions(("exact_match", "f1")),
    )
