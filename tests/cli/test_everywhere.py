"""What all commands share: first steps, quiet and verbose, colours, completion; and what they leave on the disk."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import commands
import pytest
from commands import qa_eval
from fake_gateway import KEY, Serve

from qa_eval import disk, stack
from qa_eval.cli.console import output_console, print_text
from qa_eval.cli.main import app
from qa_eval.errors import InputError
from qa_eval.paths import cache_dir, data_dir
from qa_eval.stack import local

RUN = ("run-experiment", "--no-phoenix", "--examples", "3", "--metric", "contains")


def test_without_arguments_it_says_what_to_do_first() -> None:
    done = qa_eval()
    assert done.returncode == 0
    commands_named = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("  qa-eval ")]
    known = {command.name for command in app.registered_commands} | {group.name for group in app.registered_groups}
    assert set(commands_named) <= known | {"--help"}
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_quiet_prints_answers_and_errors_only(serve: Serve) -> None:
    gateway = serve(lambda *_: "Paris")
    arguments = (*RUN, "--gateway", gateway.url, "--model", "qa")
    loud = qa_eval(*arguments, QA_EVAL_GATEWAY_KEY=KEY)
    quiet = qa_eval(*arguments, "--quiet", QA_EVAL_GATEWAY_KEY=KEY)
    assert "3" in loud.stderr
    assert (quiet.returncode, quiet.stderr) == (0, "")
    assert "contains" in quiet.stdout
    broken = qa_eval("--quiet", *arguments, "--require", "contains > 0.9", QA_EVAL_GATEWAY_KEY=KEY)
    assert broken.returncode in (0, 1)
    missing = qa_eval("runs", "show", "nothing", "--quiet")
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)


def test_verbose_prints_every_try(serve: Serve) -> None:
    gateway = serve(lambda *_: "Paris")
    command = [*commands.COMMAND, *RUN, "--gateway", gateway.url, "--model", "qa"]
    done = subprocess.run(
        [*command, "--verbose"], env=commands.environment(), capture_output=True, text=True, check=True
    )
    assert len(re.findall(r"qa asked \S+: answered in \d+\.\d\d s", done.stderr)) == 3
    assert KEY not in done.stderr


def test_quiet_and_verbose_exclude_each_other() -> None:
    done = qa_eval("doctor", "--quiet", "--verbose")
    assert done.returncode == 2
    assert done.stderr == "qa-eval: --quiet and --verbose exclude each other: give one of them.\n"


def test_no_color_takes_colours_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    console = output_console()
    with console.capture() as captured:
        print_text(console, "worse", style="red")
    assert "worse" in captured.get()
    assert "\x1b[31m" not in captured.get()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_names_the_commands(shell: str) -> None:
    environment = {**os.environ, "_QA_EVAL_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": "qa-eval run"}
    environment |= {"COMP_WORDS": "qa-eval run", "COMP_CWORD": "1", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = subprocess.run(
        [commands.COMMAND[0], "-c", "from qa_eval.cli.main import main; main()"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "run-experiment" in done.stdout
    assert "runs" in done.stdout


def test_clean_deletes_the_cache_and_keeps_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QA_EVAL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("QA_EVAL_DATA_DIR", str(tmp_path / "data"))
    for file in (cache_dir() / "embeddings" / "vectors", data_dir() / "runs" / "one" / "journal.sqlite"):
        file.parent.mkdir(parents=True)
        file.write_bytes(b"x" * 2_000_000)
    asked = qa_eval("clean", typed="n\n")
    assert asked.returncode == 1
    assert "embeddings          2.0 MB" in asked.stdout
    assert "runs                2.0 MB" in asked.stdout
    assert (cache_dir() / "embeddings").exists()
    done = qa_eval("clean", "--yes")
    assert (done.returncode, done.stderr) == (0, "The cache is deleted.\n")
    assert not (cache_dir() / "embeddings").exists()
    assert (data_dir() / "runs" / "one" / "journal.sqlite").exists()
    assert qa_eval("clean").stderr == "There is nothing to delete.\n"


def test_clean_refuses_while_a_server_runs_and_where_it_cannot_ask(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("QA_EVAL_CACHE_DIR", str(tmp_path))
    (tmp_path / "environments").mkdir()
    quiet = qa_eval("clean", "--quiet")
    assert (quiet.returncode, quiet.stderr) == (
        2,
        "qa-eval: --quiet cannot ask (Delete the cache?): confirm with --yes.\n",
    )
    monkeypatch.setattr(stack, "running_servers", lambda: ["litellm"])
    refused = qa_eval("clean", "--yes")
    assert refused.returncode == 2
    assert "The local stack runs from the cache (litellm)" in refused.stderr
    assert (tmp_path / "environments").exists()


def test_purge_deletes_what_the_stack_keeps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QA_EVAL_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(local, "down", lambda on_progress: [])
    log = tmp_path / "stack" / "logs" / "phoenix.log"
    log.parent.mkdir(parents=True)
    log.write_text("started")
    assert qa_eval("stack", "down", "--yes").returncode == 2
    assert qa_eval("stack", "down", "--purge", typed="n\n").returncode == 1
    assert log.exists()
    done = qa_eval("stack", "down", "--purge", "--yes")
    assert done.returncode == 0
    assert done.stdout.startswith(f"{tmp_path / 'stack'}: 0.0 MB")
    assert not (tmp_path / "stack").exists()
    assert "no data" in qa_eval("stack", "down", "--purge", "--yes").stderr


def test_what_cannot_be_deleted_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder / "file"))

    monkeypatch.setattr(disk.shutil, "rmtree", refuse)
    with pytest.raises(InputError, match=r"file cannot be deleted \(Permission denied\): delete .* yourself"):
        disk.remove(tmp_path)
