"""A specification's file as plain data: YAML, JSON or TOML, with environment variables in place."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from qa_eval.errors import InputError

_VARIABLE = re.compile(r"\$?\$\{(\w+)\}")
_SECRET = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD)$", re.IGNORECASE)


def read_data(path: Path) -> dict[str, Any]:
    """The content of a specification's file.

    Raises:
        InputError: It cannot be read, is not a mapping, or names an environment variable that cannot be used.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path} is not a specification: give a file that ends in .yaml, .yml, .json or .toml.")
    try:
        data = reader(path.read_text(encoding="utf-8"), path)
    except FileNotFoundError:
        raise InputError(
            f"There is no specification {path}: check the path, or make one with `qa-eval init`."
        ) from None
    except OSError as error:
        raise InputError(f"The specification {path} cannot be read ({error.strerror}): check the path.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text: save it as UTF-8.") from None
    if data is None:
        raise InputError(f"{path} is empty: `qa-eval init` writes a specification to start from.")
    if not isinstance(data, dict):
        raise InputError(f"{path} is not a specification: its top level must be keys with values.")
    return {str(key): _substituted(value, path, str(key)) for key, value in data.items()}


class _Loader(yaml.SafeLoader):
    """YAML whose mappings have each key once."""


def _construct_mapping(loader: _Loader, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if isinstance(key, dict | list):
            raise yaml.constructor.ConstructorError(None, None, "a key must be plain text", key_node.start_mark)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} comes twice", key_node.start_mark)
        seen.add(key)
    return yaml.SafeLoader.construct_mapping(loader, node, deep)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_mapping)


def _yaml(text: str, path: Path) -> Any:
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}:" if error.problem_mark else ""
        raise InputError(f"{path} is not YAML:{line} {error.problem}.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not YAML: {str(error).splitlines()[0]}.") from None


def _json(text: str, path: Path) -> Any:
    try:
        return json.loads(text) if text.strip() else None
    except (ValueError, RecursionError) as error:
        where = f" line {error.lineno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else f" {error}"
        raise InputError(f"{path} is not JSON:{where}.") from None


def _toml(text: str, path: Path) -> Any:
    try:
        return tomllib.loads(text) or None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not TOML: {error}.") from None


_READERS: Mapping[str, Callable[[str, Path], Any]] = {".yaml": _yaml, ".yml": _yaml, ".json": _json, ".toml": _toml}


def _substituted(value: Any, path: Path, key: str) -> Any:
    """A value with `${NAME}` replaced in all its texts."""
    if isinstance(value, dict):
        return {name: _substituted(each, path, f"{key}.{name}") for name, each in value.items()}
    if isinstance(value, list):
        return [_substituted(each, path, f"{key}[{place}]") for place, each in enumerate(value)]
    if not isinstance(value, str):
        return value

    def replacement(match: re.Match[str]) -> str:
        return match[0][1:] if match[0].startswith("$$") else _variable(match[1], path, key)

    return _VARIABLE.sub(replacement, value)


def _variable(name: str, path: Path, key: str) -> str:
    if _SECRET.search(name):
        raise InputError(
            f"{path}: `{key}` uses ${{{name}}}, which looks like a secret, and a specification is stored with its run: "
            "leave it out; servers' keys are read from QA_EVAL_GATEWAY_KEY and PHOENIX_API_KEY."
        )
    if name not in os.environ:
        raise InputError(f"{path}: `{key}` uses ${{{name}}}, which is not set: set the environment variable {name}.")
    return os.environ[name]
