"""Run the local Bedrock: `python -m qa_eval.stack.bedrock --port P --model-url URL [--replay TABLE]`."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from aiohttp import web

from qa_eval.errors import QaEvalError, StackError
from qa_eval.stack.bedrock.guardrail import TRIGGER_PHRASES
from qa_eval.stack.bedrock.replay import read_replay
from qa_eval.stack.bedrock.server import application

_log = logging.getLogger("qa_eval.stack.bedrock")


def main() -> int:
    """Serve until SIGTERM or Ctrl-C; incomplete answers are aborted."""
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        _serve(options)
    except QaEvalError as error:
        _log.error("%s", error)
        return error.exit_code
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m qa_eval.stack.bedrock", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model-url", required=True, help="URL of the model server")
    parser.add_argument("--replay", type=Path, metavar="TABLE", help="answer from this table instead of the model")
    return parser.parse_args()


def _serve(options: argparse.Namespace) -> None:
    app = application(options.model_url, read_replay(options.replay) if options.replay else None)
    _log.info("Answers come from %s.", options.replay or options.model_url)
    _log.info("The local Bedrock does not authenticate requests: signatures are not checked.")
    phrases = ", ".join(f'"{phrase}"' for phrase in TRIGGER_PHRASES.values())
    _log.info(
        "The guardrail is a substitute: patterns find personal data, and trigger phrases replace classifiers: %s.",
        phrases,
    )
    try:
        web.run_app(
            app,
            host="127.0.0.1",
            port=options.port,
            print=lambda _: _log.info("Listening on http://127.0.0.1:%s", options.port),
            access_log_format='"%r" %s %Tf s',
            handler_cancellation=True,  # no answer for a client that has disconnected
            shutdown_timeout=0.5,
        )
    except OSError as error:
        raise StackError(f"The local Bedrock cannot listen on port {options.port} ({error.strerror}).") from None


if __name__ == "__main__":
    sys.exit(main())
