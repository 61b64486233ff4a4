"""A large CSV file: how long it takes, and how much memory, to check every row and to take a subset of 100.

The file has a million rows of question, answer, a context of about 200 characters, and a product. Each measurement is
a process of its own; the limit beside it is Python's own `csv.reader`, which only splits the same file into cells.

    python benchmarks/datasets.py [rows]
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

WORDS = "river bank bridge harbour water level flood gauge station spring summer autumn winter boat lock dam".split()
PRODUCTS = ("loom", "gauge", "ferry", "lock", "mill", "weir", "pump")
MOST_SECONDS, MOST_MEGABYTES = 20.0, 300.0
READ = """
import sys
from qa_eval.data.load import load_dataset
dataset = load_dataset(sys.argv[1])
assert len(dataset) == 100, dataset
print(dataset.notes[0])
"""
SPLIT = """
import csv, sys
with open(sys.argv[1], encoding="utf-8", newline="") as file:
    print(sum(1 for _ in csv.reader(file)) - 1, "rows")
"""
MEASURE = """
import json, resource, time
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([time.perf_counter() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / {unit}]))
"""


def rows(count: int) -> Iterator[tuple[str, str, str, str]]:
    """Questions about numbered stations; no two rows are equal."""
    for i in range(count):
        text = " ".join(WORDS[(i * 7 + k * (i % 13 + 1)) % len(WORDS)] for k in range(28))
        yield f"What is the level at station {i}?", f"{i % 997} cm", f"Station {i}: {text}.", PRODUCTS[i % 7]


def write(path: Path, count: int) -> None:
    """The file to measure with."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("question", "answer", "context", "product"))
        writer.writerows(rows(count))


class Measured(NamedTuple):
    """What a process used, from its start to its end."""

    wall_s: float
    cpu_s: float
    megabytes: float
    """At its peak."""


def measure(script: str, path: Path) -> Measured:
    """Run a script in a process of its own; imports count."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    code = f"import time\nbegun = time.perf_counter()\n{script}{MEASURE.format(unit=unit)}"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    *said, last = done.stdout.splitlines()
    print("  " + "\n  ".join(said))
    return Measured(*json.loads(last))


def main() -> None:
    """Make the file, measure, and say whether the promise is kept."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "questions.csv"
        begun = time.perf_counter()
        write(path, count)
        size = path.stat().st_size / 2**20
        print(f"{count:,} rows, {size:.0f} MB, written in {time.perf_counter() - begun:.1f} s")
        limit, ours = measure(SPLIT, path), measure(READ, path)
    for name, used in (("csv.reader alone", limit), ("checked, 100 taken", ours)):
        rate = count / used.wall_s
        print(
            f"{name:18}  {used.wall_s:5.1f} s, {used.cpu_s:5.1f} s of processor, {used.megabytes:4.0f} MB at most",
            end="",
        )
        print(f"  {rate:9,.0f} rows/s")
    print(f"{ours.cpu_s / limit.cpu_s:.1f} times the processor time of csv.reader")
    kept = ours.wall_s <= MOST_SECONDS and ours.megabytes <= MOST_MEGABYTES
    print(f"promise ({MOST_SECONDS:.0f} s, {MOST_MEGABYTES:.0f} MB): {'kept' if kept else 'BROKEN'}")
    sys.exit(0 if kept or count > 1_000_000 else 1)


if __name__ == "__main__":
    main()
