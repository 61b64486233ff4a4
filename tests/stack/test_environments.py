"""Server environments: built once, by hash, whole or not at all. uv is real, the package in the lock file is small."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest

from qa_eval.errors import StackError
from qa_eval.stack import environments
from qa_eval.stack.environments import ServerEnvironment, ensure


def wheel(folder: Path, ballast: int = 0) -> str:
    """Make a package `tiny` with `ballast` bytes of noise in it; return its line for a lock file."""
    path = folder / "tiny-1.0-py3-none-any.whl"
    metadata = "tiny-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("tiny/__init__.py", "ANSWER = 42\n")
        file.writestr("tiny/ballast.bin", os.urandom(ballast))
        file.writestr(f"{metadata}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        file.writestr(
            f"{metadata}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{metadata}/RECORD", "")
    return f"tiny==1.0 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.fixture
def tiny(tmp_path, monkeypatch) -> ServerEnvironment:
    """An environment that can be built without any network."""
    registry = tmp_path / "registry"
    registry.mkdir()
    monkeypatch.setenv("QA_EVAL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    monkeypatch.setenv("UV_FIND_LINKS", str(registry))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    lock = tmp_path / "tiny.txt"
    lock.write_text(wheel(registry))
    return ServerEnvironment("tiny", "Tiny", lock, 1)


def build(environment):
    said = []
    ensure(environment, said.append)
    return said


def answer(environment):
    program = "import tiny; print(tiny.ANSWER)"
    return subprocess.run([environment.python, "-c", program], capture_output=True, text=True, check=True).stdout


def test_it_is_built_with_compiled_bytecode_and_then_kept(tiny, monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    said = build(tiny)
    built = tiny.python.lstat().st_ino

    assert said[0] == "Building the Tiny environment (first run only, about 1 MB) ..."
    assert said[-1].startswith("Built the Tiny environment in ")
    assert answer(tiny) == "42\n"
    assert list(tiny.folder.glob("lib/python*/site-packages/tiny/__pycache__/__init__.*.pyc"))
    assert build(tiny) == []
    assert tiny.python.lstat().st_ino == built


def test_another_lock_file_is_another_environment_and_the_old_one_goes(tiny):
    build(tiny)
    old = tiny.folder
    tiny.lock.write_text("# changed\n" + tiny.lock.read_text())
    assert tiny.folder != old
    build(tiny)

    environments.remove_outdated(tiny)

    assert not old.exists()
    assert answer(tiny) == "42\n"


def test_the_old_one_stays_until_the_new_one_is_complete(tiny):
    build(tiny)
    old = tiny.folder
    tiny.lock.write_text("# changed\n" + tiny.lock.read_text())

    environments.remove_outdated(tiny)

    assert old.exists()


def test_an_old_environment_stays_while_a_process_runs_from_it(tiny):
    build(tiny)
    old = tiny.folder
    with subprocess.Popen([tiny.python, "-c", "import time; time.sleep(60)"]) as process:
        try:
            tiny.lock.write_text("# changed\n" + tiny.lock.read_text())
            build(tiny)
            environments.remove_outdated(tiny)
            assert old.exists()
        finally:
            process.kill()

    environments.remove_outdated(tiny)
    assert not old.exists()


@pytest.mark.parametrize("damage", ["unfinished", "interpreter gone", "a stranger's file"])
def test_a_half_built_environment_heals(tiny, damage):
    if damage == "a stranger's file":
        tiny.folder.mkdir(parents=True)
        (tiny.folder / "leftover").write_text("")
    else:
        build(tiny)
        (tiny.folder / "leftover").write_text("")
        (tiny.folder / "qa-eval-complete" if damage == "unfinished" else tiny.python).unlink()

    build(tiny)

    assert not (tiny.folder / "leftover").exists()
    assert answer(tiny) == "42\n"


def slow_uv(tmp_path) -> Path:
    """A uv that makes the environment and then installs for ever."""
    script = tmp_path / "slow-uv"
    real = environments.uv.find_uv_bin()
    script.write_text(f'#!/bin/sh\n[ "$1" = pip ] && {{ echo "Installed" >&2; sleep 600; }}\nexec {real} "$@"\n')
    script.chmod(0o755)
    return script


def building(tiny, uv: Path) -> subprocess.Popen:
    """A command of its own that builds, as far as the endless installation."""
    program = (
        "import sys; from pathlib import Path; from qa_eval.stack import environments as e\n"
        f"e.uv.find_uv_bin = lambda: {str(uv)!r}\n"
        f"e.ensure(e.ServerEnvironment('tiny', 'Tiny', Path({str(tiny.lock)!r}), 1), lambda l: print(l, flush=True))"
    )
    command = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    while b"Installed" not in command.stdout.readline():
        assert command.poll() is None
    return command


def builders(tiny):
    from qa_eval.stack.processes import _members

    return [process for found in _members({str(tiny.folder): None}).values() for process in found]


def test_ctrl_c_while_building_leaves_nothing_behind(tiny, tmp_path):
    with building(tiny, slow_uv(tmp_path)) as command:
        assert builders(tiny)
        command.send_signal(signal.SIGINT)
        command.wait(20)

    assert not builders(tiny)
    assert not tiny.folder.exists()


def test_the_build_of_a_killed_command_is_ended_and_made_anew(tiny, tmp_path):
    with building(tiny, slow_uv(tmp_path)) as command:
        command.kill()
    assert builders(tiny)

    build(tiny)

    assert not builders(tiny)
    assert answer(tiny) == "42\n"


def test_of_two_builds_at_once_the_second_waits(tiny):
    said = []
    commands = [threading.Thread(target=ensure, args=(tiny, said.append)) for _ in range(2)]
    for command in commands:
        command.start()
    for command in commands:
        command.join(60)

    assert [line.split(" (")[0] for line in said].count("Building the Tiny environment") == 1
    assert "Another qa-eval command is building the Tiny environment; waiting for it ..." in said
    assert answer(tiny) == "42\n"


def test_too_little_room_is_said_before_anything_is_built(tiny, tmp_path):
    huge = ServerEnvironment("tiny", "Tiny", tiny.lock, 10**9)

    with pytest.raises(StackError) as caught:
        ensure(huge, pytest.fail)

    assert str(caught.value).startswith(
        "There is not enough disk space for the Tiny environment in "
        f"{tmp_path / 'cache' / 'environments'}: it needs 1000000000 MB"
    )
    assert "QA_EVAL_CACHE_DIR" in str(caught.value)
    assert caught.value.exit_code == 2
    assert not huge.folder.exists()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("this user may not mount a small file system")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.mark.parametrize("full", ["environment", "uv's cache"])
def test_a_disk_that_fills_up_while_building_is_one_sentence(tiny, tmp_path, small_disk, monkeypatch, full):
    monkeypatch.setenv("QA_EVAL_CACHE_DIR" if full == "environment" else "UV_CACHE_DIR", str(small_disk))
    tiny.lock.write_text(wheel(tmp_path / "registry", ballast=6_000_000))

    with pytest.raises(StackError) as caught:
        build(tiny)

    message = str(caught.value)
    assert "\n" not in message
    assert str(small_disk) in message
    assert ("QA_EVAL_CACHE_DIR" if full == "environment" else "UV_CACHE_DIR") in message
    assert not tiny.folder.exists()


ENOSPC_OF_UV = """Using Python 3.11.7 environment at: {folder}
Resolved 2 packages in 42ms
error: Failed to install: tiny-1.0-py3-none-any.whl (tiny==1.0)
  cause: Failed to copy to `{folder}/lib/python3.11/site-packages/tiny/ballast.bin`
  cause: failed to copy file from /a/cache/tiny/ballast.bin to {folder}/lib/.tmpAZJcrI: {reason}
