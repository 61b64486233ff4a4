"""The documentation keeps its word: its site builds without a warning, its Python runs, its commands are accepted by
the real command, its links lead somewhere, and the errors that it quotes
exist.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import typer
import yaml

import qa_eval
from qa_eval.blueprint.gateway import CustomCodeParams, read_config
from qa_eval.cli.main import app
from qa_eval.spec.settings import SETTINGS, name_flags
from qa_eval.stack import RunningStack

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "README.md"]
BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    return [content for found, content in BLOCK.findall(page.read_text()) if found == language]


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=name)
def test_no_merge_was_left_half_done(page: Path) -> None:
    assert not re.findall(r"^(?:<{7}|={7}|>{7})(?: .*)?$", page.read_text(), re.MULTILINE)


# The site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


class _Page(HTMLParser):
    """What a page is, loads and links to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {key: value or "" for key, value in attrs}
        self.ids |= {told[key] for key in ("id", "name") if key in told}
        if tag == "a" and "href" in told:
            self.links.append(told["href"])
        elif tag in ("link", "script", "img", "iframe", "source"):
            self.loads += [told[key] for key in ("href", "src") if key in told and told.get("rel") != "canonical"]


def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = {path: _Page(path) for path in site.rglob("*.html")}
    assert len(pages) >= 20
    for path, page in pages.items():
        for address in page.loads:
            assert not urlsplit(address).netloc, f"{path.name} loads {address}"
            assert path.name == "404.html" or (path.parent / urlsplit(address).path).exists(), f"{path.name}: {address}"
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?https?:|@import", style.read_text()), style


def test_every_link_within_the_site_leads_somewhere(site: Path) -> None:
    pages = {path.resolve(): _Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.exists(), f"{path.name} links to {link}"
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].ids, f"{path.name} links to {link}"


def test_every_link_of_the_readme_leads_to_a_file() -> None:
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", (ROOT / "README.md").read_text()) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link.partition("#")[0]).exists()] == []


# The commands


def commands(command: Any, path: str = "qa-eval") -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, child in command.commands.items():
        yield from commands(child, f"{path} {name}")


def test_the_site_has_every_command_with_every_option(site: Path) -> None:
    text = (site / "commands.html").read_text()
    for path, command in commands(typer.main.get_command(app)):
        assert f"<code>{path}</code>" in text
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert parameter.opts[0] in text, f"{path} {parameter.opts[0]}"


def test_the_site_calls_the_functions_as_users_do(site: Path) -> None:
    text = re.sub(r"<[^>]+>", "", (site / "api.html").read_text())
    for public in qa_eval.__all__:
        assert public == "__version__" or public in text, public
    assert "_run_experiment" not in text.replace("async_run_experiment", "")
    assert "_Prepared" not in text


def calls(page: Path) -> list[str]:
    """The lines that call qa-eval, whole, without prompt and comment; `a | b` after a command is one line each."""
    text = "\n".join(blocks(page, "console")).replace("\\\n", " ")
    lines = [line[2:] for line in text.splitlines() if line.startswith("$ qa-eval")]
    for block in blocks(page, "yaml"):
        if "jobs:" in block:
            steps = yaml.safe_load(block)["jobs"]["gate"]["steps"]
            lines += [step["run"] for step in steps if step.get("run", "").startswith("qa-eval")]
    return lines


CALLS = [pytest.param(line, id=f"{name(page)}: {line[:70]}") for page in PAGES for line in calls(page)]


def words(line: str) -> Iterator[list[str]]:
    """A line's arguments; `infra synth | diff` stands for both."""
    parts = shlex.split(line, comments=True)[1:]
    parts = parts[: parts.index(">>")] if ">>" in parts else parts
    if "|" not in parts:
        yield parts
        return
    verbs = parts[parts.index("|") - 1 :: 2]
    assert parts[parts.index("|") :: 2] == ["|"] * (len(verbs) - 1), line
    for verb in verbs:
        yield [*parts[: parts.index("|") - 1], verb]


def accept(arguments: list[str]) -> None:
    """Read arguments as the command does, without running anything; raises what it would refuse them with."""
    command: Any = typer.main.get_command(app)
    context = None
    while hasattr(command, "commands"):
        context = command.make_context(command.name or "qa-eval", arguments, parent=context)
        _, command, arguments = command.resolve_command(context, [*context._protected_args, *context.args])
    command.make_context(command.name, arguments, parent=context)


def test_there_are_commands_to_check() -> None:
    assert len(CALLS) > 50
    with pytest.raises(Exception, match="No such option"):
        accept(["run-experiment", "--no-such-option"])
    with pytest.raises(Exception, match="No such command"):
        accept(["infra", "no-such-command"])


@pytest.mark.parametrize("line", CALLS)
def test_the_command_accepts_what_the_documentation_shows(line: str) -> None:
    for arguments in words(line):
        accept(arguments)


# The Python


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name)
def test_the_python_of_a_page_runs(
    page: Path,
    request: pytest.FixtureRequest,
    in_stack_folder: RunningStack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "a_page"}
    for block in blocks(page, "python"):
        exec(compile(block, name(page), "exec", dont_inherit=True), namespace)
    for found in [value for key, value in namespace.items() if key.startswith("test_")]:
        found(**{fixture: request.getfixturevalue(fixture) for fixture in inspect.signature(found).parameters})


# What is quoted


def messages() -> list[str]:
    """Every text of the package's code, with `…` where something is filled in."""
    texts = []
    sources = [path.read_text() for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "infra").rglob("*.py")]]
    sources += [
        guardrail.litellm_params.custom_code
        for guardrail in read_config().guardrails
        if isinstance(guardrail.litellm_params, CustomCodeParams)
    ]
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
                texts.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return texts


QUOTED = re.findall(r'^!!! failure "(.+)"$', (DOCS / "troubleshooting.md").read_text(), re.MULTILINE)


FLAGS = {setting.keyword: setting.flag for setting in SETTINGS}
"""What the command makes of the keywords in a message."""


def test_there_are_errors_to_check() -> None:
    assert len(QUOTED) > 20


@pytest.mark.parametrize("quoted", QUOTED)
def test_a_quoted_error_is_one_of_the_codes(quoted: str) -> None:
    def plain(text: str) -> str:
        return re.sub(r"['\"]", "", text)

    wanted = plain(quoted)
    assert any(wanted in (plain(text), plain(name_flags(text, FLAGS))) for text in messages()), quoted
