"""The shape of the package: imports point one way, and starting stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import qa_eval

PACKAGE = Path(qa_eval.__file__).parent
LEAVES = {"errors", "paths", "words", "address", "retries", "litellm_sdk", "_version"}
ALLOWED = {
    "tracing": LEAVES,
    "statistics": {"errors"},
    "blueprint": {"errors"},
    "embedding": LEAVES,
    "spec": LEAVES,
    "phoenix": LEAVES | {"spec"},
    "data": LEAVES | {"spec", "phoenix"},
    "chatbot": LEAVES | {"blueprint"},
    "aws": LEAVES | {"blueprint", "chatbot"},
    "targets": LEAVES | {"spec", "data", "tracing", "blueprint", "chatbot", "aws"},
    "metrics": LEAVES | {"spec", "data", "embedding", "tracing"},
    "distributed": LEAVES | {"spec", "data", "embedding", "tracing", "targets", "metrics"},
    "experiment": LEAVES
    | {
        "disk",
        "spec",
        "data",
        "metrics",
        "targets",
        "tracing",
        "embedding",
        "phoenix",
        "statistics",
        "blueprint",
        "distributed",
    },
    "analysis": LEAVES | {"spec", "data", "metrics", "targets", "experiment", "statistics", "phoenix"},
    "reporting": LEAVES | {"data", "targets", "metrics", "analysis", "statistics"},
    "pytest_plugin": LEAVES | {"analysis"},
    "gateway_admin": LEAVES,
    "virtual_keys": LEAVES | {"gateway_admin"},
    "gateway_check": LEAVES | {"blueprint", "targets", "gateway_admin"},
    "stack": LEAVES | {"blueprint", "embedding"},
    "servers": LEAVES | {"spec", "data", "experiment", "aws", "stack"},
    "run": LEAVES | {"spec", "data", "experiment", "analysis", "targets", "metrics", "blueprint", "servers", "phoenix"},
    "deployment": LEAVES
    | {"", "run", "aws", "blueprint", "chatbot", "data", "experiment", "gateway_check", "targets", "analysis", "spec"}
    | {"virtual_keys"},
    "disk": {"errors", "paths"},
    "doctor": LEAVES | {"blueprint", "stack", "deployment"},
    "cli": LEAVES
    | {
        "",
        "run",
        "servers",
        "spec",
        "data",
        "experiment",
        "analysis",
        "targets",
        "metrics",
        "stack",
        "blueprint",
        "chatbot",
        "aws",
        "deployment",
        "doctor",
        "disk",
        "gateway_check",
        "virtual_keys",
        "phoenix",
    },
}


def imports_of(path: Path) -> set[str]:
    """The rooms of ours that a file imports, wherever in it; the package itself is the empty name."""
    rooms: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [
                f"{node.module}.{alias.name}" if node.module == "qa_eval" else str(node.module) for alias in node.names
            ]
        else:
            continue
        for module in modules:
            head, *rest = module.split(".")
            if head == "qa_eval":
                room = rest[0] if rest else ""
                rooms.add(room if (PACKAGE / room).is_dir() or (PACKAGE / f"{room}.py").exists() else "")
    return rooms


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_imports_point_one_way(room: str) -> None:
    folder = PACKAGE / room
    files = list(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    assert files
    for path in files:
        foreign = imports_of(path) - ALLOWED[room] - {room}
        assert not foreign, f"{path.relative_to(PACKAGE)} imports {foreign}"


def test_every_room_is_ruled() -> None:
    rooms = {path.stem for path in PACKAGE.iterdir() if path.is_dir() or path.suffix == ".py"} - {
        "__init__",
        "__pycache__",
    }
    assert rooms == ALLOWED.keys() | LEAVES


def modules_of(room: str) -> dict[str, Path]:
    """The modules of a room by their full names."""
    folder = PACKAGE / room
    return {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in folder.rglob("*.py")
    }


def imported_modules(path: Path) -> set[str]:
    """Every module of ours that a file names in an import, at the top or inside a function."""
    named: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # A module that is taken from its package does not need what else the package has.
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = (PACKAGE.parent / inner.replace(".", "/")).with_suffix(".py").exists()
                named.add(inner if is_module else node.module)
    return named


@pytest.mark.parametrize("room", sorted(name for name in ALLOWED if (PACKAGE / name).is_dir()))
def test_no_room_has_a_circle(room: str) -> None:
    modules = modules_of(room)
    left = {name: imported_modules(path) & modules.keys() - {name} for name, path in modules.items()}
    while free := [name for name, needs in left.items() if not needs & left.keys()]:
        for name in free:
            del left[name]
    assert not left, f"these import each other: {left}"


def test_no_file_is_too_long_to_read() -> None:
    infra = PACKAGE.parents[1] / "infra"
    files = [*PACKAGE.rglob("*.py"), *infra.rglob("*.py")]
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {str(path): length for path, length in lengths.items() if length > 400} == {}


def loaded_by(code: str) -> set[str]:
    script = f"{code}\nimport sys; print(*(name.split('.')[0] for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


HEAVY = {
    "litellm",
    "phoenix",
    "pandas",
    "numpy",
    "scipy",
    "onnxruntime",
    "datasets",
    "pydantic",
    "httpx",
    "aiohttp",
} | {"ray"}


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not loaded_by("import qa_eval") & (HEAVY | {"typer", "rich"})


def test_the_commands_help_loads_nothing_heavy() -> None:
    code = "import qa_eval.cli.main as m\ntry: m.app(['--help'])\nexcept SystemExit: pass"
    assert not loaded_by(code) & HEAVY


def test_every_exported_name_is_there_and_sorted() -> None:
    assert qa_eval.__all__ == sorted(qa_eval.__all__)
    for name in qa_eval.__all__:
        assert getattr(qa_eval, name) is not None
    with pytest.raises(AttributeError):
        _ = qa_eval.nothing_of_this_name


def test_the_top_folder_of_data_does_not_shadow_the_library() -> None:
    assert not (PACKAGE.parents[1] / "datasets" / "__init__.py").exists()