"""


@pytest.mark.parametrize("reason", ["No space left on device (os error 28)", "Disk quota exceeded (os error 122)"])
def test_what_uv_says_of_a_full_disk_is_understood(tiny, tmp_path, monkeypatch, reason):
    """The same without the right to mount: uv 0.13's own words."""
    (tmp_path / "words").write_text(ENOSPC_OF_UV.format(folder=tiny.folder, reason=reason))
    script = tmp_path / "uv"
    script.write_text(f'#!/bin/sh\n[ "$1" = venv ] && exec mkdir {tiny.folder}\ncat {tmp_path / "words"} >&2; exit 2\n')
    script.chmod(0o755)
    monkeypatch.setattr(environments.uv, "find_uv_bin", lambda: str(script))

    with pytest.raises(
        StackError, match=r"^There is not enough disk space for the Tiny environment in .*: it needs 1 MB and \d+ MB"
    ):
        build(tiny)

    assert not tiny.folder.exists()


def test_no_network_is_one_sentence(tiny, monkeypatch):
    monkeypatch.delenv("UV_NO_INDEX")
    monkeypatch.delenv("UV_FIND_LINKS")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")

    with pytest.raises(StackError) as caught:
        build(tiny)

    assert str(caught.value) == (
        "The Tiny environment cannot be built without the package registry, which cannot be reached "
        "(Connection refused (os error 111)); it is needed for the first run only."
    )


def test_a_package_that_is_not_the_pinned_one_is_refused(tiny, tmp_path):
    wheel(tmp_path / "registry", ballast=1)

    with pytest.raises(
        StackError, match=r"^The Tiny environment cannot be built: .*: Hash mismatch for `tiny==1.0` Expected"
    ):
        build(tiny)

    assert not tiny.folder.exists()


def test_a_cache_folder_that_cannot_be_made_is_one_sentence(tiny, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("QA_EVAL_CACHE_DIR", str(tmp_path / "file"))

    with pytest.raises(StackError, match=r"cannot be built in .*file/environments/tiny-.*set QA_EVAL_CACHE_DIR to"):
        build(tiny)


def test_the_users_project_and_python_settings_do_not_leak_in(tiny, tmp_path, monkeypatch):
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text("[tool.uv]\nrequired-version = '==0.0.1'\n")
    monkeypatch.chdir(project)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path / "pyc"))
    monkeypatch.setenv("VIRTUAL_ENV", "/no/such/environment")

    build(tiny)

    assert not (tmp_path / "pyc").exists()
    assert answer(tiny) == "42\n"


def test_a_long_download_is_worth_a_line_now_and_then(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    said = []

    def lines():
        for seconds, line in [(1, "Downloading a (9MiB)"), (15, " Downloaded a"), (16, "Downloading c (9MiB)"),
                              (30, "Installed 3 packages in 5ms")]:  # fmt: skip
            now[0] = seconds
            yield line

    assert len(list(environments._reported(lines(), said.append))) == 4
    assert said == [
        "Downloaded a ...",
        "Installed 3 packages in 5ms; compiling them ...",
    ]
