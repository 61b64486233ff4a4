"""What the gateway's parts cost: requests a second and latency through real LiteLLM, side by side in one run.

    python benchmarks/gateway.py [--requests 300] [--rounds 3] [--concurrency 8] [--also NAME=URL]

Bedrock and, for the traces, Phoenix are played by a process that answers at once, so that all the time is LiteLLM's.
Every gateway is started from the deployed configuration, with and without its parts; the rounds go through all of
them in turn, so that whatever else the machine does meets them alike. Valkey and the edge (nginx) are the stack's own.
`--also` adds any gateway that runs elsewhere (its key: QA_EVAL_GATEWAY_KEY), whose model then answers in its own time.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from fake_bedrock import FakeBedrock
from real_gateway import KEY, RealGateway, blueprint_config, start_gateway

from qa_eval.blueprint.secrets import VALKEY_PASSWORD
from qa_eval.stack import environments, health, ports, processes, servers, state
from qa_eval.stack.processes import Server

PROMPT = (
    "Answer the question with the shortest span of the context that answers it.\n\nContext: Normandy is a region in "
    "the north of France. The Normans gave their name to it in the 10th century.\n\nQuestion: Where is Normandy?"
)


@dataclass
class Column:
    """One gateway, and how long each of its answers took."""

    name: str
    url: str
    key: str
    seconds: list[float] = field(default_factory=list)
    elapsed: float = 0.0

    def row(self, plain: float) -> str:
        """Its line of the table; `plain` is the median of the first column."""
        times = sorted(self.seconds)
        median, p95 = statistics.median(times), times[int(0.95 * (len(times) - 1))]
        rate = len(times) / self.elapsed
        return f"{self.name:<42}{rate:8.1f}{1000 * median:10.1f}{1000 * p95:10.1f}{1000 * (median - plain):+12.1f}"


def main() -> int:
    """Measure and print."""
    options = _options()
    with ExitStack() as stack:
        url = stack.enter_context(_instant_server())
        columns = [*_started(stack, url), *_elsewhere(options.also)]
        asyncio.run(_measure(columns, options))
    print(f"{options.rounds} rounds of {options.requests} requests each, {options.concurrency} at once\n")
    print(f"{'gateway':<42}{'req/s':>8}{'p50 ms':>10}{'p95 ms':>10}{'p50 - plain':>12}")
    for column in columns:
        print(column.row(statistics.median(columns[0].seconds)))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What the gateway's parts cost.")
    parser.add_argument("--requests", type=int, default=300, help="a round, for each gateway")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--also", metavar="NAME=URL", action="append", default=[], help="add a running gateway")
    return parser.parse_args()


def _configurations() -> Iterator[tuple[str, dict[str, Any]]]:
    """The deployed configuration with less and less left out."""
    plain = blueprint_config()
    del plain["guardrails"], plain["litellm_settings"]["callbacks"]
    yield "plain", plain
    traced = blueprint_config()
    del traced["guardrails"]
    yield "with tracing", traced
    filtered = blueprint_config()
    filtered["guardrails"] = filtered["guardrails"][:1]
    del filtered["litellm_settings"]["callbacks"]
    yield "with the gateway's own filter", filtered
    guarded = blueprint_config()
    del guarded["litellm_settings"]["callbacks"]
    yield "with filter and guardrail", guarded
    yield "as deployed: filter, guardrail, tracing", blueprint_config()


def _started(stack: ExitStack, url: str) -> list[Column]:
    """The gateways of this run, started side by side."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    os.environ["QA_EVAL_DATA_DIR"] = str(folder)
    valkey = stack.enter_context(_stack_server("valkey"))
    password = state.read_secret(VALKEY_PASSWORD)
    jobs: list[tuple[str, dict[str, Any], dict[str, str]]] = [(*each, {}) for each in _configurations()]
    where = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(valkey.port), "REDIS_PASSWORD": password}
    jobs.append(("as deployed, state shared in Valkey", blueprint_config(), where))

    def start(place: int) -> RealGateway:
        _, config, settings = jobs[place]
        return start_gateway(folder / str(place), config, url, url, **settings)

    with ThreadPoolExecutor(2) as pool:
        gateways = list(pool.map(start, range(len(jobs))))
    for gateway in gateways:
        stack.callback(gateway.stop)
    columns = [Column(name, gateway.url, KEY) for (name, *_), gateway in zip(jobs, gateways, strict=True)]
    edge = stack.enter_context(_stack_server("edge", litellm=int(gateways[-1].url.rpartition(":")[2])))
    return [*columns, Column("the same through the edge (nginx)", servers.url(edge.port), KEY)]


@contextmanager
def _stack_server(name: str, **neighbours: int) -> Iterator[Server]:
    """One of the local stack's servers, as the stack describes it."""
    environments.ensure(servers.environment(name), print)
    with state.stack_lock(print):
        chosen = {**dict.fromkeys(ports.DEFAULTS, 1), **neighbours, name: ports._free_port([])}
        described = servers.describe(servers.StackPlan(chosen, state.StackFeatures(valkey=True)))
        server = next(each for each in described if each.name == name)
    record = processes.start(server)
    try:
        health.wait_until_healthy([(server, record)], print)
        yield server
    finally:
        processes.stop({server.mark: record})


def _elsewhere(named: list[str]) -> list[Column]:
    pairs = [each.partition("=") for each in named]
    return [Column(name, url.rstrip("/"), os.environ.get("QA_EVAL_GATEWAY_KEY", "")) for name, _, url in pairs]


async def _measure(columns: list[Column], options: argparse.Namespace) -> None:
    connector = aiohttp.TCPConnector(limit=options.concurrency)
    async with aiohttp.ClientSession(connector=connector) as session:
        for column in columns:  # not counted: what is loaded with the first request
            await _round(session, column, 30, options.concurrency)
            column.seconds, column.elapsed = [], 0.0
        for _ in range(options.rounds):
            for column in columns:
                await _round(session, column, options.requests, options.concurrency)


async def _round(session: aiohttp.ClientSession, column: Column, requests: int, concurrency: int) -> None:
    left = iter(range(requests))

    async def worker() -> None:
        for _ in left:
            began = time.perf_counter()
            await _ask(session, column)
            column.seconds.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(concurrency)))
    column.elapsed += time.perf_counter() - began


async def _ask(session: aiohttp.ClientSession, column: Column) -> None:
    body = {"model": "nova-micro", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 16}
    headers = {"Authorization": f"Bearer {column.key}"}
    async with session.post(f"{column.url}/v1/chat/completions", json=body, headers=headers) as reply:
        if reply.status != 200:
            sys.exit(f"{column.name} answers with HTTP {reply.status}: {(await reply.text())[:300]}")
        await reply.read()


@contextmanager
def _instant_server() -> Iterator[str]:
    """Bedrock and Phoenix in a process of their own; its URL."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("stop")
        process.join(10)


def _serve(connection: Connection) -> None:
    bedrock = FakeBedrock()
    connection.send(bedrock.url)
    connection.recv()
    bedrock.close()


if __name__ == "__main__":
    sys.exit(main())
