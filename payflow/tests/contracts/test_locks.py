"""The locks hold on any later day, also for the oldest pip that comes with a Python of ours."""

import re
import tomllib
from collections.abc import Iterator
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from payflow.tests.contracts.repository import texts

_SERVING, _ALL = ["redis", "stripe"], ["redis", "stripe", "embedded"]
LOCKS = {"production": _SERVING, "run": _ALL, "dev": _ALL}
_PIN = re.compile(r"([a-z0-9.-]+)(?:\[([a-z, ]+)\])?==\S+ .*--hash=sha256:[0-9a-f]{64}")


def pins_of(lock: str) -> dict[str, set[str]]:
    """The packages that a lock pins, each with the extras of its pin."""
    lines = texts()[f"requirements/{lock}.txt"].replace("\\\n", " ").splitlines()
    found = {}
    for line in lines:
        pin = _PIN.match(line)
        assert pin is not None, line[:100]
        found[pin[1]] = {extra.strip() for extra in (pin[2] or "").split(",")} - {""}
    return found


def demanded(lock: str, pins: dict[str, set[str]]) -> Iterator[Requirement]:
    """What the project and every pinned package ask for, here and with these extras."""
    project = tomllib.loads(texts()["pyproject.toml"])
    asked = list(project["project"]["dependencies"])
    for extra in LOCKS[lock]:
        asked += project["project"]["optional-dependencies"][extra]
    if lock == "dev":
        asked += project["dependency-groups"]["dev"]
    for name, extras in pins.items():
        for text in metadata.distribution(name).requires or []:
            marker = Requirement(text).marker
            if marker is None or any(marker.evaluate({"extra": each}) for each in extras | {""}):
                asked.append(text)
    yield from map(Requirement, asked)


def extras_without_a_pin(lock: str, pins: dict[str, set[str]]) -> list[str]:
    """What an old pip would look for without a hash, at whatever version is newest that day."""
    return [
        str(requirement)
        for requirement in demanded(lock, pins)
        if requirement.extras - pins.get(canonicalize_name(requirement.name), set())
    ]


def installed_pins(lock: str) -> dict[str, set[str]]:
    """Pins of what is installed here: some are for other systems or versions of Python."""
    here = {canonicalize_name(found.name) for found in metadata.distributions()}
    return {name: extras for name, extras in pins_of(lock).items() if name in here}


class TestLocks:
    @pytest.mark.parametrize("lock", LOCKS)
    def test_are_locked_by_hash(self, lock: str) -> None:
        assert len(pins_of(lock)) > 20

    @pytest.mark.parametrize("lock", LOCKS)
    def test_pin_extras_with_what_they_are_extras_of(self, lock: str) -> None:
        assert extras_without_a_pin(lock, installed_pins(lock)) == []

    @pytest.mark.parametrize("lock", LOCKS)
    def test_that_dropped_them_would_be_found(self, lock: str) -> None:
        dropped = {name: set[str]() for name in installed_pins(lock)}
        assert any("psycopg[binary]" in text for text in extras_without_a_pin(lock, dropped))

    def test_of_running_are_those_of_testing(self) -> None:
        """`make test` adds to what `make run` has installed and changes none of it."""
        versions = {
            lock: re.findall(r"(?m)^[a-z].*==\S+", texts()[f"requirements/{lock}.txt"])
            for lock in LOCKS
        }
        assert set(versions["run"]) <= set(versions["dev"])
        names = {re.split(r"[\[=]", pin)[0] for pin in versions["run"]}
        assert names.isdisjoint({"pytest", "mypy", "ruff", "coverage", "hypothesis"})
