"""Datasets from anywhere: each kind of file, columns, references, ids, notes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_eval.data import Dataset, load_dataset
from qa_eval.data.identity import content_text
from qa_eval.data.nested import Layout, flatten
from qa_eval.errors import DatasetError, InputError
from qa_eval.spec.model import ColumnsSpec, DatasetSpec

FRANCE = {"question": "What is the capital of France?", "answer": "Paris", "product": "maps"}
SPAIN = {"question": "What is the capital of Spain?", "answer": "Madrid", "product": "atlas"}


def csv(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows in the format that the ending names."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix in (".csv", ".tsv"):
        separator = "," if path.suffix == ".csv" else "\t"
        lines = [separator.join(rows[0]), *(separator.join(map(str, row.values())) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def whole(path: Path, **options: Any) -> Dataset:
    return load_dataset(path, examples="all", **options)


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".CSV"])
def test_every_kind_of_file_gives_the_same_examples(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"q{ending}"
    write(tmp_path / f"q{ending.lower()}", [FRANCE, SPAIN]).rename(path)
    dataset = whole(path)
    assert [(e.question, e.references, dict(e.metadata)) for e in dataset] == [
        ("What is the capital of France?", ("Paris",), {"product": "maps"}),
        ("What is the capital of Spain?", ("Madrid",), {"product": "atlas"}),
    ]
    content = '["What is the capital of France?","",["Paris"],"",{"product":"maps"}]'
    assert dataset.examples[0].id == hashlib.sha256(content.encode()).hexdigest()[:16]
    assert {e.group for e in dataset} == {e.id for e in dataset}
    assert (dataset.name, dataset.version, dataset.labelled) == ("q", "1.1", 2)
    assert dataset.notes == (f"Columns of {path}: question from question; references from answer; metadata: product.",)


def test_a_header_with_semicolons_is_read_with_semicolons(tmp_path: Path) -> None:
    path = csv(tmp_path / "q.csv", "\ufeffQuestion;Antwort\nWo, bitte?;Hier\n")
    dataset = whole(path, columns={"references": "Antwort"})
    assert [(e.question, e.references) for e in dataset] == [("Wo, bitte?", ("Hier",))]


@pytest.mark.parametrize(
    ("names", "question", "references"),
    [
        ("input,expected", "input", "expected"),
        ("PROMPT,Target", "PROMPT", "Target"),
        ("query,output", "query", "output"),
        ("prompt,question,expected,answer", "question", "answer"),
        ("query, Input ,answers,references", "Input", "answers"),
    ],
)
def test_columns_are_found_by_the_usual_names(tmp_path: Path, names: str, question: str, references: str) -> None:
    path = csv(tmp_path / "q.csv", f"{names}\n{','.join(f'value of {n.strip()}' for n in names.split(','))}\n")
    (example,) = whole(path)
    assert (example.question, example.references) == (f"value of {question}", (f"value of {references}",))
    others = {name.strip() for name in names.split(",")} - {question, references}
    assert example.metadata == {name: f"value of {name}" for name in others}


def test_columns_can_be_given(tmp_path: Path) -> None:
    row = {"q": "Who?", "answer": "Ada", "also_right": ["Lovelace", ""], "question": "no", "customer": 7, "text": "T"}
    path = write(tmp_path / "q.jsonl", [row])
    text = "question=q,references=answer+also_right,group=customer,context=text"
    mapping = {"question": "q", "references": ["answer", "also_right"], "group": "customer", "context": "text"}
    dataset = whole(path, columns=text)
    assert dataset.examples == whole(path, columns=mapping).examples
    assert dataset.examples == whole(path, columns=ColumnsSpec.model_validate(mapping)).examples
    (example,) = dataset
    assert (example.question, example.references, example.group) == ("Who?", ("Ada", "Lovelace"), "7")
    assert (example.context, example.metadata) == ("T", {"question": "no", "customer": 7})
    assert dataset.fields == ("question", "context", "customer")
    assert dataset.notes == (
        f"Columns of {path}: question from q; context from text; references from answer, also_right; "
        "group from customer; metadata: question, customer.",
    )


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    path = write(tmp_path / "q.csv", [FRANCE])
    with pytest.raises(
        DatasetError, match=r"has no column 'anwser', .* for the references: give answer, or another one of question"
    ):
        whole(path, columns="references=anwser")
    with pytest.raises(DatasetError, match="give one of question, answer, product"):
        whole(path, columns="group=zzz")
    with pytest.raises(InputError, match=r"`columns` is 'nonsense': must be like question=q"):
        whole(path, columns="nonsense")
    with pytest.raises(DatasetError, match=r"no column for the question \(it has: a, b\): name one with `columns`"):
        whole(csv(tmp_path / "x.csv", "a,b\n1,2\n"))


@pytest.mark.parametrize(
    ("cell", "references"),
    [
        (["a", "b", ""], ("a", "b")),
        ("a", ("a",)),
        ("", ()),
        ("  ", ()),
        (None, ()),
        ([], ()),
        ([None, 3, True, 2.5, 4.0], ("3", "true", "2.5", "4")),
        (1815, ("1815",)),
        (False, ("false",)),
        ({"text": ["a"], "answer_start": [0]}, ("a",)),
        ([{"text": "a", "answer_start": 0}], ("a",)),
        ("[not a list", ("[not a list",)),
    ],
)
def test_references_of_json(tmp_path: Path, cell: Any, references: tuple[str, ...]) -> None:
    (example,) = whole(write(tmp_path / "q.json", [{"question": "?", "answers": cell}]))
    assert example.references == references


@pytest.mark.parametrize(
    ("cell", "references"),
    [
        ('["a", "b"]', ("a", "b")),
        ("['a', \"b's\"]", ("a", "b's")),
        ("[]", ()),
        ("", ()),
        ("plain", ("plain",)),
        ("[sic] plain", ("[sic] plain",)),
        ("{1, 2}", ("{1, 2}",)),
        ('{"text": ["a"], "answer_start": [1]}', ("a",)),
    ],
)
def test_references_of_csv(tmp_path: Path, cell: str, references: tuple[str, ...]) -> None:
    quoted = cell.replace('"', '""')
    (example,) = whole(csv(tmp_path / "q.csv", f'question,answers\n?,"{quoted}"\n'))
    assert example.references == references


def test_lists_in_parquet_and_dates(tmp_path: Path) -> None:
    import datetime

    rows = [{"query": "?", "references": ["a", "b"], "document": ["D1", "", "D2"], "at": datetime.date(2026, 1, 2)}]
    (example,) = whole(write(tmp_path / "q.parquet", rows))
    assert (example.references, example.context) == (("a", "b"), "D1\n\nD2")
    assert example.metadata == {"at": "2026-01-02"}


def test_without_references_that_is_said(tmp_path: Path) -> None:
    dataset = whole(csv(tmp_path / "q.csv", "question,answer\nA?,x\nB?,\nC?,\n"))
    assert (dataset.version, dataset.labelled, dataset.notes[-1]) == ("1.1", 1, "2 of 3 examples have no reference.")
    dataset = whole(csv(tmp_path / "r.csv", "question\nA?\n"))
    assert dataset.notes[-1] == "1 of 1 examples has no reference."


def test_equal_rows_are_counted_and_dropped(tmp_path: Path) -> None:
    path = csv(tmp_path / "q.csv", "question,answer\nA?,x\nB?,y\nA?,x\nA?,z\nA?,x\n")
    dataset = whole(path)
    assert [(e.question, *e.references) for e in dataset] == [("A?", "x"), ("B?", "y"), ("A?", "z")]
    assert dataset.notes[-1] == f"2 lines of {path} equal earlier ones and are left out."
    assert len(load_dataset(path)) == 3
    assert load_dataset(path, examples=2).name == "q-2-seed-0"


def test_ids_come_from_the_file_or_the_content(tmp_path: Path) -> None:
    first = whole(csv(tmp_path / "a.csv", "ID,question\n7,A?\n8.0,B?\n"))
    assert [e.id for e in first] == ["7", "8.0"]
    one, other = (whole(csv(tmp_path / f"{n}.csv", "question,b,c\nA?,1,2\n")) for n in "xy")
    assert one.fingerprint == other.fingerprint
    (again,) = whole(write(tmp_path / "z.jsonl", [{"c": "2", "b": "1", "question": "A?"}]))
    assert again.id == one.examples[0].id


def test_rows_as_phoenix_keeps_them(tmp_path: Path) -> None:
    rows = [
        {"input": {"text": "A?"}, "output": {"value": "x"}, "metadata": {"tier": "gold", "value": 1}},
        {"input": {"text": "B?"}, "output": {}, "metadata": {"tier": "free"}},
    ]
    dataset = whole(write(tmp_path / "q.jsonl", rows))
    assert [(e.question, e.references) for e in dataset] == [("A?", ("x",)), ("B?", ())]
    assert dataset.examples[0].metadata == {"tier": "gold", "metadata.value": 1}
    parquet = whole(write(tmp_path / "q.parquet", rows))
    assert [(e.question, e.references) for e in parquet] == [("A?", ("x",)), ("B?", ())]


def test_the_question_among_several_keys_of_an_input() -> None:
    layout = Layout()
    row = {
        "input": {"Query": "A?", "user": "u"},
        "output": {"label": "x", "answer": "y"},
        "metadata": {"question": "m"},
    }
    layout.add(row)
    assert layout.hints == {"question": "Query", "references": "answer"}
    assert flatten(row) == {"Query": "A?", "user": "u", "label": "x", "answer": "y", "question": "m"}


def test_a_specification_is_overridden_by_arguments(tmp_path: Path) -> None:
    path = write(tmp_path / "q.csv", [FRANCE, SPAIN])
    spec = DatasetSpec.model_validate({"path": str(path), "examples": 1, "seed": 3, "name": "capitals"})
    assert (load_dataset(spec).name, len(load_dataset(spec)), load_dataset(spec).named) == ("capitals", 1, True)
    assert len(load_dataset(spec, examples=100)) == 2
    assert load_dataset(spec, name="other").name == "other"


def test_stratified_by_a_column(tmp_path: Path) -> None:
    rows = [{"question": f"{i}?", "product": "loom" if i % 5 else "gauge"} for i in range(50)]
    dataset = load_dataset(write(tmp_path / "q.jsonl", rows), examples=10, stratify_by="product")
    assert sum(e.metadata["product"] == "gauge" for e in dataset) == 2
    assert dataset.name == "q-10-seed-0-by-product"


def test_what_is_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError, match=r"There is no dataset file sampel: did you mean sample\?"):
        load_dataset("sampel")
    with pytest.raises(DatasetError, match="or give hub:org/name for a dataset of the hub"):
        load_dataset("org/name")
    with pytest.raises(DatasetError, match=r"There is no dataset file none\.csv: check the path"):
        load_dataset("none.csv")
    with pytest.raises(InputError, match="`columns` cannot be given for sample"):
        load_dataset("sample", columns="question=q")
    with pytest.raises(InputError, match="phoenix:x needs a running Phoenix: give its URL as `phoenix`"):
        load_dataset("phoenix:x")


texts = st.text(st.characters(codec="utf-8"), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts, lambda inner: st.lists(inner, max_size=2), max_leaves=3
)


@given(texts, texts, st.lists(texts, max_size=3), texts, st.dictionaries(texts, values, max_size=3))
@settings(max_examples=200)
def test_the_canonical_text_is_json(q: str, c: str, refs: list[str], group: str, metadata: dict[str, Any]) -> None:
    """Feature: litellm-ecs-demo, Property: the canonical text is the JSON of the content, sorted, however made."""
    expected = json.dumps([q, c, refs, group, metadata], ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert content_text(q, c, tuple(refs), group, metadata) == expected
