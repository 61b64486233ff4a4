"""Any specification survives writing and reading; the JSON Schema accepts what is written."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qa_eval.errors import InputError
from qa_eval.spec.load import load_spec
from qa_eval.spec.metrics import DEFAULT_METRICS
from qa_eval.spec.model import ExperimentSpec
from qa_eval.spec.schema import json_schema, packaged_schema, schema_text
from qa_eval.spec.starter import write_starter
from qa_eval.spec.systems import resolve_systems
from qa_eval.spec.write import write_spec

TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\x85\u2028\u2029"), max_size=20)
LINES = st.lists(TEXT, min_size=1, max_size=4).map("\n".join)
NAME = st.from_regex(r"[A-Za-z][\w-]{0,12}", fullmatch=True)
LINE = TEXT.map(str.strip).filter(lambda text: text and text.isprintable())
RULE = st.builds("{} {} {:.3f}".format, NAME, st.sampled_from(("<", ">=")), st.floats(-9, 9))
PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 2),
        "max_tokens": st.integers(1, 9999),
        "top_p": st.floats(0, 1),
        "stop": st.lists(TEXT, max_size=2),
        "response_format": st.dictionaries(NAME, TEXT, max_size=2),
    },
)
PROMPT = st.builds(
    lambda contents: [{"role": role, "content": text} for role, text in contents],
    st.lists(st.tuples(st.sampled_from(("system", "user", "assistant")), LINES), min_size=1, max_size=3),
)
SYSTEM = st.one_of(
    st.fixed_dictionaries(
        {"name": LINE, "model": NAME},
        optional={"prompt": PROMPT, "parameters": PARAMETERS, "via": st.sampled_from(("gateway", "chatbot", "lex:x"))},
    ),
    st.fixed_dictionaries({"name": LINE, "task": st.just("package.module:function")}),
)
RAY = {
    "address": st.sampled_from(("local", "auto")),
    "tasks": st.fixed_dictionaries({}, optional={"workers": st.integers(1, 99), "num_gpus": st.floats(0, 8)}),
    "embed": st.fixed_dictionaries({}, optional={"resources": st.dictionaries(NAME, st.floats(0, 9), max_size=2)}),
    "runtime_env": st.fixed_dictionaries({}, optional={"pip": st.lists(NAME, max_size=2)}),
    "environment": st.lists(st.sampled_from(("HOME", "PATH"))),
}
SPEC = st.fixed_dictionaries(
    {},
    optional={
        "name": NAME.filter(lambda name: name != "latest"),
        "dataset": st.one_of(
            st.sampled_from(("sample", "hub:org/name:config@main#test", "phoenix:mine@v1")),
            st.fixed_dictionaries(
                {"path": st.just("/data/questions.csv")},
                optional={
                    "columns": st.fixed_dictionaries({"question": LINE}, optional={"references": st.lists(LINE)}),
                    "examples": st.integers(1, 10**6) | st.just("all"),
                    "seed": st.integers(0, 2**40),
                    "stratify_by": LINE,
                },
            ),
        ),
        "systems": st.lists(SYSTEM, min_size=1, max_size=3, unique_by=lambda system: system["name"]),
        "metrics": st.lists(st.sampled_from(DEFAULT_METRICS), unique=True),
        "repeat": st.integers(1, 9),
        "concurrency": st.integers(1, 500) | st.just("auto"),
        "ray": st.sampled_from(("none", "auto", "10.0.0.5:6379")) | st.fixed_dictionaries({}, optional=RAY),
        "limits": st.fixed_dictionaries(
            {}, optional={"cost_usd": st.floats(0.01, 1e6), "time": st.floats(0.1, 1e6), "errors": st.floats(0, 1)}
        ),
        "gate": st.fixed_dictionaries({}, optional={"fail_on": st.lists(RULE), "require": st.lists(RULE)}),
        "recording": st.fixed_dictionaries({}, optional={"facts": st.booleans(), "phoenix": st.booleans()}),
    },
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SPEC)
def test_any_specification_survives_writing_and_reading(data: dict[str, Any]) -> None:
    """Feature: litellm-ecs-demo, Property: a resolved specification, written and read again, is the same one."""
    spec = resolve_systems(ExperimentSpec.model_validate(data))
    with tempfile.TemporaryDirectory() as folder:
        yaml, as_json = Path(folder) / "spec.yaml", Path(folder) / "spec.json"
        yaml.write_text(write_spec(spec), encoding="utf-8")
        as_json.write_text(json.dumps(spec.to_data()).replace("${", "$${"))
        assert resolve_systems(load_spec(yaml).spec) == spec
        assert resolve_systems(load_spec(as_json).spec) == spec
    jsonschema.validate(spec.to_data(), json_schema())


def test_the_package_ships_the_schema_of_its_models() -> None:
    assert packaged_schema().read_text() == schema_text()
    jsonschema.Draft202012Validator.check_schema(json_schema())


def test_the_schema_refuses_an_unknown_key() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"systms": []}, json_schema())


def test_the_starter_is_a_valid_specification_and_never_overwrites(tmp_path: Path) -> None:
    import yaml

    written = write_starter(tmp_path / "demo")
    names = [str(path.relative_to(tmp_path / "demo")) for path in written]
    assert names[0] == "qa-eval.yaml"
    assert set(names) == {
        "qa-eval.yaml",
        "questions.csv",
        "prompts/short.txt",
        "prompts/few-shot.yaml",
        "qa-eval.schema.json",
    }
    jsonschema.validate(yaml.safe_load(written[0].read_text()), json_schema())
    assert [system.name for system in load_spec(written[0]).spec.systems] == ["short", "few-shot"]
    with pytest.raises(InputError, match=r"qa-eval\.yaml exists already"):
        write_starter(tmp_path / "demo")
