"""Where qa-eval keeps its files on this machine.

Two folders, both the platform's usual ones: the cache can be deleted at any time and is built again; the data
folder holds what cannot be made again (runs, the local Phoenix database, the generated key).
`QA_EVAL_CACHE_DIR` and `QA_EVAL_DATA_DIR` move them.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_dir() -> Path:
    """The folder for what can be built again: server environments, embeddings, model files."""
    return Path(os.environ.get("QA_EVAL_CACHE_DIR") or platformdirs.user_cache_path("qa-eval"))


def data_dir() -> Path:
    """The folder for what must be kept: runs, the local stack's database, its logs and its key."""
    return Path(os.environ.get("QA_EVAL_DATA_DIR") or platformdirs.user_data_path("qa-eval"))
