"""Environment variables as the runtime sees them: empty is unset, libpq's own do not exist."""

import os
import re
from collections.abc import Mapping

_LIBPQ = re.compile(r"PG[A-Z]+")
_OF_THE_SYSTEM = re.compile(
    r"PATH|HOME|LANG|LANGUAGE|LC_[A-Z]+|TZ|TMPDIR|LD_LIBRARY_PATH|VIRTUAL_ENV|NO_COLOR"
    r"|PYTHON[A-Z]+|COVERAGE_[A-Z_]+"
)


def text(name: str, default: str = "", *, source: Mapping[str, str] | None = None) -> str:
    """The variable, or the default when it is unset or empty."""
    return (os.environ if source is None else source).get(name) or default


def without_libpq(source: Mapping[str, str]) -> dict[str, str]:
    """A copy without `PGHOST`, `PGSERVICE` and their kind, which would bend every connection."""
    return {name: value for name, value in source.items() if not _LIBPQ.fullmatch(name)}


def of_the_system(source: Mapping[str, str]) -> dict[str, str]:
    """What any program needs to run at all, and nothing that is a secret of ours or another's."""
    return {name: value for name, value in source.items() if _OF_THE_SYSTEM.fullmatch(name)}


def forget_libpq() -> None:
    """Removes libpq's variables from this process, because libpq reads them behind our back."""
    for name in set(os.environ) - set(without_libpq(os.environ)):
        del os.environ[name]
