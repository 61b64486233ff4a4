"""Any table of texts under any column names: every row is accounted for, or the file is refused."""

from __future__ import annotations

import csv
import json
import re
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qa_eval.data import Dataset, load_dataset
from qa_eval.errors import DatasetError

USUAL = ("question", "Input", "prompt", "answer", "expected", "context", "documents", "id", "ID", "title", "metadata")
names = st.lists(st.sampled_from(USUAL) | st.text(max_size=6), min_size=1, max_size=4)
cells = st.sampled_from(("", "A?", "B?", "[]", '["a", "b"]', "[x]", '{"text": []}', "1", "a\nb", "a,b;c")) | st.text(
    st.characters(exclude_categories=[]), max_size=6
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[str]]]:
    columns = draw(names)
    row = st.lists(cells, min_size=len(columns), max_size=len(columns))
    return columns, draw(st.lists(row, max_size=6))


def as_csv(path: Path, columns: list[str], rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", errors="surrogatepass", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


def as_json_lines(path: Path, columns: list[str], rows: list[list[str]]) -> None:
    path.write_text("".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows))


def as_parquet(path: Path, columns: list[str], rows: list[list[str]]) -> None:
    arrays = [pa.array([row[place] for row in rows], pa.string()) for place in range(len(columns))]
    pq.write_table(pa.table(arrays, names=columns), path)


FORMATS = {".csv": as_csv, ".jsonl": as_json_lines, ".parquet": as_parquet}


def assert_one_line(message: str) -> None:
    assert message.splitlines() == [message]


def dropped(dataset: Dataset) -> int:
    counts = [re.match(r"([\d,]+) (?:line|row)s? of .* left out\.$", note) for note in dataset.notes]
    return sum(int(found[1].replace(",", "")) for found in counts if found)


@pytest.mark.parametrize("ending", FORMATS)
@given(table=tables())
@example(table=(["question", ""], [["A?", ""], ["A?", ""]]))
@example(table=(["question"], [["A?"], [""]]))
@settings(max_examples=300, deadline=None)
def test_every_row_is_accounted_for_or_the_file_is_refused(
    ending: str, table: tuple[list[str], list[list[str]]]
) -> None:
    """Feature: litellm-ecs-demo, Property: any table of texts loads with every row accounted for, or is refused."""
    columns, rows = table
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"table{ending}"
        try:
            FORMATS[ending](path, columns, rows)
        except UnicodeEncodeError:  # what cannot be written cannot be read
            return
        try:
            dataset = load_dataset(path, examples="all")
        except DatasetError as error:
            assert_one_line(str(error))
            return
        assert len(dataset) + dropped(dataset) == len(rows)
        assert len({e.id for e in dataset}) == len(dataset)
        assert all(e.question.strip() and e.group for e in dataset)
        subset = load_dataset(path, examples=2)
        assert set(subset.examples) <= set(dataset.examples)


@given(table=tables())
@settings(max_examples=200, deadline=None)
def test_a_table_gives_the_same_examples_in_json_lines_and_parquet(table: tuple[list[str], list[list[str]]]) -> None:
    """Feature: litellm-ecs-demo, Property: JSON Lines and Parquet of one table hold the same examples."""
    columns, rows = table
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for ending in (".jsonl", ".parquet"):
            path = Path(folder) / f"table{ending}"
            try:
                FORMATS[ending](path, columns, rows)
                found.append([(e.id, e.question) for e in load_dataset(path, examples="all")])
            except (DatasetError, UnicodeEncodeError):
                return
    assert found[0] == found[1]
