"""The servers' images, asked of a registry that has one of them for one architecture."""

from __future__ import annotations

from typing import Any

from stubbed_account import StubbedAccount


def test_images_that_cannot_be_pinned_would_fail(account: StubbedAccount, find: Any) -> None:
    assert find("images") == [], "a digest is not looked up"
    ((kind, sentence),) = find("images", "phoenix_image=127.0.0.1:9/org/phoenix:v1")
    assert kind == "fails"
    assert sentence.startswith("The registry of 127.0.0.1:9/org/phoenix:v1 cannot be reached (ConnectError): check")
    assert account.asked == []
