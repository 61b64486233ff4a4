"""Rubric files: a prompt and the choices of a judge, in YAML or JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from qa_eval.errors import InputError
from qa_eval.spec.explain import explain
from qa_eval.spec.metrics import RubricSpec


def read_rubric(path: Path) -> RubricSpec:
    """A rubric from a file.

    Raises:
        InputError: The file cannot be read, or is not a rubric.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content: Any = json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise InputError(f"The rubric {path} cannot be read ({reason}): check the path.") from None
    except (ValueError, yaml.YAMLError) as error:
        raise InputError(f"The rubric {path} cannot be parsed ({' '.join(str(error).split())}).") from None
    if not isinstance(content, dict):
        raise InputError(f"The rubric {path} must hold `prompt` and `choices`, such as right: 1 and wrong: 0.")
    try:
        return RubricSpec.model_validate({**content, "source": str(path)})
    except ValidationError as error:
        raise InputError(explain(error, {}, f"The rubric {path}", "metrics.rubric")) from None
