"""
The documents that are written by the code: `docs/modules.md` and `docs/events.md`.

`manage.py modules` writes them from what is registered and declared; a test fails while the files
in the repository differ from it.
"""

from collections.abc import Iterator
from pathlib import Path

from payflow.documentation import events_page, modules_page


def documents(root: Path) -> dict[Path, str]:
    """Every generated document by its path, as the code would write it now."""
    return {
        root / "docs" / "modules.md": modules_page.written(),
        root / "docs" / "events.md": events_page.written(),
    }


def stale(root: Path) -> Iterator[Path]:
    """The generated documents whose files are missing or differ from the code."""
    for path, text in documents(root).items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            yield path
