"""Options that commands share: those of the specification, each described once, in its table of settings."""

from __future__ import annotations

from typing import Any

import typer

from qa_eval.spec.settings import BY_KEYWORD


def setting(keyword: str) -> Any:
    """The option of a setting."""
    described = BY_KEYWORD[keyword]
    default = f"  [default: {described.default}]" if described.default else ""
    flags = [described.flag, *(["--target"] if keyword == "via" else [])]
    return typer.Option(*flags, metavar=described.metavar, help=described.help + default)


def switch(keyword: str) -> Any:
    """The option of a setting that is on or off."""
    described = BY_KEYWORD[keyword]
    return typer.Option(described.flag, help=described.help)


def toggle(keyword: str) -> Any:
    """The option of a setting that a flag turns on, and another off."""
    described = BY_KEYWORD[keyword]
    return typer.Option(f"{described.flag}/--no-{described.flag.removeprefix('--')}", help=described.help)


AS_JSON = typer.Option("--json", help="Print one JSON document instead of the table.")
