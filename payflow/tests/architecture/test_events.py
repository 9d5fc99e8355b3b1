"""Contracts are what they promise, and every canvas tells the truth."""

import dataclasses
import importlib
import json
import re
from typing import Any

import pytest

from payflow.tests.architecture.checks import MODULES
from shared import clock
from shared.event_bus import _registry
from shared.events import catalogue
from shared.events.base import DomainEvent
from shared.identifiers import new_id

CONTRACTS = list(catalogue.contracts())
TYPE = re.compile(r"([A-Z][A-Za-z]+\.){2}[A-Z][A-Za-z]+")


def example(contract: type[DomainEvent]) -> DomainEvent:
    values: dict[str, Any] = {}
    for field in dataclasses.fields(contract):
        kind = str(field.type)
        if "int" in kind:
            values[field.name] = 25_000
        elif "tuple" in kind:
            values[field.name] = ("one", "two")
        elif field.name == "currency":
            values[field.name] = "USD"
        elif field.name == "occurred_at":
            values[field.name] = clock.iso(clock.now())
        else:
            values[field.name] = str(new_id())
    return contract(**values)


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda c: c.event_type)
class TestContract:
    def test_is_a_frozen_keyword_only_dataclass(self, contract: type[DomainEvent]) -> None:
        with pytest.raises(dataclasses.FrozenInstanceError):
            example(contract).event_id = "other"  # type: ignore[misc]
        with pytest.raises(TypeError):
            contract("positional")  # type: ignore[call-arg]

    def test_says_when_it_is_published(self, contract: type[DomainEvent]) -> None:
        assert (contract.__doc__ or "").strip().startswith("Published when")

    def test_has_a_type_of_three_words(self, contract: type[DomainEvent]) -> None:
        assert TYPE.fullmatch(contract.event_type)

    def test_survives_the_way_through_json(self, contract: type[DomainEvent]) -> None:
        event = example(contract)
        base = {name: getattr(event, name) for name in sorted(_base_fields())}

        restored = contract.restored(json.loads(json.dumps(event.stored())), **base)

        assert restored == event

    def test_leaves_in_camel_case_with_money_in_major_units(
        self, contract: type[DomainEvent]
    ) -> None:
        envelope = example(contract).envelope()

        assert envelope["type"] == f"{contract.event_type}.v{contract.version}"
        assert not [key for key in envelope["payload"] if "_" in key or key.endswith("Minor")]
        assert envelope["payload"].get("amount", "250.00") == "250.00"


class TestCatalogue:
    def test_names_every_type_once(self) -> None:
        types = [(contract.event_type, contract.version) for contract in CONTRACTS]
        assert len(types) == len(set(types))

    def test_is_stored_under_names_of_their_module(self) -> None:
        for name in (*_registry.listeners, *_registry.intents):
            assert name.partition(".")[0] in MODULES

    def test_refuses_to_register_an_id_twice(self) -> None:
        with pytest.raises(_registry.AlreadyRegistered):
            _registry.listener("audit.record_event")(lambda events: None)


class TestCanvas:
    @pytest.mark.parametrize("module", MODULES)
    def test_names_what_the_module_listens_to(self, module: str) -> None:
        heard = {
            event.event_type
            for entry in _registry.listeners.values()
            if entry.id.startswith(f"{module}.")
            for event in _registry.listened_events(entry)
        }
        canvas = _section(module, "Listens to")
        if module == "audit":
            assert canvas == "every event"
        else:
            assert set(TYPE_IN_TEXT.findall(canvas)) == heard

    @pytest.mark.parametrize("module", MODULES)
    def test_names_what_the_module_publishes(self, module: str) -> None:
        published = {
            contract.event_type
            for contract in CONTRACTS
            if contract.__module__ == f"shared.events.{module}"
        }
        told = set(TYPE_IN_TEXT.findall(_section(module, "Publishes")))
        assert told - {"Operator.Action.Taken"} == published


TYPE_IN_TEXT = re.compile(r"(?:[A-Z][A-Za-z]+\.){2}[A-Z][A-Za-z]+")


def _section(module: str, title: str) -> str:
    canvas = importlib.import_module(module).__doc__ or ""
    lines = canvas.splitlines()
    (start,) = [number for number, line in enumerate(lines) if line.startswith(title)]
    taken = [lines[start].removeprefix(title)]
    for line in lines[start + 1 :]:
        if line and not line.startswith(" "):
            break
        taken.append(line)
    return " ".join(" ".join(taken).split())


def _base_fields() -> set[str]:
    return {field.name for field in dataclasses.fields(DomainEvent)}
