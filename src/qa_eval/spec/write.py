"""A specification as YAML: what is left at its default is left out, prompts are readable blocks."""

from __future__ import annotations

from typing import Any

import yaml

from qa_eval.spec.model import ExperimentSpec


def write_spec(spec: ExperimentSpec) -> str:
    """The YAML text of a specification; reading it gives the same specification."""
    return yaml.dump(spec.to_data(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


def _text(dumper: _Dumper, text: str) -> Any:
    # `${` would be read as an environment variable.
    escaped = text.replace("${", "$${")
    return dumper.represent_scalar("tag:yaml.org,2002:str", escaped, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
