"""The little Markdown that the generated documents are made of."""

import re
from collections.abc import Iterable, Sequence

NOTICE = "<!-- Written by `manage.py modules` from the code; edits here are lost. -->"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells must hold no line breaks."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def bullets(lines: Iterable[str]) -> str:
    """A list."""
    return "\n".join(f"- {line}" for line in lines)


def code(text: str) -> str:
    """Text in the type of code."""
    return f"`{text}`"


def codes(texts: Iterable[str]) -> str:
    """Several texts in the type of code."""
    return ", ".join(map(code, texts))


def fence(language: str, text: str) -> str:
    """A block of code."""
    return f"```{language}\n{text}\n```"


def folded(title: str, text: str) -> str:
    """Something long, shown when it is asked for."""
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"


def anchor(heading: str) -> str:
    """The link target that a heading becomes."""
    return "#" + re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def page(*paragraphs: str) -> str:
    """A document of paragraphs; empty ones are left out."""
    return "\n\n".join(paragraph.strip("\n") for paragraph in paragraphs if paragraph) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
