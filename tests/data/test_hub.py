"""Datasets of the hub. The hub itself cannot be reached here: the real library reads folders laid out as there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qa_eval.data import load_dataset
from qa_eval.data.sources.hub import Repository, parse_address
from qa_eval.errors import DatasetError

ROWS = [{"question": "Who?", "answer": "Ada", "topic": "looms"}, {"question": "Why?", "answer": "", "topic": "looms"}]
CONFIGS = """---
configs:
- config_name: plain
  data_files: [{split: train, path: plain.parquet}]
- config_name: hard
  data_files: [{split: test, path: hard.parquet}]
---
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets.config

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def repository(folder: Path, files: dict[str, list[dict[str, Any]]], readme: str = "") -> str:
    folder.mkdir()
    for name, rows in files.items():
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet")
    if readme:
        (folder / "README.md").write_text(readme)
    return f"hub:{folder}"


def test_an_address_and_its_parts() -> None:
    assert parse_address("org/name") == Repository("org/name")
    assert parse_address("org/name:en@v1.0#test[:10]") == Repository("org/name", "en", "v1.0", "test[:10]")
    assert parse_address("name#train") == Repository("name", split="train")
    for broken in ("", "org/name@", "a b", "org/name:#x"):
        with pytest.raises(DatasetError, match="names no dataset of the hub: give hub:ORG/NAME"):
            parse_address(broken)


def test_without_a_split_the_first_of_the_usual_ones_is_read_and_said(tmp_path: Path) -> None:
    address = repository(tmp_path / "both", {"train": ROWS, "test": ROWS[:1]})
    dataset = load_dataset(address)
    assert len(dataset) == 1
    assert dataset.notes[0] == f"Split of {address[4:]}: test."
    assert "question from question; references from answer; group from topic; metadata: topic." in dataset.notes[1]
    whole = load_dataset(f"{address}#train", examples="all")
    assert [(e.question, e.references, e.group) for e in whole] == [("Who?", ("Ada",), "looms"), ("Why?", (), "looms")]
    assert (whole.version, whole.notes[-1]) == ("1.1", "1 of 2 examples has no reference.")


def test_unknown_splits_and_configurations_are_one_sentence(tmp_path: Path) -> None:
    address = repository(tmp_path / "one", {"train": ROWS})
    with pytest.raises(DatasetError, match=r"has no split dev: name one with #SPLIT \(train\)\."):
        load_dataset(f"{address}#dev")
    several = repository(tmp_path / "several", {"plain": ROWS, "hard": ROWS[:1]}, CONFIGS)
    with pytest.raises(DatasetError, match=r"has several configurations: name one as hub:.*:CONFIG \(.*plain.*\)\."):
        load_dataset(several)
    with pytest.raises(DatasetError, match=r"has several configurations: .*\(.*plain.*\)"):
        load_dataset(f"{several}:soft")
    assert len(load_dataset(f"{several}:hard")) == 1


def test_the_form_of_squad_keeps_its_meaning(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "context": "Ada.", "question": "Who?", "answers": {"text": ["Ada"], "answer_start": [0]}},
        {"id": "b", "context": "Ada.", "question": "Why?", "answers": {"text": [], "answer_start": []}},
    ]
    address = repository(tmp_path / "squadlike", {"validation": rows})
    dataset = load_dataset(address, examples="all")
    assert (dataset.version, dataset.labelled) == ("2.0", 2)
    assert [e.metadata["difficulty"] for e in dataset] == ["easy", "hard"]


def test_pictures_are_left_out_and_that_is_said(tmp_path: Path) -> None:
    import datasets

    folder = tmp_path / "pictures"
    features = datasets.Features({"question": datasets.Value("string"), "picture": datasets.Image()})
    data = datasets.Dataset.from_dict({"question": ["Who?"], "picture": [None]}, features=features)
    folder.mkdir()
    data.to_parquet(str(folder / "train.parquet"))
    dataset = load_dataset(f"hub:{folder}")
    assert dataset.fields == ("question",)
    assert dataset.notes[1] == f"Left out of {folder}, as they are not text: picture."
