"""What runbooks say to type exists: commands, verbs, options, tables, columns, files."""

import re
import shlex
from pathlib import Path

import pytest
from django.core.management import CommandError, get_commands, load_command_class
from django.db import connection

ROOT = Path(__file__).resolve().parents[3]
RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"manage\.py ((?:\w+)(?: [^`#\n]*)?)")


def blocks(language: str) -> list[tuple[str, str]]:
    """What stands in code blocks of a language, per runbook."""
    return [
        (path.name, block)
        for path in RUNBOOKS
        for found, block in _FENCE.findall(path.read_text())
        if found == language
    ]


def typed() -> list[tuple[str, str]]:
    """Every `manage.py …` that is to be typed."""
    return [(name, c.strip()) for name, text in blocks("sh") for c in _COMMAND.findall(text)]


def named() -> list[tuple[str, str]]:
    """Every `manage.py …` that a sentence names, perhaps without all it takes."""
    texts = [(path.name, _FENCE.sub("", path.read_text())) for path in RUNBOOKS]
    return [(name, c.strip()) for name, text in texts for c in _COMMAND.findall(text)]


def queries() -> list[tuple[str, str]]:
    """Every SQL statement of every runbook."""
    return [
        (name, statement.strip())
        for name, block in blocks("sql")
        for statement in block.split(";")
        if statement.strip()
    ]


def parse(text: str) -> None:
    """Parse a command as `manage.py` would. Raises: CommandError."""
    name, *arguments = shlex.split(text)
    app = get_commands()[name]
    command = load_command_class(app, name) if isinstance(app, str) else app
    parser = command.create_parser("manage.py", name)
    if arguments:
        parser.parse_args(arguments)


class TestRunbooks:
    @pytest.mark.parametrize(("runbook", "command"), typed())
    def test_commands_can_be_typed(self, runbook: str, command: str) -> None:
        parse(command)

    @pytest.mark.parametrize(("runbook", "command"), named())
    def test_commands_that_are_named_exist(self, runbook: str, command: str) -> None:
        with pytest.raises(SystemExit) as ended:
            parse(f"{command} --help")
        assert ended.value.code == 0

    @pytest.mark.django_db
    @pytest.mark.parametrize(("runbook", "query"), queries())
    def test_queries_run(self, runbook: str, query: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(query)

    def test_would_find_a_command_that_is_gone(self) -> None:
        for wrong in ("event list", "events lst", "events list --parkd", "events skip 1"):
            with pytest.raises((CommandError, KeyError)):
                parse(wrong)

    def test_are_all_in_the_index(self) -> None:
        index = (ROOT / "docs" / "runbooks" / "README.md").read_text()
        for path in RUNBOOKS:
            assert path.name == "README.md" or f"]({path.name})" in index, path.name

    def test_name_metrics_that_exist(self) -> None:
        sources = "".join(
            path.read_text()
            for path in (ROOT / "payflow/api/metrics.py", ROOT / "shared/event_bus/_metrics.py")
        )
        for path in RUNBOOKS:
            for kind, name in re.findall(
                r"payflow_(listener|intent|database|job)_([a-z_]+)", path.read_text()
            ):
                known = (f'"{name}"', f"payflow_{kind}_{name}")
                assert any(text in sources for text in known), f"payflow_{kind}_{name}"
