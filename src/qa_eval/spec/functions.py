"""The user's own functions, found by module:function."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from qa_eval.errors import InputError


def import_function(address: str, folder: Path) -> Callable[..., Any]:
    """A function by its address.

    Args:
        address: module:function
        folder: Searched for the module before the installed packages.

    Raises:
        InputError: The module or the function is missing, cannot be imported, or cannot be called.
    """
    module_name, _, name = address.partition(":")
    with _searched_first(folder):
        try:
            function: Any = import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
                raise InputError(
                    f"There is no module {module_name!r} for {address}: put it beside the specification, or install it."
                ) from None
            raise InputError(f"{module_name} cannot be imported ({_problem(error)}): correct it.") from error
        except Exception as error:
            raise InputError(f"{module_name} cannot be imported ({_problem(error)}): correct it.") from error
    for part in name.split("."):
        function = getattr(function, part, None)
    if not callable(function):
        problem = "has no" if function is None else "has something else than a function as"
        raise InputError(f"{module_name} {problem} {name!r}: check {address}.")
    return function  # type: ignore[no-any-return]


@contextmanager
def _searched_first(folder: Path) -> Iterator[None]:
    added = str(folder.absolute())
    sys.path.insert(0, added)
    try:
        yield
    finally:
        sys.path.remove(added)


def _problem(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0].removesuffix(": ")
