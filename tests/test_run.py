"""The Python API as a notebook uses it: inside a running event loop, on the local stack."""

from __future__ import annotations

import asyncio

import pytest
from fake_gateway import KEY, Serve

import qa_eval
from qa_eval.aws import deployed
from qa_eval.errors import InputError
from qa_eval.stack import RunningStack


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "No gateway given. Use `local`"),
        ({"gateway": "http://127.0.0.1:9"}, "No Phoenix given. Use `phoenix`"),
        ({"local": True, "gateway": "http://127.0.0.1:9"}, "gives local and gateway"),
        ({"local": True, "temperature": 3.0}, "`temperature` must be less than or equal to 2, not `3.0`"),
        ({"local": True, "max_tokens": 0}, "`max_tokens` must be greater than or equal to 1, not `0`"),
        ({"local": True, "concurrency": 0}, "`concurrency` must be a positive integer or `auto`, not `0`"),
        ({"local": True, "max_errors": 2.0}, "`max_errors` must be less than or equal to 1"),
        ({"local": True, "prompts": "say {nothing}"}, "{nothing}, which no example has"),
        ({"local": True, "modles": ["qa"]}, "modles"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(arguments: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        qa_eval.run_experiment(**arguments)  # type: ignore[arg-type]


def test_it_runs_inside_a_running_event_loop(in_stack_folder: RunningStack) -> None:
    async def notebook() -> tuple[qa_eval.RunResult, qa_eval.RunResult]:
        dataset = await qa_eval.async_load_dataset("sample", examples=3)
        plain = qa_eval.run_experiment(dataset, models=["nova-micro"], local=True)
        awaited = await qa_eval.async_run_experiment(dataset, models=["nova-lite"], local=True)
        return plain, awaited

    for result, model in zip(asyncio.run(notebook()), ("nova-micro", "nova-lite"), strict=True):
        assert (result.experiments[0].system, result.experiments[0].model) == (model, model)
        assert len(result.to_pandas()) == 3
        assert model in repr(result)
        assert "<table>" in result._repr_html_()
        assert result.unrecorded == 0
    assert in_stack_folder.gateway_key not in repr(in_stack_folder)


def test_the_async_version_has_the_same_signature() -> None:
    import inspect

    plain, awaited = qa_eval.run_experiment, qa_eval.async_run_experiment
    assert inspect.signature(plain).parameters == inspect.signature(awaited).parameters


def test_servers_that_are_known_already_are_used_with_their_keys(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QA_EVAL_GATEWAY_KEY", "of another gateway")
    gateway = serve(lambda *_: "Paris")
    dataset = qa_eval.load_dataset("sample", examples=2)

    result = qa_eval.run_experiment(dataset, models=["qa"], servers=qa_eval.Servers(gateway.url, KEY))

    assert len(result.experiments[0].answers) == 2
    assert result.unrecorded == 0
    assert all(KEY in str(headers) for headers in gateway.headers)
    assert KEY.encode() not in result.journal.read_bytes()


def test_a_deployed_stack_is_found_by_its_name(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = serve(lambda *_: "Paris")
    found = deployed.DeployedStack("eu", gateway.url, "http://127.0.0.1:1", KEY, "a key")
    monkeypatch.setattr(deployed, "find", lambda name: found if name == "eu" else pytest.fail(name))
    dataset = qa_eval.load_dataset("sample", examples=3)

    result = qa_eval.run_experiment(dataset, stack="eu", record=False)

    assert result.metadata.spec.servers.stack == "eu"
    assert gateway.asked.total() == 3
    assert qa_eval.resume(result.run_id).experiments[0].answered == 3
    assert gateway.asked.total() == 3, "nothing is asked twice"
