"""A specification from a file, flags and keywords: what it becomes, and where a mistake is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qa_eval.errors import InputError
from qa_eval.spec.load import build_spec, load_spec, override
from qa_eval.spec.model import ExperimentSpec
from qa_eval.spec.systems import resolve_systems

WHOLE = """
name: support-answers
dataset:
  path: questions.csv
  columns: { question: q, references: [answer, also_right], group: product }
  examples: 300
systems:
  - { name: haiku, model: claude-haiku }
  - { name: haiku-short, model: claude-haiku, prompt: prompts/short.txt, parameters: { top_p: 0.9 } }
  - { name: rag, task: "my_package.pipeline:answer" }
metrics: [em, f1, { python: "my_package.metrics:tone" }]
limits: { time: 30m, errors: 0.2 }
gate: { baseline: haiku, fail_on: ["f1 < -0.02"], require: ["em >= 0.8"] }
parameters: { seed: 7 }
servers: { gateway: "https://${GATEWAY_HOST}/llm" }
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "short.txt").write_text("Short: {question}\n")
    (tmp_path / "qa-eval.yaml").write_text(WHOLE)
    monkeypatch.setenv("GATEWAY_HOST", "llm.example.com")
    return tmp_path


def test_a_file_says_all_that_an_experiment_is(folder: Path) -> None:
    loaded = load_spec(folder / "qa-eval.yaml")
    spec = resolve_systems(loaded.spec)
    assert loaded.folder == folder
    assert spec.dataset.address == str(folder / "questions.csv")
    assert spec.dataset.columns is not None
    assert spec.dataset.columns.references == ("answer", "also_right")
    assert [system.name for system in spec.systems] == ["haiku", "haiku-short", "rag"]
    haiku, short, rag = spec.systems
    assert haiku.parameters.to_data() == {"temperature": 0.0, "max_tokens": 32, "seed": 7}
    assert short.parameters.to_data() == {"temperature": 0.0, "max_tokens": 32, "seed": 7, "top_p": 0.9}
    assert short.prompt is not None
    assert short.prompt.messages[0].content == "Short: {question}"
    assert (rag.task, rag.via) == ("my_package.pipeline:answer", None)
    assert [metric.name for metric in spec.metrics] == ["exact_match", "f1", "tone"]
    assert (spec.limits.time, spec.limits.errors) == (1800.0, 0.2)
    assert spec.servers.gateway == "https://llm.example.com/llm"


def test_flags_override_the_file(folder: Path) -> None:
    given = {"examples": "all", "max_time": "10", "parameters": ["top_p=0.5", "stop=END"], "metrics": ["brevity"]}
    spec = load_spec(folder / "qa-eval.yaml", given).spec
    assert (spec.dataset.examples, spec.dataset.columns is not None, spec.limits.time) == ("all", True, 10.0)
    assert spec.parameters.to_data() == {"seed": 7, "top_p": 0.5, "stop": "END"}
    assert [metric.name for metric in spec.metrics] == ["exact_match", "f1", "tone", "brevity"]
    assert len(spec.systems) == 3
    with pytest.raises(InputError, match=r"qa-eval\.yaml: The gate's baseline 'haiku' is not a system"):
        load_spec(folder / "qa-eval.yaml", {"models": ["nova-lite"]})


def test_models_and_prompts_are_a_matrix(folder: Path) -> None:
    (folder / "long.yaml").write_text("- {role: system, content: Be long.}\n- {role: user, content: '{question}'}\n")
    prompts = [folder / "prompts" / "short.txt", str(folder / "long.yaml")]
    spec = resolve_systems(build_spec({"models": ["a", "b", "a"], "prompts": prompts}).spec)
    assert [system.name for system in spec.systems] == ["a-short", "a-long", "b-short", "b-long"]
    assert [system.model for system in spec.systems] == ["a", "a", "b", "b"]
    one = resolve_systems(build_spec({"models": "a", "prompts": "In one word: {question}"}).spec)
    assert [system.name for system in one.systems] == ["a"]
    assert [system.name for system in resolve_systems(ExperimentSpec()).systems] == ["qa"]


def test_the_same_from_json_and_toml(folder: Path) -> None:
    (folder / "s.json").write_text(json.dumps({"models": ["a"], "limits": {"time": "2m"}, "dataset": "phoenix:mine"}))
    (folder / "s.toml").write_text('models = ["a"]\ndataset = "phoenix:mine"\n[limits]\ntime = "2m"\n')
    (folder / "s.yaml").write_text("models: [a]\ndataset: phoenix:mine\nlimits:\n  time: 2m\n")
    specs = [load_spec(folder / f"s.{ending}").spec for ending in ("json", "toml", "yaml")]
    assert specs[0] == specs[1] == specs[2]
    assert specs[0].dataset.address == "phoenix:mine"


def test_an_override_of_a_specification_leaves_the_rest(folder: Path) -> None:
    loaded = load_spec(folder / "qa-eval.yaml")
    assert override(loaded, {"max_cost": None}) is loaded
    changed = override(loaded, {"dataset": "sample", "repeat": 2}).spec
    assert (changed.dataset.address, changed.repeat, changed.name) == ("sample", 2, "support-answers")
    assert changed.systems == loaded.spec.systems


