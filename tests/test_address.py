"""Addresses and keys: what cannot work is refused in one sentence, before anything is sent."""

from __future__ import annotations

import pytest

from qa_eval.address import bearer, server_address
from qa_eval.errors import InputError


@pytest.mark.parametrize(
    "url", ["", "localhost:4000", "ftp://host", "http://", "http://[::1", "/phoenix", "http://h:x"]
)
def test_what_is_not_an_address_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="is not the address of a server: give one like"):
        server_address(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:4000", "https://llm.example.com/base", "http://[::1]:80"])
def test_an_address_stays_as_it_is(url: str) -> None:
    assert server_address(url) == server_address(f"{url}/") == url


@pytest.mark.parametrize("key", ["sk-1\r\nX-Other: 1", "sk-ü", "sk-1\x00"])
def test_a_key_that_cannot_be_sent_is_refused(key: str) -> None:
    with pytest.raises(InputError, match="set PHOENIX_API_KEY to a valid one") as caught:
        bearer(key, "PHOENIX_API_KEY")
    assert key not in str(caught.value)


def test_without_a_key_there_is_no_header() -> None:
    assert bearer(None, "X") == bearer("", "X") == {}
    assert bearer("sk-1", "X") == {"Authorization": "Bearer sk-1"}
