"""How much faster embeddings are when the texts that wait are taken together, as a run does, than in small calls.

    python benchmarks/embedding.py [--texts 20000] [--rounds 3]

The texts are those that a run embeds: a published system's answers to SQuAD's development set and their references, in
the order of the questions. "Small calls" takes 64 answers at a time, as runs did up to 0.1.0; "what waits" takes 1,024.
Both in turn, each round with an empty cache on the disk, the first round not counted; the median is shown. Vectors must
be equal to the last bit. Data as in `similarity.py`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from qa_eval.embedding import CachedEmbedder, default_embedder
from qa_eval.experiment.engine import BATCH, SCORED_TOGETHER
from similarity import load_pairs


def run(answers: list[list[str]], together: int) -> tuple[float, np.ndarray]:
    """Seconds for all texts, and their vectors in the order of the answers."""
    with tempfile.TemporaryDirectory() as folder:
        embedder = CachedEmbedder(default_embedder(), Path(folder) / "vectors.sqlite3")
        start = time.perf_counter()
        parts = [
            embedder.embed([text for texts in answers[at : at + together] for text in texts])
            for at in range(0, len(answers), together)
        ]
        return time.perf_counter() - start, np.concatenate(parts)


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    answers, distinct = load_pairs(chosen.texts)
    seconds: dict[int, list[float]] = {BATCH: [], SCORED_TOGETHER: []}
    found = {}
    for _ in range(chosen.rounds + 1):
        for together, times in seconds.items():
            taken, found[together] = run(answers, together)
            times.append(taken)
    equal = bool((found[BATCH] == found[SCORED_TOGETHER]).all())
    small, large = (statistics.median(times[1:]) for times in seconds.values())
    print(f"{distinct:,} distinct texts of {len(answers):,} answers, median of {chosen.rounds}")
    print(f"small calls   {small:7.1f} s  {distinct / small:6.0f} texts a second")
    print(f"what waits    {large:7.1f} s  {distinct / large:6.0f} texts a second")
    print(f"ratio {small / large:.2f} (bound: 1.3); vectors equal: {equal}")


if __name__ == "__main__":
    main()
