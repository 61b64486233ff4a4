"""Kill -9 for a server of the local stack that is in use."""

from __future__ import annotations

import psutil

from qa_eval import stack


def kill_server(name: str) -> None:
    """Kill a server of the stack whose data folder is set: `phoenix`, `litellm`, ..."""
    (pid,) = [server.pid for server in stack.status().servers if server.name == name]
    assert pid is not None, f"{name} is not running"
    process = psutil.Process(pid)
    process.kill()
    process.wait(10)
