"""How long the command's help and the package's import take, as whole processes.

    python benchmarks/startup.py

Prints the median of ten runs of each beside an empty Python process, and exits 1 where one is over its bound.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 10
COMMANDS = {
    "an empty process": ([sys.executable, "-c", "pass"], None),
    "import qa_eval": ([sys.executable, "-c", "import qa_eval"], 0.2),
    "qa-eval --help": ([str(Path(sys.executable).with_name("qa-eval")), "--help"], 0.3),
}


def median_s(command: list[str]) -> float:
    """The median wall time of a command, after one run that is not counted."""
    times = []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def main() -> int:
    """Measure and print."""
    over = False
    for name, (command, bound) in COMMANDS.items():
        taken = median_s(command)
        over = over or (bound is not None and taken > bound)
        print(f"{name:>18}  {taken:.3f} s" + (f"  (bound {bound} s)" if bound else ""))
    return int(over)


if __name__ == "__main__":
    sys.exit(main())
