"""How Phoenix is started on AWS: as its own command does, with a longer life of idle connections.

Phoenix closes a connection that is idle for 5 s, and has no setting for it. A load balancer that keeps connections
longer sends a request into a closing one now and then, and answers 502.
"""

from __future__ import annotations

from typing import Final

from qa_eval.blueprint.budgets import SERVER_KEEPALIVE

_START: Final = f"""\
import functools, sys, uvicorn
uvicorn.Config = functools.partial(uvicorn.Config, timeout_keep_alive={SERVER_KEEPALIVE})
from phoenix.server.main import main
sys.argv = ["phoenix", "serve"]
main()
"""

ENTRY_POINT: Final = ("python3",)
COMMAND: Final = ("-c", _START)
"""The container's entry point and command."""
