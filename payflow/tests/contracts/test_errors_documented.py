"""`docs/errors.md` lists every code that an answer can carry, with its status, and no other."""

import ast
import inspect
import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from payflow.runtime.web import refusal
from payflow.tests.contracts.repository import MODULES, texts
from shared import errors
from shared.errors import DomainError
from shared.http import problems

_ROW = re.compile(r"^\| `([a-z_]+)` \| ([0-9]{3}) \| (.+) \|$", re.MULTILINE)
# Kinds that are raised only as one of their subclasses.
_ABSTRACT = frozenset(
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if kind.__module__ == errors.__name__
)


def documented() -> dict[str, int]:
    rows = _ROW.findall(texts()["docs/errors.md"])
    assert len({code for code, *_ in rows}) == len(rows), "a code is listed twice"
    return {code: int(status) for code, status, _ in rows}


def declared() -> dict[str, int]:
    """Codes of the errors that modules and `shared` declare beside their raisers."""
    for package in (*MODULES, "shared"):
        for found in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
            if not re.search(r"\.(tests|testing|migrations)\b", found.name):
                import_module(found.name)
    return {error().code: error.status for error in _below(DomainError)}


def _below(kind: type[DomainError]) -> Iterator[type[DomainError]]:
    for error in kind.__subclasses__():
        if error not in _ABSTRACT and ".tests." not in error.__module__:
            yield error
        yield from _below(error)


def written_out() -> dict[str, int]:
    """Codes that stand as text in calls of `problem` and `problem_response`."""
    found = {}
    for path, text in texts().items():
        if path.endswith(".py") and "/tests/" not in path:
            for call in ast.walk(ast.parse(text)):
                match call:
                    case ast.Call(
                        func=ast.Name(id="problem" | "problem_response"),
                        args=[ast.Constant(value=int(status)), ast.Constant(value=str(code)), *_],
                    ):
                        found[code] = status
    return found


def of_the_framework() -> dict[str, int]:
    framework: dict[Any, str] = dict(problems._FRAMEWORK_CODES)
    codes = {code: kind.status_code for kind, code in framework.items()}
    # We name a scheme in `WWW-Authenticate`, so Django REST framework keeps 401.
    fields = dict.fromkeys({*problems._FIELD_CODES, "validation_failed"}, 400)
    of_django = {code: status for status, code, _ in problems._DJANGO_PROBLEMS.values()}
    return codes | fields | of_django


def of_the_server() -> dict[str, int]:
    """What is refused before there is a request that the application could see."""
    refusals = [each for each in vars(refusal).values() if isinstance(each, refusal.Refusal)]
    return {each.code: int(each.status) for each in refusals}


class TestErrors:
    def test_finds_each_kind(self) -> None:
        assert declared()["payment_not_found"] == 404
        assert written_out()["body_too_large"] == 413
        assert of_the_framework()["malformed_body"] == 400

    @pytest.mark.parametrize("source", [declared, written_out, of_the_framework, of_the_server])
    def test_are_all_documented(self, source: object) -> None:
        codes = source()  # type: ignore[operator]
        assert {code: documented().get(code) for code in codes} == codes

    def test_documented_ones_all_exist(self) -> None:
        assert (
            set(documented())
            - {
                *declared(),
                *written_out(),
                *of_the_framework(),
                *of_the_server(),
            }
            == set()
        )

    def test_raise_only_what_can_be_documented(self) -> None:
        """A bare kind would put `conflict` or `not_found` on the wire, which explains nothing."""
        kinds = "|".join(kind.__name__ for kind in _ABSTRACT)
        bare = [
            path
            for path, text in texts().items()
            if path.endswith(".py")
            and "/tests/" not in path
            and re.search(rf"\braise (errors\.)?({kinds})\b", text)
        ]
        assert bare == []
