"""What the documentation takes from the code when it is built, so that it cannot go stale: the commands, the costs."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc
from typing import Any

import typer

from qa_eval.cli.main import app
from qa_eval.spec.model import SystemSpec
from qa_eval.spec.settings import SETTINGS

COMMANDS = "<!-- generated: commands -->"
COSTS = "<!-- generated: costs -->"
SETTINGS_TABLE = "<!-- generated: settings -->"
SYSTEMS = "<!-- generated: systems -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in a page's generated parts; MkDocs calls this for every page."""
    if COMMANDS in markdown:
        markdown = markdown.replace(COMMANDS, "\n".join(_sections()))
    if COSTS in markdown:
        markdown = markdown.replace(COSTS, "\n".join(_costs()))
    if SETTINGS_TABLE in markdown:
        markdown = markdown.replace(SETTINGS_TABLE, "\n".join(_settings()))
    if SYSTEMS in markdown:
        markdown = markdown.replace(SYSTEMS, "\n".join(_system_keys()))
    return markdown


def commands() -> Iterator[tuple[str, Any, typer.Context]]:
    """Every command that does something, by its whole name, with the context that tells its options."""
    root: Any = typer.main.get_command(app)
    yield from _below(root, typer.Context(root, info_name="qa-eval"))


def _below(command: Any, context: Any) -> Iterator[tuple[str, Any, Any]]:
    if not hasattr(command, "commands"):
        yield context.command_path, command, context
        return
    for name, child in command.commands.items():
        yield from _below(child, type(context)(child, info_name=name, parent=context))


def _sections() -> Iterator[str]:
    for path, command, context in commands():
        yield f"## `{path}`\n"
        yield f"```text\n{path} {' '.join(command.collect_usage_pieces(context))}\n```\n"
        yield f"{cleandoc(command.help or '')}\n"
        yield from _table("Argument", command, context, "argument")
        yield from _table("Option", command, context, "option")


def _table(title: str, command: Any, context: Any, kind: str) -> Iterator[str]:
    records = [each.get_help_record(context) for each in command.params if each.param_type_name == kind]
    if records := [record for record in records if record]:
        yield f"| {title} | Meaning |\n|---|---|"
        for names, meaning in records:
            told = meaning.replace("|", "\\|").replace("<", "&lt;")
            yield f"| `{names.strip()}` | {told.strip()} |"
        yield ""


def _settings() -> Iterator[str]:
    yield "| Key | Flag | Python | Meaning | Default |\n|---|---|---|---|---|"
    for setting in SETTINGS:
        cells = (f"`{setting.path}`", f"`{setting.flag}`", f"`{setting.keyword}`", setting.help, setting.default or "")
        yield f"| {' | '.join(cell.replace('|', '&#124;').replace('<', '&lt;') for cell in cells)} |"
    yield "| `systems` | | | What is compared; see above. | the matrix of `models` and `prompts` |"


def _system_keys() -> Iterator[str]:
    yield "| Key | Meaning |\n|---|---|"
    for name, field in SystemSpec.model_fields.items():
        yield f"| `{name}` | {(field.description or '').replace('|', '&#124;') or 'Parameters of the provider.'} |"


def _costs() -> Iterator[str]:
    from qa_eval_infra import cost
    from qa_eval_infra.settings import load_settings

    components = cost.estimate(load_settings(None, (), {}))
    yield "| Component | US dollars a month | How | Source of the price |\n|---|---:|---|---|"
    for each in components:
        yield f"| {each.name} | {'?' if each.usd is None else f'{each.usd:.2f}'} | {each.how} | {each.source} |"
    yield f"| **All, idle** | **{cost.total(components):.2f}** | us-east-1, prices as of {cost.AS_OF} | |"
