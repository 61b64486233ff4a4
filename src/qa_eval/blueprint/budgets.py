"""The timeouts along a request, in seconds, from the outside in: each is longer than everything inside it.

    Lex 30 > Lambda 28 > the chatbot's request 26 > the gateway's two tries of 12 for it (`chatbot/gateway.py`)
    browser, experiment > CloudFront 120 > load balancer 110 > the gateway's four tries of 24 (`config.yaml`)

Idle connections are closed from the outside in as well: if the inner server closed first, the load balancer would
answer 502 to a request that was already on its way.
"""

from __future__ import annotations

from typing import Final

LEX: Final = 30
"""Lex's timeout of a code hook, set by Lex."""
LAMBDA: Final = 28
"""The chatbot function's timeout."""

CLOUDFRONT_READ: Final = 120
"""CloudFront's timeout of the first byte, and between two bytes of a stream; the maximum without a quota increase."""
LOAD_BALANCER_IDLE: Final = 110
"""The load balancer's timeout between two bytes, and of an idle connection: the longest wait for the gateway."""

CLOUDFRONT_KEEPALIVE: Final = 60
"""How long CloudFront keeps an idle connection to the load balancer."""
SERVER_KEEPALIVE: Final = 120
"""How long the gateway keeps an idle connection to the load balancer (`KEEPALIVE_TIMEOUT`)."""
