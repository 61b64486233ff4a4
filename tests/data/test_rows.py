"""Questions as rows: JSON Lines, Parquet, CSV, and the hub at its network edge."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from shared_data import squad_file

from qa_eval.data import Example, load_dataset
from qa_eval.data.sources.hub import SQUAD
from qa_eval.errors import DatasetError

TEXT = "Ada Lovelace wrote it."


def row(identifier: str = "q1", **changes: Any) -> dict[str, Any]:
    answers = {"text": ["Ada", "Ada Lovelace"], "answer_start": [0, 0]}
    return {
        "id": identifier,
        "title": "Ada",
        "context": TEXT,
        "question": "Who wrote it?",
        "answers": answers,
    } | changes


UNANSWERABLE = row("q2", question="Who sang it?", answers={"text": [], "answer_start": []})


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows in the format that the file's ending names, as the hub's users make such files."""
    frame = pd.DataFrame(rows)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".csv":
        frame.assign(answers=frame["answers"].map(json.dumps)).to_csv(path, index=False)
    else:
        path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    return path


@pytest.mark.parametrize("ending", [".jsonl", ".parquet", ".csv"])
def test_every_format_gives_the_same_examples(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"rows{ending}", [row(), UNANSWERABLE])
    dataset = load_dataset(path, examples=None)
    assert dataset.version == "2.0"
    assert dataset.examples == (
        Example(
            "q1", "Who wrote it?", TEXT, ("Ada", "Ada Lovelace"), "Ada", {"difficulty": "easy", "source": path.name}
        ),
        Example("q2", "Who sang it?", TEXT, (), "Ada", {"difficulty": "hard", "source": path.name}),
    )


def test_answered_rows_alone_are_version_1(tmp_path: Path) -> None:
    assert load_dataset(write(tmp_path / "rows.jsonl", [row()])).version == "1.1"


def test_all_of_squad_survives_the_way_through_rows(tmp_path: Path) -> None:
    original = load_dataset(squad_file("dev-v1.1.json"), examples=None)
    rows = [
        row(e.id, title=e.group, context=e.context, question=e.question, answers={"text": list(e.references)})
        for e in original
    ]
    path = write(tmp_path / "dev-v1.1.parquet", rows)
    assert load_dataset(path, examples=None).examples == original.examples


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([row(), row("q2", question=" ")], r"line 2 \(the question is blank\)"),
        ([row(), row(question="What?")], r"holds the id 'q1' twice with different content \(line 1 and line 2\)"),
        ([row(answers={"texts": []})], r"line 1 \(the references are an object without `text`\)"),
        ([{"id": "q1"}], r"has no column for the question \(it has: id\): name one with `columns`"),
        ([], "is empty"),
    ],
)
def test_the_first_broken_row_is_named(tmp_path: Path, rows: list[dict[str, Any]], sentence: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    with pytest.raises(DatasetError, match=sentence):
        load_dataset(path)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.jsonl", b'{"id": \n', "line 1"),
        ("x.jsonl", b"\xff\xfe", "not UTF-8"),
        ("x.parquet", b"not parquet", "is not a Parquet file"),
        ("x.csv", b"id,title\n1,2\n", "no column for the question"),
        ("x.csv", b"id,context,question,answers\nq1,c,q,[broken]\n", "line 2"),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=sentence) as caught:
        load_dataset(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="There is no dataset file"):
        load_dataset(tmp_path / "none.parquet")


def test_without_network_the_hub_names_what_there_is_instead(tmp_path: Path) -> None:
    script = "import qa_eval\ntry: qa_eval.load_dataset('squad')\nexcept qa_eval.QaEvalError as e: print(e)"
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True, timeout=20
    )
    assert done.stderr == ""
    assert done.stdout.startswith("rajpurkar/squad cannot be had from the Hugging Face hub")
    assert "give `dataset` as `sample`" in done.stdout
    assert "path of a file" in done.stdout


def test_the_hubs_rows_become_a_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub cannot be reached here: the library's own call is answered in its place."""
    import datasets

    asked: list[tuple[str, str, str]] = []

    def stored(repository: str, *, split: str, revision: str) -> datasets.Dataset:
        asked.append((repository, split, revision))
        return datasets.Dataset.from_list([row(str(i)) for i in range(120)])

    monkeypatch.setattr(datasets, "load_dataset", stored)
    dataset = load_dataset("squad")
    assert (dataset.name, dataset.version, len(dataset)) == ("squad-qa-evaluation", "1.1", 100)
    assert {example.metadata["source"] for example in dataset} == {"squad"}
    assert asked == [("rajpurkar/squad", "validation", SQUAD["squad"].revision)]
