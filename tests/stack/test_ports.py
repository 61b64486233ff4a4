"""Ports: what the user names is taken or refused; all others are found and remembered."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_eval.errors import StackError
from qa_eval.stack import ports

FEW = st.integers(4000, 4010) | st.just(6006)
NAMES = st.sampled_from(list(ports.DEFAULTS))


def distinct(names):
    """Ports by name, no two names with the same port."""
    pairs = st.lists(st.tuples(names, FEW), unique_by=(lambda pair: pair[0], lambda pair: pair[1]))
    return pairs.map(dict)


def choose(wanted=None, remembered=None, held=None):
    said = []
    chosen = ports.choose(requested=wanted or {}, saved=remembered or {}, held=held or {}, on_progress=said.append)
    return chosen, said


@pytest.fixture
def busy():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@given(
    wanted=distinct(st.sampled_from(["litellm", "phoenix"])),
    remembered=distinct(NAMES),
    occupied=st.sets(FEW),
    running=st.sets(NAMES),
)
def test_every_choice_is_distinct_honours_wishes_and_takes_nothing_from_others(wanted, remembered, occupied, running):
    """Feature: litellm-ecs-demo, Property: a port of the stack is wished for, held, remembered or free."""
    held = {name: remembered[name] for name in running & remembered.keys()}
    ours = set(held.values())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ports, "is_free", lambda port: port not in occupied | ours)
        if any(port in occupied | ours and held.get(name) != port for name, port in wanted.items()):
            with pytest.raises(StackError, match="is in use"):
                choose(wanted, remembered, held)
            return
        chosen, said = choose(wanted, remembered, held)

    assert chosen.keys() == ports.DEFAULTS.keys()
    assert len(set(chosen.values())) == len(chosen)
    assert wanted.items() <= chosen.items()
    for name, port in chosen.items():
        assert port not in occupied | ours or held.get(name) == port
        expected = wanted.get(name) or remembered.get(name) or ports.DEFAULTS[name]
        if expected is not None and port != expected:
            assert any(str(expected) in line and str(port) in line for line in said)


def test_a_port_in_use_that_the_user_named_is_one_sentence(busy):
    with pytest.raises(StackError, match=rf"^Port {busy} is in use by another program: give another `gateway_port`"):
        choose(wanted={"litellm": busy})


def test_a_remembered_port_that_somebody_took_is_replaced_and_said(busy):
    chosen, said = choose(remembered={"phoenix": busy})

    assert chosen["phoenix"] != busy
    assert f"Port {busy} is in use by another program; Phoenix uses {chosen['phoenix']}." in said


def test_a_port_that_our_own_server_holds_is_kept(busy):
    chosen, said = choose(remembered={"bedrock": busy}, held={"bedrock": busy})

    assert chosen["bedrock"] == busy
    assert not any(str(busy) in line for line in said)


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_port_is_not_free_while_anybody_listens(address):
    with socket.create_server((address, 0)) as server:
        port = server.getsockname()[1]
        assert not ports.is_free(port)

    assert ports.is_free(port)
