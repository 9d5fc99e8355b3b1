"""The repository as a reader sees it: its files, and what the code in them reads."""

import re
import subprocess
from functools import cache
from pathlib import Path

from payflow.runtime.home import PROJECT

MODULES = ("payments", "fraud", "ledger", "merchants", "notifications", "audit")

_READ = (
    # payflow.env and payflow.runtime.variables, whatever they are called where they are used
    re.compile(r"\b(?:text|number|flag|names|secret|database)\(\s*[\"']([A-Z][A-Z0-9_]+)[\"']"),
    re.compile(r"os\.environ(?:\.get\(|\.pop\(|\[)[\"']([A-Z][A-Z0-9_]+)[\"']"),
    re.compile(r"^VARIABLE = \"([A-Z][A-Z0-9_]+)\"$", re.MULTILINE),
)


@cache
def files() -> tuple[Path, ...]:
    """Everything that is, or is about to be, part of the repository; never what is ignored."""
    if (PROJECT / ".git").exists():
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        listed = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
        names = [name for name in listed.stdout.split("\0") if name]
    else:
        names = [
            str(path.relative_to(PROJECT))
            for path in PROJECT.rglob("*")
            if not any(part in {".venv", ".payflow", "__pycache__"} for part in path.parts)
        ]
    return tuple(PROJECT / name for name in sorted(names) if (PROJECT / name).is_file())


@cache
def texts() -> dict[str, str]:
    """Every text file of the repository by its path from the root."""
    found = {}
    for path in files():
        content = path.read_bytes()
        if b"\0" not in content:
            found[str(path.relative_to(PROJECT))] = content.decode()
    return found


@cache
def variables_read() -> frozenset[str]:
    """Every environment variable that the product's code reads by name; not what bench takes."""
    return frozenset(
        name
        for path, text in texts().items()
        if path.endswith(".py") and "/tests/" not in path and "/bench/" not in path
        for pattern in _READ
        for name in pattern.findall(text)
    )
