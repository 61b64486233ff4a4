"""The part of a specification that is about Ray: shorthands, flags over a file, paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from qa_eval.errors import InputError
from qa_eval.spec.load import build_spec, load_spec
from qa_eval.spec.ray import RaySpec


def test_without_it_there_is_no_ray_and_an_address_is_enough() -> None:
    assert build_spec({}).spec.ray is None
    assert build_spec({"ray": "none"}).spec.ray is None
    assert build_spec({"ray": "auto"}).spec.ray == RaySpec(address="auto")
    assert build_spec({"ray": {"wait": "5m"}}).spec.ray == RaySpec(wait=300.0)
    assert build_spec({"ray": RaySpec(address="auto")}).spec.ray == RaySpec(address="auto")


@pytest.mark.parametrize("written", ["local", "{ tasks: { num_gpus: 0.25 } }"])
def test_a_flag_changes_the_address_and_keeps_the_stages(written: str, tmp_path: Path) -> None:
    path = tmp_path / "qa-eval.yaml"
    path.write_text(f"ray: {written}\n")
    in_file = load_spec(path).spec.ray
    flagged = load_spec(path, {"ray": "auto"}).spec.ray
    assert in_file is not None
    assert in_file.address == "local"
    assert flagged == in_file.model_copy(update={"address": "auto"})
    assert load_spec(path, {"ray": "none"}).spec.ray is None


def test_a_working_directory_is_relative_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "qa-eval.yaml"
    for given, found in ((".", str(tmp_path.absolute())), ("s3://bucket/code.zip", "s3://bucket/code.zip")):
        path.write_text(f"ray: {{ runtime_env: {{ working_dir: '{given}' }} }}\n")
        spec = load_spec(path).spec.ray
        assert spec is not None
        assert spec.runtime_env["working_dir"] == found


def test_what_a_worker_reserves_is_named_as_ray_does() -> None:
    spec = RaySpec.model_validate({"tasks": {"num_cpus": 0, "num_gpus": 0.5, "resources": {"fast": 2}}})
    assert spec.tasks.required == {"GPU": 0.5, "fast": 2.0}
    assert spec.embed.required == {"CPU": 1.0}


@pytest.mark.parametrize(
    ("ray", "sentence"),
    [
        ({"tasks": {"workers": 0}}, "greater than or equal to 1"),
        ({"tasks": {"cpus": 1}}, r"there is no key `ray.tasks.cpus`: did you mean `num_cpus`\?"),
        ("ray://head:10001", "must be local, auto or HOST:PORT"),
    ],
)
def test_what_is_wrong_is_named(ray: object, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        build_spec({"ray": ray})
