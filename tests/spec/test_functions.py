"""Own functions, found by module:function beside the specification."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from qa_eval.errors import InputError
from qa_eval.spec.functions import import_function


def test_a_function_beside_the_specification_is_found(tmp_path: Path) -> None:
    (tmp_path / "own_pipeline.py").write_text("class Rag:\n    @staticmethod\n    def answer(e): return 'x'\n")
    assert import_function("own_pipeline:Rag.answer", tmp_path)(None) == "x"
    assert str(tmp_path) not in sys.path


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("nowhere_at_all:answer", "There is no module 'nowhere_at_all' for nowhere_at_all:answer"),
        ("broken_module:answer", r"broken_module cannot be imported \(ZeroDivisionError: division by zero\)"),
        ("needs_other:answer", "needs_other cannot be imported .ModuleNotFoundError: No module named 'not_here'"),
        ("plain_module:missing", "plain_module has no 'missing'"),
        ("plain_module:number", "plain_module has something else than a function as 'number'"),
    ],
)
def test_what_cannot_be_found_is_one_sentence(address: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "broken_module.py").write_text("1 / 0\n")
    (tmp_path / "needs_other.py").write_text("import not_here\n")
    (tmp_path / "plain_module.py").write_text("number = 1\n")
    with pytest.raises(InputError, match=sentence):
        import_function(address, tmp_path)
