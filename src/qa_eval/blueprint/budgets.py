"""Who waits how long for whom, in seconds, from the outside in. Each waits longer than all that it waits for.

    Lex 30 > Lambda 28 > the chatbot's request 26 > its two tries of 12
    browser, experiment > CloudFront 120 > load balancer 110 > the gateway's four tries of 24 (`config.yaml`)

Connections that wait for a next request are closed from the outside in as well: a server that closes first makes
the load balancer answer 502 to a request that was already on its way.
"""

from __future__ import annotations

from typing import Final

LEX: Final = 30
"""What Amazon Lex waits for a code hook; Lex decides it."""
LAMBDA: Final = 28
"""The chatbot function's timeout."""
CHATBOT_REQUEST: Final = 26
"""What the chatbot waits for the gateway, all tries included."""
CHATBOT_TRY: Final = 12
"""One try of the gateway for the chatbot; sent as `x-litellm-timeout`."""
CHATBOT_RETRIES: Final = 1
"""Sent as `x-litellm-num-retries`."""

CLOUDFRONT_READ: Final = 120
"""What CloudFront waits for the first byte and between two of a stream; its highest without a quota increase."""
LOAD_BALANCER_IDLE: Final = 110
"""What the load balancer waits for a byte, and how long it keeps an idle connection."""

CLOUDFRONT_KEEPALIVE: Final = 60
"""How long CloudFront keeps an idle connection to the load balancer."""
SERVER_KEEPALIVE: Final = 120
"""How long the gateway keeps an idle connection to the load balancer (`KEEPALIVE_TIMEOUT`)."""


def gateway_seconds(timeout: float, retries: int) -> float:
    """The longest that the gateway works on one request, without its short pauses between tries.

    Args:
        timeout: Seconds of one try.
        retries: How often it tries again.
    """
    return timeout * (1 + retries)
