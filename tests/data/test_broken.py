"""Broken data files: one sentence each, with the file, the place, and what to do."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qa_eval.data import load_dataset
from qa_eval.errors import DatasetError

BROKEN = {
    "not UTF-8": ("q.csv", b"question,answer\nA?,x\nB?,caf\xe9\n", "is not UTF-8 at line 3: save it as UTF-8"),
    "UTF-16": ("q.tsv", "question\tanswer\nA?\tx\n".encode("utf-16"), "is not UTF-8 at line 1"),
    "empty": ("q.csv", b"", "is empty: give a header"),
    "blank": ("q.csv", b"\n\n", "is empty"),
    "header only": ("q.csv", b"question,answer\n", "holds no questions"),
    "a cell too many": ("q.csv", b"question,answer\nA?,x\nB?,y,z\n", r"line 3 \(3 cells under a header of 2\)"),
    "a cell too few": ("q.csv", b'question,answer\n"A\n?",x\nB?\n', r"line 4 \(1 cells under a header of 2\)"),
    "an open quote": ("q.csv", b'question,answer\nA?,x\n"B?,y\nC?,z\n', r"line 3 \(a cell has no end\): close"),
    "a stray quote": ("q.csv", b'question,answer\n"A" or B?,x\n', r"line 2 \('?.*expected after.*\): put quotes"),
    "a huge field": ("q.csv", b'question,answer\nA?,"' + b"x" * 10_000_001 + b'"\n', "line 2"),
    "a NUL": ("q.csv", b"question,answer\nA?,x\nB\x00?,y\n", r"line 3 \(it holds a NUL character\): remove"),
    "two columns of one name": ("q.csv", b"question,a,a\n?,x,y\n", r"two columns named 'a' \(line 1\)"),
    "a blank question": ("q.csv", b"question,answer\nA?,x\n ,y\n", r"line 3 \(the question is blank\): write one"),
    "a blank id": ("q.csv", b"id,question\n,A?\n", r"line 2 \(the id is blank\)"),
    "a list that is none": (
        "q.csv",
        b"question,answer\nA?,\"['a' 'b']\"\n",
        "line 2 .*not a JSON list.*: write a JSON",
    ),
    "an object that is none": ("q.csv", b"question,answer\nA?,\"{'text': array([])}\"\n", "line 2"),
    "one id, two contents": ("q.csv", b"id,question\n1,A?\n2,B?\n1,C?\n", r"id '1' twice .*\(line 2 and line 4\)"),
    "an ending": ("q.xlsx", b"PK", "an ending that is not known: give a file that ends in .csv, .tsv"),
    "no ending": ("questions", b"question\nA?\n", "an ending that is not known"),
    "a broken line": ("q.jsonl", b'{"question": "A?"}\n{"question": \n', r"line 2 \(Expecting value\): give one JSON"),
    "a line that is no object": ("q.jsonl", b'[{"question": "A?"}]\n', "line 1 .*a list of them goes in a .json file"),
    "an empty line file": ("q.ndjson", b"\n \n", "is empty: give one JSON object"),
    "NUL in JSON": ("q.jsonl", b'{"question": "A\\u0000?"}\n', r"line 1 \(it holds a NUL"),
    "half a surrogate": ("q.jsonl", b'{"question": "A\\ud800?"}\n', r"line 1 \(half of a surrogate pair"),
    "deep nesting": ("q.jsonl", b'{"question": ' + b"[" * 100_000 + b"\n", r"line 1 \(nested too deeply\)"),
    "a question that is a list": (
        "q.jsonl",
        b'{"question": ["A?"]}\n',
        r"line 1 \(the question is a list\): give text",
    ),
    "a missing question": ("q.jsonl", b'{"question": "A?"}\n{"answer": "x"}\n', r"line 2 \(the question is blank\)"),
    "references in an object": ("q.json", b'[{"question": "A?", "answer": {"a": 1}}]', "element 1 .*without `text`"),
    "a broken list": ("q.json", b'[{"question": "A?"},\n{"question"]', r"is not JSON \(line 2: Expecting"),
    "elements": ("q.json", b'[{"question": "A?"}, 3]', r"element 2 \(it is not an object\)"),
    "an empty list": ("q.json", b"[]", "holds no questions"),
    "empty JSON": ("q.json", b" ", "is empty"),
    "another object": ("q.json", b'{"questions": []}', "is not a SQuAD file .*a JSON list of objects"),
    "Latin JSON": ("q.json", b'[{"question": "caf\xe9?"}]', "is not UTF-8 at line 1"),
    "no Parquet": ("q.parquet", b"PAR1 nonsense PAR1", "is not a Parquet file"),
    "empty Parquet": ("q.parquet", b"", "is not a Parquet file"),
}


def refuse(path: Path, sentence: str) -> None:
    with pytest.raises(DatasetError, match=sentence) as caught:
        load_dataset(path)
    message = str(caught.value)
    assert message.startswith(str(path)) or str(path) in message.partition(":")[0]
    assert "\n" not in message
    assert ": " in message


@pytest.mark.parametrize("kind", BROKEN)
def test_each_is_one_sentence_with_the_place(tmp_path: Path, kind: str) -> None:
    name, content, sentence = BROKEN[kind]
    path = tmp_path / name
    path.write_bytes(content)
    refuse(path, sentence)


def test_a_folder_and_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for name in ("folder", "folder.csv", "folder.parquet", "folder.json"):
        (tmp_path / name).mkdir()
        refuse(tmp_path / name, "is a folder: give the path of a file in it")
    loop = tmp_path / "loop.csv"
    loop.symlink_to(loop)
    refuse(loop, "cannot be read")


def test_parquet_whose_middle_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "q.parquet"
    rows = [{"question": f"{os.urandom(20).hex()}?", "answer": "x"} for _ in range(3000)]
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=1000, use_dictionary=False)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = b"\xff" * 2000
    path.write_bytes(content)
    refuse(path, r"is broken after row \d+|is broken at row \d+|cannot be read|is not UTF-8")


def test_two_parquet_columns_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "q.parquet"
    pq.write_table(pa.table([["A?"], ["B?"]], names=["question", "question"]), path)
    refuse(path, "has two columns named 'question'")


def test_a_file_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from qa_eval.data.subset import Index

    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps({"question": "A?"}))
    repeated = Index.repeated

    def change(index: Index) -> object:
        path.write_text(json.dumps({"question": "B?"}))
        return repeated(index)

    monkeypatch.setattr(Index, "repeated", change)
    monkeypatch.setattr("qa_eval.data.load.MOST_KEPT", 0)
    refuse(path, "was changed while it was read: load it again")
