"""From a specification to addresses and keys: the local stack, a stack on AWS, or servers that are named."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from qa_eval.address import server_address
from qa_eval.data.examples import Dataset
from qa_eval.data.predictions import read_predictions
from qa_eval.errors import GatewayError, InputError
from qa_eval.experiment.metadata import Servers
from qa_eval.experiment.observer import OnProgress
from qa_eval.paths import data_dir
from qa_eval.spec.model import ExperimentSpec


@dataclass(frozen=True)
class LocalStack:
    """The local stack, which was started for a run."""

    def stop(self, on_progress: OnProgress) -> None:
        """Stop it again."""
        from qa_eval import stack

        on_progress("Stopping the local stack, which was started for this run ...")
        stack.down(on_progress)


def find_servers(spec: ExperimentSpec, dataset: Dataset, on_progress: OnProgress) -> tuple[Servers, LocalStack | None]:
    """The servers of a run, and the local stack where it was started for it.

    Args:
        spec: Where gateway and Phoenix are.
        dataset: The questions, for answers that are replayed.
        on_progress: Called with a line for what takes time.

    Raises:
        QaEvalError: The local stack cannot be started, or the stack on AWS cannot be found.
    """
    record = spec.recording.phoenix
    if spec.servers.local:
        return _local(spec.servers.replay, dataset, record, on_progress)
    if spec.servers.stack:
        return _deployed(spec.servers.stack, record), None
    return named_servers(spec.servers.gateway, spec.servers.phoenix, record), None


def named_servers(gateway: str | None, phoenix: str | None, record: bool = True) -> Servers:
    """Servers by their addresses; their keys come from the environment."""
    return Servers(
        gateway_url=gateway or "",
        gateway_key=os.environ.get("QA_EVAL_GATEWAY_KEY"),
        phoenix_url=phoenix if record else None,
        phoenix_key=os.environ.get("PHOENIX_API_KEY"),
    )


def phoenix_of(spec: ExperimentSpec, on_progress: OnProgress) -> tuple[str, str | None]:
    """The Phoenix of a specification and its key, before the dataset is read from it.

    Raises:
        InputError: The specification names none, or replays answers, which takes the dataset first.
        QaEvalError: The local stack cannot be started, or the stack on AWS cannot be found.
    """
    if spec.servers.replay:
        raise InputError("`replay` answers the questions of a file: use another dataset than one in Phoenix.")
    if spec.servers.local:
        from qa_eval import stack

        running = stack.up(on_progress=on_progress)
        return running.phoenix_url, running.phoenix_key
    if spec.servers.stack:
        deployed = _deployed(spec.servers.stack, True)
        return str(deployed.phoenix_url), deployed.phoenix_key
    return phoenix_server(spec.servers.phoenix)


def phoenix_server(url: str | None) -> tuple[str, str | None]:
    """The Phoenix to talk to, and its key: the one at this address, or the local stack's.

    Raises:
        InputError: None is named and the local stack is not running.
    """
    from qa_eval import stack

    if url is not None:
        return url, os.environ.get("PHOENIX_API_KEY")
    running = stack.find()
    if running is None:
        raise InputError("No Phoenix given. Use `phoenix`, or start the local stack with `qa-eval stack up`.")
    return running.phoenix_url, running.phoenix_key


def gateway_server(url: str | None) -> tuple[str, str | None]:
    """The gateway to talk to, and its master key: the one at this address, or the local stack's.

    Raises:
        GatewayError: None is named and the local stack is not running.
    """
    from qa_eval import stack

    if url is not None:
        return server_address(url), os.environ.get("QA_EVAL_GATEWAY_KEY")
    running = stack.find()
    if running is None:
        raise GatewayError("No gateway is running: give `gateway`, or start one with `qa-eval stack up`.")
    return running.gateway_url, running.gateway_key


def _deployed(name: str, record: bool) -> Servers:
    from qa_eval.aws.deployed import find

    stack = find(name)
    return Servers(
        gateway_url=stack.gateway_url,
        gateway_key=stack.gateway_key,
        phoenix_url=stack.phoenix_url if record else None,
        phoenix_key=stack.phoenix_key,
    )


def _local(
    replay: str | None, dataset: Dataset, record: bool, on_progress: OnProgress
) -> tuple[Servers, LocalStack | None]:
    from qa_eval import stack

    running = stack.up(replay=_replay_table(dataset, replay), on_progress=on_progress)
    servers = Servers(
        gateway_url=running.gateway_url,
        gateway_key=running.gateway_key,
        phoenix_url=running.phoenix_url if record else None,
        phoenix_key=running.phoenix_key,
    )
    return servers, LocalStack() if running.started_here else None


def _replay_table(dataset: Dataset, replay: str | None) -> Path | None:
    """Predictions by id as the local endpoint reads them: by context and question."""
    if replay is None:
        return None
    from qa_eval.stack.bedrock.replay import ReplayEntry, write_replay

    predictions = read_predictions(replay)
    table = data_dir() / "stack" / "replay.jsonl"
    table.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_replay(table, [ReplayEntry(e.context, e.question, predictions.get(e.id, "")) for e in dataset])
    return table