# Each: the file's name, its content, and what the one sentence says.
BROKEN = [
    ("a.yaml", "limits:\n  cost_usd: -3\n", "`limits.cost_usd` must be greater than 0, not `-3`"),
    ("a.yaml", "limits: {cost: 3}\n", "there is no key `limits.cost`: did you mean `cost_usd`?"),
    ("a.yaml", "sytems: []\n", "there is no key `sytems`: did you mean `systems`?"),
    (
        "a.yaml",
        "systems:\n  - {model: a, promt: x.txt}\n",
        "there is no key `systems[0].promt`: did you mean `prompt`?",
    ),
    ("a.yaml", "systems: [{name: x}]\n", "`systems[0]` needs a model or a task"),
    ("a.yaml", "systems: [{task: 'a:b', model: x}]\n", "`systems[0]` gives task and model"),
    ("a.yaml", "systems: [{task: 'a:b', parameters: {top_p: 1}}]\n", "`systems[0]` gives task and parameters"),
    ("a.yaml", "systems: [{model: a}]\nmodels: [b]\n", "the specification gives systems and models"),
    ("a.yaml", "dataset: {path: a.csv, hub: b/c}\n", "`dataset` gives path and hub: give one source"),
    ("a.yaml", "dataset: {path: a.csv, examples: none}\n", "`dataset.examples` must be a positive integer or `all`"),
    ("a.yaml", "dataset: {columns: question}\n", "`dataset.columns` must be like question=q,references=a+b"),
    ("a.yaml", "concurrency: 0\n", "`concurrency` must be a positive integer or `auto`, not `0`"),
    ("a.yaml", "limits: {time: soon}\n", "`limits.time` must be seconds, or a number with s, m or h"),
    ("a.yaml", "via: telephone\n", "`via` must be gateway, litellm, chatbot or lex:STACK, not `telephone`"),
    ("a.yaml", "parameters: {temperature: 3}\n", "`parameters.temperature` must be less than or equal to 2, not `3`"),
    ("a.yaml", "parameters: {messages: []}\n", "`parameters` cannot set `messages`, which qa-eval sets itself"),
    ("a.yaml", "similarity: bert\n", "`similarity` must be 'minilm', 'gateway' or 'sentence-transformers', not `bert`"),
    ("a.yaml", "name: results.json\n", "`name` must be letters, digits, spaces"),
    ("a.yaml", "metrics: [f1, f1]\n", "names the metric f1 twice"),
    ("a.yaml", "gate: {inconclusive: maybe}\n", "`gate.inconclusive` must be 'pass' or 'fail', not `maybe`"),
    ("a.yaml", "gate: {fail_on: [f1]}\n", "`gate.fail_on[0]` must be a rule like 'f1 < -0.02', not `f1`"),
    ("a.yaml", "gate: {baseline: b}\n", "The gate's baseline 'b' is not a system: name one of qa."),
    ("a.yaml", "systems: [{model: a}, {model: a}]\n", "Two systems are called 'a': give each a name of its own."),
    ("a.yaml", "servers: {local: true, gateway: 'http://x'}\n", "`servers` gives local and gateway"),
    ("a.yaml", "servers: {replay: x.json}\n", "`servers` gives replay without local"),
    ("a.yaml", "repeat: many\n", "`repeat` must be a whole number, not `many`"),
    (
        "a.yaml",
        "systems: [{model: a, prompt: nowhere.txt}]\n",
        "`systems[0].prompt`: The prompt file ",
    ),
    ("a.yaml", "systems: [{model: a, prompt: [{role: robot, content: x}]}]\n", "`systems[0].prompt.messages[0].role`"),
    ("a.yaml", "name: a\nname: b\n", "is not YAML: line 2: the key 'name' comes twice"),
    ("a.yaml", "name: [a\n", "is not YAML: line 2:"),
    ("a.yaml", "- a\n", "its top level must be keys with values"),
    ("a.yaml", "", "is empty: `qa-eval init` writes a specification"),
    ("a.yaml", "servers: {gateway: '${NOT_SET}'}\n", "`servers.gateway` uses ${NOT_SET}, which is not set"),
    (
        "a.yaml",
        "servers: {gateway: '${QA_EVAL_GATEWAY_KEY}'}\n",
        "`servers.gateway` uses ${QA_EVAL_GATEWAY_KEY}",
    ),
    ("a.json", '{"name": }', "is not JSON: line 1: Expecting value"),
    ("a.toml", "name = \n", "is not TOML: "),
    ("a.txt", "name: a\n", "is not a specification: give a file that ends in .yaml, .yml, .json or .toml"),
    ("a.yaml", b"\xff\xfe", "is not UTF-8 text: save it as UTF-8"),
]


@pytest.mark.parametrize(("name", "content", "sentence"), BROKEN)
def test_a_broken_file_is_one_sentence_with_the_place(
    name: str, content: str | bytes, sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        load_spec(path)
    message = str(caught.value)
    assert sentence in message
    assert message.startswith((str(path), "There is no specification"))
    assert len(message.splitlines()) == 1
    assert message.endswith((".", "?"))
    assert not any(word in message for word in ("Input should", "pydantic", "validation error", "literal["))


def test_a_file_that_is_not_there_and_one_that_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no specification .*nowhere\.yaml: check the path"):
        load_spec(tmp_path / "nowhere.yaml")
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        load_spec(tmp_path / "folder.yaml")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"max_cost": -3}, "`max_cost` must be greater than 0, not `-3`."),
        ({"parameters": ["top_p"]}, "`parameters` must be NAME=VALUE, not `top_p`."),
        ({"columns": "question"}, "`columns` must be like question=q,references=a+b,group=c, not `question`."),
        ({"modles": ["a"]}, "There is no setting 'modles': use `models`."),
        ({"metrics": ["not a name"]}, "`metrics` has the wrong form, not `not a name`."),
    ],
)
def test_a_wrong_setting_is_named_by_its_keyword(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        build_spec(given)
    assert str(caught.value) == sentence
