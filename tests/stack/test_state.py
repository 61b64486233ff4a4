"""The stack's folder: the user's alone, and never half written."""

import os
import stat

import pytest

from qa_eval.errors import StackError
from qa_eval.stack import state


@pytest.fixture(autouse=True)
def generous_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path):
    return oct(stat.S_IMODE(path.stat().st_mode))


def key():
    with state.stack_lock(lambda line: None):
        return state.master_key()


def test_the_key_is_generated_once_and_only_the_user_can_read_it():
    generated = key()

    assert len(generated) > 40
    assert key() == generated
    assert state.key_file().read_text() == generated
    assert mode(state.key_file()) == "0o600"
    assert mode(state.folder()) == "0o700"
    assert [path.name for path in state.folder().iterdir() if path.name != "lock"] == ["master-key"]


def test_rights_that_have_become_too_wide_are_narrowed():
    generated = key()
    state.key_file().chmod(0o644)
    state.folder().chmod(0o755)

    assert key() == generated

    assert mode(state.key_file()) == "0o600"
    assert mode(state.folder()) == "0o700"


def test_an_empty_key_file_is_replaced():
    key()
    state.key_file().write_text("")

    assert len(key()) > 40


def test_two_machines_do_not_share_a_key(tmp_path, monkeypatch):
    first = key()
    monkeypatch.setenv("QA_EVAL_DATA_DIR", str(tmp_path / "another"))

    assert key() != first


def test_what_is_saved_is_loaded():
    record = state.ProcessRecord(pid=1, created=2.5, port=3, fingerprint="f", version="v")
    saved = state.StackState(ports={"phoenix": 6006}, servers={"phoenix": record})
    with state.stack_lock(lambda line: None):
        state.save(saved)

    assert state.load() == saved
    assert mode(state.folder() / "state.json") == "0o600"


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"ports": {"phoenix": "six"}}'])
def test_a_damaged_state_remembers_nothing(damage):
    with state.stack_lock(lambda line: None):
        (state.folder() / "state.json").write_text(damage)

    assert state.load() == state.StackState()


def test_a_data_folder_that_cannot_be_made_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("QA_EVAL_DATA_DIR", str(tmp_path / "file"))

    with pytest.raises(StackError, match=r"file/stack cannot be written \(.*\): set QA_EVAL_DATA_DIR to another"):
        key()


def test_a_relative_data_folder_does_not_depend_on_where_a_server_runs(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QA_EVAL_DATA_DIR", "relative")

    assert state.folder() == tmp_path / "relative" / "stack"
