"""How far each judge of a run can be trusted, by planted answers: what is asked about, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qa_eval.experiment.answers import Answer, JudgeCall
from qa_eval.experiment.functions import find_judges
from qa_eval.experiment.labels import Label, settled
from qa_eval.experiment.plan import Plan
from qa_eval.metrics.judges import Judge, PreferenceJudge, family
from qa_eval.metrics.planted import Planted, can_be_planted, planted_answers, says_right

if TYPE_CHECKING:
    from qa_eval.statistics import Agreement, JudgeAccuracy


@dataclass(frozen=True)
class JudgeReport:
    """One judge of a run: what it took, what failed, and how far it can be trusted."""

    metric: str
    model: str
    calls: int
    cost_usd: float | None
    failures: Mapping[str, int]
    """Calls without a judgement, by the name of the failure."""
    accuracy: JudgeAccuracy | None
    """On planted answers; None where there are none."""
    warning: str | None = None
    """Why its scores may be biased."""
    labels: Mapping[int, float] = field(default_factory=dict)
    """What people's labels are worth, by the answer's number in the journal."""
    agreement: Agreement | None = None
    """The judge's labels beside people's; None where there are none."""

    def to_json(self) -> dict[str, Any]:
        """Its part of the JSON document."""
        return {
            "metric": self.metric,
            "model": self.model,
            "calls": self.calls,
            "cost_usd": self.cost_usd,
            "failures": dict(self.failures),
            "accuracy": None if self.accuracy is None else self.accuracy.to_json(),
            "warning": self.warning,
            "labels": len(self.labels),
            "agreement": None if self.agreement is None else self.agreement.to_json(),
        }


def plant(judges: Sequence[Judge | PreferenceJudge], plan: Plan) -> dict[str, list[Planted]]:
    """The planted answers of each judge that can be measured with them, by the judge's name."""
    most = plan.spec.judges.planted
    return {
        judge.name: planted_answers(judge, plan.dataset.examples, most)
        for judge in judges
        if most and isinstance(judge, Judge) and can_be_planted(judge)
    }


def judge_reports(
    plan: Plan, answers: Sequence[Answer], calls: Sequence[JudgeCall], labels: Sequence[Label]
) -> tuple[JudgeReport, ...]:
    """What is known of the judges of a run.

    Args:
        plan: The run.
        answers: All its answers.
        calls: All calls of its judges.
        labels: What people say of the answers.
    """
    judges = find_judges(plan.spec, plan.dataset.fields)
    planted = plant(judges, plan)
    by_key = {call.key: call for call in calls}
    return tuple(_report(plan, judge, planted.get(judge.name, ()), answers, by_key, labels) for judge in judges)


def _report(
    plan: Plan,
    judge: Judge | PreferenceJudge,
    planted: Sequence[Planted],
    answers: Sequence[Answer],
    calls: Mapping[str, JudgeCall],
    labels: Sequence[Label],
) -> JudgeReport:
    own = [call for call in calls.values() if call.metric == judge.name]
    costs = [call.reply.cost_usd for call in own if call.reply.cost_usd is not None]
    return JudgeReport(
        metric=judge.name,
        model=judge.model,
        calls=len(own),
        cost_usd=sum(costs) if costs else None,
        failures=Counter(call.failure.partition(":")[0] for call in own if call.failure is not None),
        accuracy=_accuracy(judge, planted, calls) if isinstance(judge, Judge) else None,
        warning=warning_of(plan, judge),
        **(_by_people(judge, answers, settled(labels, judge.name)) if isinstance(judge, Judge) else {}),
    )


def _by_people(judge: Judge, answers: Sequence[Answer], labels: Mapping[int, str]) -> dict[str, Any]:
    """People's labels of judged answers, and how far the judge agrees with them."""
    from qa_eval.statistics import agreement

    both = [
        (answer.seq, str(score.label), labels[answer.seq])
        for answer in answers
        if answer.seq in labels and (score := answer.find_score(judge.name)) is not None and score.value is not None
    ]
    if not both:
        return {}
    numbers, judged, people = zip(*both, strict=True)
    values = {number: judge.rubric.choices[label] for number, label in zip(numbers, people, strict=True)}
    return {"labels": values, "agreement": agreement(judged, people)}


def _accuracy(judge: Judge, planted: Sequence[Planted], calls: Mapping[str, JudgeCall]) -> JudgeAccuracy | None:
    from qa_eval.statistics import JudgeAccuracy

    decided: Counter[tuple[bool, bool]] = Counter()
    for each in planted:
        call = calls.get(each.request.key)
        if call is not None and call.failure is None:
            label = judge.score(call.reply.text).label
            decided[each.is_right, says_right(judge, str(label))] += 1
    if not decided:
        return None
    return JudgeAccuracy(
        right=decided[True, True] + decided[True, False],
        said_right=decided[True, True],
        wrong=decided[False, True] + decided[False, False],
        said_wrong=decided[False, False],
    )


LOCAL_STAND_IN = (
    "the local stack has no model that can judge: a stand-in decides by containment of words, and its scores are no "
    "judgements"
)


def warning_of(plan: Plan, judge: Judge | PreferenceJudge) -> str | None:
    """Why a judge's scores may be biased, or mean nothing; None where nothing is known against them."""
    return LOCAL_STAND_IN if plan.spec.servers.local else kinship(plan, judge)


def kinship(plan: Plan, judge: Judge | PreferenceJudge) -> str | None:
    """A warning where a judge's model, or one of its family, is among the systems."""
    for system in plan.metadata.systems:
        if system.model == judge.model:
            return f"{judge.model} judges its own answers ({system.name}): a judge prefers its own"
    own = family([judge.model])
    alike = [str(s.name) for s in plan.metadata.systems if s.model and own and family([s.model]) == own]
    if not alike:
        return None
    return f"{judge.model} judges answers of its own family ({', '.join(alike)}): a judge prefers its own"
